//! What a new machine is written down for, and what is asked of it: whole runs without a real guest.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use vmdk2kvm_tests::{Outcome, Room, contents, names};

/// What is said when a target is not known.
const KNOWN: &str = "known here: incus, kubevirt, libvirt, openstack, proxmox, qemu";

/// The codes of the findings of a run.
fn codes(outcome: &Outcome) -> Vec<&str> {
    let findings = outcome.json["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

fn stored(room: &Room, folder: &str) -> Value {
    serde_json::from_slice(&fs::read(room.path(folder).join("report.json")).unwrap()).unwrap()
}

#[test]
fn every_target_that_is_named_gets_its_files() {
    let room = Room::new();
    let targets = ["--target", "libvirt", "--target", "qemu", "--target", "libvirt"];
    let done = room.run(room.migrate("out", &targets)).expect(0);
    let files = |at: usize| done.json["targets"][at]["files"].clone();
    assert_eq!((files(0), files(1)), (json!(["slow.xml"]), json!(["slow.qemu.sh"])));
    assert_eq!(done.json["targets"].as_array().unwrap().len(), 2);
    let mode = |name: &str| fs::metadata(room.path("out").join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("slow.xml"), mode("slow.qemu.sh")), (0o600, 0o700));
    // Without a word it is the one that is preferred, whatever the alphabet says of the others.
    let done = room.run(room.migrate("plain", &["--set", "target.libvit.zone=1"])).expect(0);
    let warning = "`target.libvit` is for a target that no plugin here has; did you mean `target.libvirt`?";
    assert!(done.stderr.contains(warning), "{}", done.stderr);
    assert_eq!(done.json["targets"][0]["name"], "libvirt");
    assert!(!room.path("plain/slow.qemu.sh").exists());
}

#[test]
fn what_cannot_be_written_is_said_before_anything_is_copied() {
    let room = Room::new();
    let unknown = room.run(room.migrate("out", &["--target", "nowhere"])).expect(69);
    assert_eq!(unknown.message(), "no plugin can render the target `nowhere`");
    assert_eq!(unknown.hint(), KNOWN);
    assert!(!room.path("out").exists());
    for name in ["slow.xml", "slow.qemu.sh"] {
        fs::create_dir_all(room.path("taken")).unwrap();
        fs::write(room.path("taken").join(name), "somebody's").unwrap();
        let before = contents(&room.path("taken"));
        let taken = room.run(room.migrate("taken", &["--target", "libvirt", "--target", "qemu"])).expect(73);
        assert!(taken.message().ends_with(&format!("taken/{name} exists already")), "{}", taken.message());
        assert_eq!(contents(&room.path("taken")), before);
        fs::remove_file(room.path("taken").join(name)).unwrap();
    }
}

#[test]
fn a_finished_result_is_rendered_again_without_the_guest() {
    let room = Room::new();
    room.run(room.migrate("first", &[])).expect(0);
    fs::rename(room.path("first"), room.path("out")).unwrap();
    fs::remove_file(room.disk()).unwrap();
    let out = room.path("out");
    let render = |target: &str| room.run(room.command(&["render", out.to_str().unwrap(), "--target", target]));
    fs::write(out.join("slow.qemu.sh"), "somebody's").unwrap();
    let refused = render("qemu").expect(73);
    assert!(refused.message().ends_with("out/slow.qemu.sh exists already"), "{}", refused.message());
    assert_eq!(fs::read(out.join("slow.qemu.sh")).unwrap(), b"somebody's");
    fs::remove_file(out.join("slow.qemu.sh")).unwrap();

    let done = render("qemu").expect(0);
    let names: Vec<&str> =
        done.json["targets"].as_array().unwrap().iter().filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(names, ["libvirt", "qemu"]);
    assert_eq!(stored(&room, "out"), done.json);
    let script = fs::read_to_string(out.join("slow.qemu.sh")).unwrap();
    assert!(script.contains(&format!("'{}'", out.join("slow-disk1.qcow2").display())), "{script}");

    // Its own file is written anew, and names the images where they are now.
    let domain = fs::read_to_string(out.join("slow.xml")).unwrap();
    assert!(domain.contains("first/slow-disk1.qcow2"), "{domain}");
    render("libvirt").expect(0);
    let domain = fs::read_to_string(out.join("slow.xml")).unwrap();
    assert!(domain.contains("out/slow-disk1.qcow2"), "{domain}");
    assert_eq!(stored(&room, "out")["targets"].as_array().unwrap().len(), 2);
    assert_eq!(render("nowhere").expect(69).hint(), KNOWN);
}

/// Every platform's files come from a finished result, with the job's table for each.
#[test]
fn a_finished_result_is_rendered_for_every_platform() {
    let room = Room::new();
    room.run(room.migrate("out", &[])).expect(0);
    let out = room.path("out");
    let targets = ["kubevirt", "proxmox", "openstack", "incus"];
    let mut words = vec!["render", out.to_str().unwrap(), "--set", "target.kubevirt.namespace=vms"];
    words.extend(targets.iter().flat_map(|target| ["--target", target]));
    let done = room.run(room.command(&words)).expect(0);
    assert_eq!(stored(&room, "out"), done.json);
    let rendered: Vec<&str> =
        done.json["targets"].as_array().unwrap().iter().filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(rendered, ["libvirt", "kubevirt", "proxmox", "openstack", "incus"]);
    for target in targets {
        let script = fs::read_to_string(out.join(format!("slow.{target}.sh"))).unwrap();
        assert!(script.contains(&format!("'{}'", out.join("slow-disk1.qcow2").display())), "{target}: {script}");
    }
    let manifest = fs::read_to_string(out.join("slow.kubevirt.yaml")).unwrap();
    assert!(manifest.contains("namespace: vms"), "{manifest}");
    assert!(codes(&done).contains(&"storage-unmapped"), "{:?}", codes(&done));

    let wrong = ["render", out.to_str().unwrap(), "--target", "kubevirt", "--set", "target.kubevirt.namspace=vms"];
    let refused = room.run(room.command(&wrong)).expect(78);
    assert!(refused.message().contains("`target.kubevirt`: unknown field `namspace`"), "{}", refused.message());
}

#[test]
fn the_job_says_what_the_machine_is() {
    let room = Room::new();
    let sets =
        ["--set", "machine.memory_mib=777", "--set", "machine.disk_bus=virtio-scsi", "--set", "machine.clock=local"];
    let mut plan = room.command(&[&["plan", &room.source()][..], &sets].concat());
    plan.env("SLOW_WANTS", "moonlight");
    let plan = room.run(plan).expect(0);
    let machine = &plan.json["machine"];
    assert_eq!((&machine["memory_bytes"], &machine["clock"]), (&json!(777u64 << 20), &json!("local")));
    assert_eq!(machine["disks"][0]["bus"], "virtio-scsi");
    let codes = codes(&plan);
    // The guest drives virtio-blk alone; and a fixer wants what nobody knows.
    assert!(codes.contains(&"machine-disk-bus-not-driven") && codes.contains(&"machine-unknown-want"), "{codes:?}");
    let best = room.run(room.command(&["plan", &room.source()])).expect(0);
    assert_eq!(best.json["machine"]["disks"][0]["bus"], "virtio");
}

#[test]
fn a_guest_that_boots_on_a_lesser_machine_only_gets_that_one() {
    let room = Room::new();
    let migrate = |out: &str, more: &[&str]| {
        let mut migrate = room.migrate(out, more);
        migrate.env("SLOW_BOOTS_ON", "sata");
        room.run(migrate)
    };
    let failed = migrate("off", &[]).expect(80);
    assert_eq!(failed.json["machine"]["disks"][0]["bus"], "virtio");

    let done = migrate("on", &["--set", "test.fallback=true"]).expect(0);
    assert_eq!(
        (&done.json["test"]["verdict"], &done.json["machine"]["disks"][0]["bus"]),
        (&json!("passed"), &json!("sata"))
    );
    assert_eq!((&done.json["test"]["machine"], &failed.json["test"]["machine"]), (&json!("lesser"), &json!("best")));
    assert!(codes(&done).contains(&"lesser-machine"), "{:?}", codes(&done));
    let tests = done.json["stages"].as_array().unwrap().iter().filter(|stage| stage["name"] == "test").count();
    assert_eq!(tests, 1);
    let domain = fs::read_to_string(room.path("on/slow.xml")).unwrap();
    assert!(domain.contains("bus=\"sata\"") && !domain.contains("bus=\"virtio\""), "{domain}");
    assert_eq!(fs::read_to_string(room.path("on/boot/console.log")).unwrap(), "login:\n");
    assert_eq!(stored(&room, "on"), done.json);
    let wanted =
        ["boot/console.log", "plan.json", "report.html", "report.json", "report.md", "slow-disk1.qcow2", "slow.xml"];
    assert_eq!(names(&room.path("on")), wanted);

    // The result of the first is tested again, and gets its lesser machine then.
    for _ in ["found", "kept"] {
        let mut test = room.command(&["test", room.path("off").to_str().unwrap(), "--set", "test.fallback=true"]);
        test.env("SLOW_BOOTS_ON", "sata");
        let tested = room.run(test).expect(0);
        assert_eq!(tested.json["machine"]["disks"][0]["bus"], "sata");
        assert_eq!(tested.json["test"]["machine"], "lesser");
    }
    assert!(fs::read_to_string(room.path("off/slow.xml")).unwrap().contains("bus=\"sata\""));
}

#[test]
fn a_guest_that_boots_on_no_machine_keeps_its_best_one_and_its_evidence() {
    let room = Room::new();
    let mut migrate = room.migrate("out", &["--set", "test.fallback=true"]);
    migrate.env("SLOW_BOOT_FAILS", "1");
    let failed = room.run(migrate).expect(80);
    assert_eq!(failed.json["machine"]["disks"][0]["bus"], "virtio");
    assert_eq!(failed.message(), "migrated, but the boot test failed: panic");
    assert!(!codes(&failed).contains(&"lesser-machine"));
    assert_eq!(names(&room.path("out/boot")), ["console.log"]);
    assert!(!room.path("out/boot.part").exists());
}

#[test]
fn a_guest_of_which_nothing_is_proven_gets_the_machine_of_which_something_is() {
    let room = Room::new();
    let mut migrate = room.migrate("out", &["--set", "test.fallback=true"]);
    migrate.env("SLOW_BOOT_PROVES_NOTHING", "virtio");
    let done = room.run(migrate).expect(0);
    assert_eq!((&done.json["test"]["verdict"], &done.json["test"]["machine"]), (&json!("passed"), &json!("lesser")));
    assert_eq!(done.json["machine"]["disks"][0]["bus"], "sata");
    let findings = done.json["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["code"] == "lesser-machine").unwrap();
    let message = finding["message"].as_str().unwrap();
    assert!(
        message.starts_with("nothing shows that the guest comes up on its best machine (login-prompt)"),
        "{message}"
    );
}

#[test]
fn a_test_that_proves_nothing_ends_with_that_word() {
    let room = Room::new();
    let mut migrate = room.migrate("out", &["--set", "test.fallback=true"]);
    migrate.env("SLOW_BOOT_PROVES_NOTHING", "1");
    let ended = room.run(migrate).expect(80);
    assert_eq!(ended.message(), "migrated, but the boot test was inconclusive: login-prompt");
    assert_eq!(ended.json["test"]["verdict"], "inconclusive");
    // Nor is anything proven of a lesser machine: the best one stays.
    assert_eq!(ended.json["machine"]["disks"][0]["bus"], "virtio");
    let warnings = ended.json["warnings"].to_string();
    assert!(warnings.contains("the boot test on a lesser machine was inconclusive: login-prompt"), "{warnings}");
    for name in ["report.html", "report.md"] {
        let text = fs::read_to_string(room.path("out").join(name)).unwrap();
        assert!(text.contains("the boot test was inconclusive"), "{name}");
    }
}

#[test]
fn a_plugins_flag_is_understood_and_shown() {
    let room = Room::new();
    let plan = room.run(room.command(&["plan", &room.source(), "--slow-note", "by hand"])).expect(0);
    let note = plan.json["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == "slow-note").cloned();
    assert_eq!(note.unwrap()["message"], "by hand");
    let help = room.command(&["plan", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, shown) = help.split_once("Options of the plugin slow-stages:").unwrap_or_else(|| panic!("{help}"));
    assert!(shown.contains("--slow-note <NOTE>") && shown.contains("What its fixer notes in the plan"), "{shown}");
    // Without the plugin nobody knows it.
    fs::remove_file(room.plugins().join("slow_stages.so")).unwrap();
    let unknown = room.command(&["plan", &room.source(), "--slow-note", "by hand"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("unexpected argument '--slow-note'"));
}

//! Disks by VDDK: through the lab's vCenter (tests/vcsim), and a fake of the library (tests/plugins/fake_vddk),
//! for the real one can be had by nobody here. The fake aborts where a rule of the library is broken. Small
//! disks, read without an appliance.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use vmdk2kvm_tests::{By, DISK, Outcome, Planted, Running, Signal, Yard, digest, example, vm};

const FORCED: [&str; 2] = ["--transport", "vddk"];

#[track_caller]
fn ways(outcome: &Outcome) -> Vec<(&str, &str)> {
    assert!(outcome.json["ways"].is_array(), "{:#}\n{}", outcome.json, outcome.stderr);
    let all = outcome.json["ways"].as_array().unwrap();
    all.iter().map(|way| (way["scheme"].as_str().unwrap(), way["plugin"].as_str().unwrap())).collect()
}

/// A VM that is off, with two disks.
fn pair() -> Value {
    let mut pair = vm("pair", "", false);
    pair["disks"] =
        json!([{"file": "one.raw", "controller": "pvscsi", "unit": 1}, {"file": "two.raw", "controller": "sata"}]);
    pair
}

#[test]
fn disks_with_holes_are_read_from_a_vcenter_and_from_a_host() {
    for (by, flags) in [(By::Soap, &[][..]), (By::Govc, &[]), (By::Soap, &["-esx"]), (By::Govc, &["-esx"])] {
        let yard = Yard::new(by, &[pair()], flags);
        let outcome = yard.flatten("/pair", "out", &FORCED).expect(0);
        assert_eq!(ways(&outcome), [("vsphere-disk", "vddk 0.1.0"); 2]);
        let refused = outcome.json["ways"][0]["refused"].to_string();
        assert!(refused.contains("datastore-file: no plugin carries it"), "{refused}");
        let truth = ["one.raw", "two.raw"].map(|name| digest(&yard.site.lab.datastore().join(name)));
        assert_eq!(yard.images("out"), truth, "{flags:?}");
        let notes = yard.notes();
        let with = |word: &str| notes.iter().filter(|line| line.starts_with(word)).cloned().collect::<Vec<_>>();
        assert_eq!(
            (with("init"), with("connect")),
            (vec!["init 6.5 3".to_owned()], vec!["connect session nbdssl:nbd true".to_owned(); 2])
        );
        assert_eq!(with("open").len(), 2, "{notes:?}");
        // One question for each disk, and what is a hole does not come.
        assert_eq!(with("map").len(), 2, "{notes:?}");
        for close in with("close") {
            let read: usize = close.rsplit(' ').next().unwrap().parse().unwrap();
            assert!(read <= DISK - (3 << 20), "{notes:?}");
        }
        assert_eq!(notes.last().unwrap(), "exit");
        yard.site.nothing_is_left();
    }
}

#[test]
fn the_present_state_of_a_chain_is_read_and_older_ones_by_their_snapshots() {
    let mut chained = vm("chain", "", false);
    chained["snapshots"] = json!(["before", "later"]);
    let yard = Yard::new(By::Soap, &[chained], &[]);
    let lab = &yard.site.lab;
    lab.control("POST", "/write?vm=chain&disk=0&offset=1048576", &[7; 1 << 20]);
    let content = |more: &str| lab.control("GET", &format!("/content?vm=chain&disk=0{more}"), b"");
    let (now, before) = (content(""), content("&snapshot=before"));
    yard.serve("now", "chain/chain-000002.vmdk", &now);
    yard.serve("held", "chain/chain.vmdk", &before);
    yard.flatten("/chain", "now", &FORCED).expect(0);
    assert_eq!(yard.images("now"), [format!("{:x}", Sha256::digest(&now))]);
    assert!(yard.notes().contains(&"open now [datastore1] chain/chain-000002.vmdk".to_owned()), "{:?}", yard.notes());
    yard.flatten("/chain?snapshot=before", "before", &FORCED).expect(0);
    assert_eq!(yard.images("before"), [format!("{:x}", Sha256::digest(&before))]);
    assert_ne!(now, before);
}

#[test]
fn a_vm_that_runs_is_read_from_its_snapshot_and_migrated() {
    let yard = Yard::new(By::Soap, &[vm("web", "", true)], &[]);
    let truth = yard.site.truth("web", "");
    let refused = yard.flatten("/web", "refused", &FORCED).expect(81);
    assert!(refused.message().contains("(vm-running)"), "{}", refused.message());
    let more = [&FORCED[..], &["--snapshot", "--skip", "fix", "--skip", "test"]].concat();
    let all = yard.arguments("migrate", "/web", "moved", &more);
    let moved = Running::start(yard.command(&all.iter().map(String::as_str).collect::<Vec<_>>())).end().expect(0);
    assert_eq!(yard.images("moved"), [truth]);
    assert_eq!(ways(&moved), [("vsphere-disk", "vddk 0.1.0")]);
    let opened = yard.notes().into_iter().find(|line| line.starts_with("open ")).unwrap();
    assert!(opened.starts_with("open snapshot-") && opened.ends_with(" [datastore1] web/web.vmdk"), "{opened}");
    yard.site.nothing_is_left();
}

/// A disk with what a Linux guest is known by.
fn guest() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (tree, disk) = (folder.path().join("tree"), folder.path().join("disk.raw"));
    for part in ["etc/network", "usr/bin", "lib/modules", "boot"] {
        std::fs::create_dir_all(tree.join(part)).unwrap();
    }
    std::fs::write(tree.join("etc/os-release"), "ID=debian\nVERSION_ID=\"12\"\n").unwrap();
    std::fs::write(tree.join("etc/fstab"), "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0 / ext4 defaults 0 1\n")
        .unwrap();
    std::fs::File::create(&disk).unwrap().set_len(DISK as u64).unwrap();
    let tools = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let made = Command::new("mkfs.ext4").env("PATH", tools).args(["-q", "-F", "-d"]).args([&tree, &disk]).status();
    assert!(made.expect("mkfs.ext4 (package e2fsprogs)").success());
    std::fs::read(disk).unwrap()
}

#[test]
fn a_plan_names_the_way_and_why_not_this_one() {
    let mut yard = Yard::new(By::Soap, &[vm("web", "", false)], &[]);
    let (uri, guest) = (yard.site.lab.uri("/web", ""), guest());
    yard.serve("now", "web/web.vmdk", &guest);
    yard.site.lab.control("POST", "/write?vm=web&disk=0&offset=0", &guest);
    let plan = |yard: &Yard, more: &[&str]| {
        let all = [&["plan", uri.as_str(), "--set", "inspect.reader=native"], more].concat();
        Running::start(yard.command(&all)).end()
    };
    let forced = plan(&yard, &FORCED).expect(0);
    assert_eq!(forced.json["inspection"]["os"]["distro"], "debian");
    assert_eq!(ways(&forced), [("vsphere-disk", "vddk 0.1.0")]);
    // Files come first, where nobody says otherwise.
    assert_eq!(ways(&plan(&yard, &[])), [("datastore-file", "vsphere-http 0.1.0")]);
    std::fs::remove_file(yard.shared_object()).unwrap();
    let libdir = yard.libdir().display().to_string();
    let absent = format!("VDDK is not in {libdir}: no lib64/libvixDiskLib.so.9, 8, 7 or 6");
    let none = yard.flatten("/web", "none", &FORCED).expect(69);
    assert!(none.message().contains(&format!("vsphere-disk by vddk 0.1.0: {absent}")), "{}", none.message());
    assert!(none.hint().starts_with("no other way needs it"), "{}", none.hint());
    let unset = plan(&yard, &[&FORCED[..], &["--set", "plugin.vddk.libdir=\"\""]].concat()).expect(69);
    assert!(unset.message().ends_with("vsphere-disk by vddk 0.1.0: VDDK is not configured)"), "{}", unset.message());
    let relative = plan(&yard, &[&FORCED[..], &["--set", "plugin.vddk.libdir=vddk"]].concat()).expect(78);
    assert!(relative.message().contains("is vddk, which is no absolute path"), "{}", relative.message());
    // What is no library, and one that lacks the functions.
    for (bytes, why) in [
        (b"\x7fELF nonsense".to_vec(), "file too short"),
        (std::fs::read(example("far_disk")).unwrap(), "VixDiskLib_InitEx"),
    ] {
        std::fs::write(yard.shared_object(), bytes).unwrap();
        let broken = yard.flatten("/web", "broken", &FORCED).expect(69);
        let message = broken.message();
        assert!(message.contains("VDDK cannot be loaded: ") && message.contains(why), "{message}");
    }
    yard.version = 9;
    std::fs::write(yard.shared_object(), "").unwrap();
    let doctor = |set: &str| {
        let needs = vmdk2kvm_tests::run(&["doctor", "--set", set]).expect(0).json["needs"].clone();
        needs.as_array().unwrap().iter().find(|need| need["name"] == "plugin.vddk.libdir").unwrap().clone()
    };
    let there = doctor(&yard.set());
    assert_eq!((&there["present"], &there["detail"]), (&json!(true), &json!(yard.shared_object().to_str().unwrap())));
    let empty = doctor("plugin.vddk.libdir=/nonexistent");
    assert_eq!(empty["present"], false);
    assert!(
        empty["detail"].as_str().unwrap().starts_with("/nonexistent has none of lib64/libvixDiskLib.so.9, "),
        "{empty}"
    );
    let unset = doctor("plugin.vddk.transports=nbd");
    assert_eq!((&unset["present"], &unset["detail"]), (&json!(false), &json!("is not set: the plugin does nothing")));
}

#[test]
fn what_goes_wrong_is_overcome() {
    let mut yard = Yard::new(By::Soap, &[vm("web", "", false)], &[]);
    let truth = yard.site.truth("web", "");
    for (number, fault) in [
        "callback-fails:3:2",
        "read-fails:2:1",
        "callback-fails:0:1",
        "slow:15",
        "no-map",
        "map",
        "no-session",
        "sectors",
    ]
    .into_iter()
    .enumerate()
    {
        fault.clone_into(&mut yard.fault);
        let output = number.to_string();
        let outcome = yard.flatten("/web", &output, &FORCED).expect(0);
        assert_eq!(yard.images(&output), std::slice::from_ref(&truth), "{fault}");
        assert_eq!(yard.notes().last().unwrap(), "exit", "{fault}");
        let warned = outcome.json["warnings"].to_string().contains("VDDK's map of what was written to cannot be");
        assert_eq!(warned, fault == "map", "{}", outcome.json["warnings"]);
        let told =
            outcome.json["warnings"].to_string().contains("web.vmdk: its guest knows it with sectors of 4096 bytes");
        assert_eq!(told, fault == "sectors", "{}", outcome.json["warnings"]);
        let by_password = yard.notes().contains(&"connect password nbdssl:nbd true".to_owned());
        assert_eq!(by_password, fault == "no-session", "{:?}", yard.notes());
    }
    yard.site.nothing_is_left();
}

#[test]
fn what_cannot_be_overcome_has_its_code_and_its_sentence() {
    let mut yard = Yard::new(By::Soap, &[vm("web", "", false)], &[]);
    for (fault, code, sentence, hint) in [
        (
            "callback-fails:5:100000",
            74,
            "web.vmdk: VDDK cannot read it: Unknown error (error 1)",
            "it goes on where it was",
        ),
        (
            "open-fails",
            74,
            "web.vmdk: VDDK cannot open it: Unknown error (error 1)",
            "certificate's digest is another one",
        ),
        (
            "version",
            74,
            "VDDK cannot read it: Unknown error (error 1); before that it warned: the host speaks another version of NFC",
            "(version-gap)",
        ),
        ("nfc", 75, "it warned: NfcFssrvrProcessErrorMsg: received NFC error 5 (out of memory)", "no memory left"),
        (
            "capacity",
            75,
            "web.vmdk: VDDK opened a disk of 26214400 bytes, and the VM's has 25165824",
            "the disk changed meanwhile",
        ),
        ("panic:3", 1, "the process of the plugin vddk 0.1.0 was killed by signal 6 in BlockSource::read_at", ""),
    ] {
        fault.clone_into(&mut yard.fault);
        let outcome = yard.flatten("/web", "out", &FORCED).expect(code);
        let (message, given) = (outcome.message(), outcome.hint());
        assert!(message.contains(sentence) && given.contains(hint), "{fault}: {message} ({given})");
        assert!(!yard.notes().iter().any(|line| line.starts_with("broken")), "{:?}", yard.notes());
        yard.site.nothing_is_left();
    }
    // What was copied before stays copied.
    yard.fault.clear();
    yard.flatten("/web", "out", &FORCED).expect(0);
    assert_eq!(yard.images("out"), [yard.site.truth("web", "")]);
    yard.thumbprint = yard.thumbprint.replace(':', "-");
    let wrong = yard.flatten("/web", "wrong", &FORCED).expect(74);
    assert!(wrong.message().contains("VDDK cannot open it") && wrong.hint().contains("digest"), "{}", wrong.message());
    let gone = yard.folder.path().join("root/now/datastore1/web/web.vmdk");
    std::fs::remove_file(gone).unwrap();
    yard.thumbprint = yard.site.lab.fact("thumbprint_sha1").to_owned();
    let missing = yard.flatten("/web", "missing", &FORCED).expect(65);
    assert!(missing.message().contains("VDDK cannot open it: A file was not found (error 4)"), "{}", missing.message());
    yard.site.nothing_is_left();
}

#[test]
fn an_older_library_does_with_less_and_a_gap_is_seen_before_a_byte_moves() {
    let yard = Yard::with(By::Soap, &[vm("web", "", false)], &["-version", "6.7.0"], 6);
    let outcome = yard.flatten("/web", "out", &FORCED).expect(0);
    assert_eq!(yard.images("out"), [yard.site.truth("web", "")]);
    assert_eq!(ways(&outcome).len(), 1);
    let notes = yard.notes();
    assert!(notes.contains(&"connect password nbdssl:nbd true".to_owned()), "{notes:?}");
    assert!(!notes.iter().any(|line| line.starts_with("map") || line.starts_with("broken")), "{notes:?}");
    assert_eq!(notes.last().unwrap(), "exit");
    for (version, library, says) in
        [("8.0.3", 6, "VDDK 6 reads vSphere 4.0 to 7.x"), ("6.5.0", 8, "VDDK 8 reads vSphere 6.7 to 9.x")]
    {
        let yard = Yard::with(By::Soap, &[vm("web", "", false)], &["-version", version], library);
        let gap = yard.flatten("/web", "gap", &FORCED).expect(81);
        let expected = format!("{says}, and {} is {version} (version-gap)", yard.site.lab.fact("address"));
        assert!(gap.message().ends_with(&expected), "{}", gap.message());
        assert!(gap.hint().contains("leave --transport out"), "{}", gap.hint());
        assert!(yard.notes().is_empty(), "{:?}", yard.notes());
        yard.site.nothing_is_left();
    }
}

#[test]
fn an_encrypted_disk_is_read_by_this_way_alone() {
    let mut sealed = vm("sealed", "", false);
    sealed["disks"][0]["encrypted"] = true.into();
    let yard = Yard::new(By::Soap, &[sealed], &[]);
    let outcome = yard.flatten("/sealed", "out", &[]).expect(0);
    assert_eq!(
        (yard.images("out"), ways(&outcome)),
        (vec![yard.site.truth("sealed", "")], vec![("vsphere-disk", "vddk 0.1.0")])
    );
    let findings = outcome.json["vm"]["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["code"] == "disk-encrypted").unwrap();
    assert_eq!(found["severity"], "warn");
    let closed = yard.flatten("/sealed", "closed", &["--set", "plugin.vddk.libdir=\"\""]).expect(81);
    assert!(
        closed.message().contains("it is encrypted by the host") && closed.message().ends_with("(disk-encrypted)"),
        "{}",
        closed.message()
    );
    yard.site.nothing_is_left();
}

/// Starts a slow run that has copied something.
fn copying(yard: &mut Yard, output: &str) -> Running {
    "slow:150".clone_into(&mut yard.fault);
    let mut run = yard.start("/web", output, &[&FORCED[..], &["--snapshot"]].concat());
    run.wait_for("bytes", |event| event["event"] == "progress" && event["done_bytes"].as_u64().unwrap_or_default() > 0);
    run
}

#[test]
fn a_run_that_is_killed_or_stopped_goes_on_later() {
    let mut yard = Yard::new(By::Soap, &[vm("web", "", true)], &[]);
    let truth = yard.site.truth("web", "");
    let run = copying(&mut yard, "out");
    run.kill("plugin-process");
    let killed = run.end().expect(75);
    assert!(
        killed.message().contains("the process of the plugin vddk 0.1.0 was killed by signal 9"),
        "{}",
        killed.message()
    );
    let run = copying(&mut yard, "out");
    run.kill("worker-process");
    run.end().expect(75);
    assert_eq!(yard.site.lab.state()["snapshots"]["web"].as_array().unwrap().len(), 1);
    // One that never answers is left by Ctrl-C.
    "hang:2".clone_into(&mut yard.fault);
    let mut run = yard.start("/web", "out", &[&FORCED[..], &["--snapshot"]].concat());
    run.wait_for_stage("flatten");
    let notes = yard.folder.path().join("notes");
    run.wait_until("a disk is open", |_| {
        std::fs::read_to_string(&notes).unwrap_or_default().lines().filter(|line| line.starts_with("map")).count() >= 3
    });
    run.signal(Signal::INT);
    run.end().expect(130);
    yard.fault.clear();
    yard.flatten("/web", "out", &[&FORCED[..], &["--snapshot"]].concat()).expect(0);
    assert_eq!(yard.images("out"), [truth]);
    // Of sessions there may be one: that of the worker that was killed.
    assert_eq!(yard.site.lab.state()["snapshots"], json!({}));
}

#[test]
fn no_secret_is_anywhere() {
    let password = "vddk-S3cret-7c1e &\"<";
    let mut yard = Yard::new(By::Soap, &[vm("web", "", false)], &["-password", password]);
    let planted = Planted("vddk-S3cret-7c");
    assert!(planted.is_in(std::fs::read(yard.site.lab.password_file()).unwrap()), "the password was planted");
    for fault in ["slow:40", "no-session"] {
        fault.clone_into(&mut yard.fault);
        let output = fault.replace(':', "-");
        let mut run = yard.start("/web", &output, &[&FORCED[..], &["--log-level", "trace"]].concat());
        let mut looks = 0;
        while !run.has_ended() {
            for pid in ["plugin-process", "worker-process", "flatten"].into_iter().filter_map(|word| run.process(word))
            {
                for member in ["cmdline", "environ"] {
                    let text = std::fs::read(format!("/proc/{pid}/{member}")).unwrap_or_default();
                    assert!(!planted.is_in(&text), "{pid} {member}");
                    looks += usize::from(!text.is_empty());
                }
            }
        }
        let events = serde_json::to_vec(&run.events()).unwrap();
        let outcome = run.end().expect(0);
        let said = String::from_utf8_lossy(&events).into_owned();
        assert!(looks > 3 && said.contains("connecting with *** ") && said.contains("VDDK warns: "), "{looks} {said}");
        assert!(
            !planted.is_in(&events)
                && !planted.is_in(outcome.stderr.as_bytes())
                && !planted.is_in(outcome.json.to_string().as_bytes())
        );
        // Nor is the session, whose cookie the fake tells, too.
        for cookie in said.split("vmware_soap_session").skip(1) {
            assert!(!cookie.starts_with("="), "{cookie}");
        }
        let files = [yard.site.results.path(), yard.folder.path()].map(|folder| planted.look_into(folder));
        assert!(files.iter().all(|files| *files > 0));
    }
    yard.site.nothing_is_left();
}

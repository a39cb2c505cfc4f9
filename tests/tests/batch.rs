//! Many VMs by one list: as many at once as their places allow, failures that stop nobody else, a rerun that does nothing twice, a status that
//! only reads, and lists that are refused before a byte moves.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use vmdk2kvm_tests::{Many, SmallDisk, alone, contents, most_at_once, names, started};

/// No guest is looked into, and nothing boots.
const SHORT: &str = "[defaults]\nskip = [\"fix\", \"test\"]";

fn by_name(document: &Value) -> BTreeMap<&str, &Value> {
    document["jobs"].as_array().unwrap().iter().map(|job| (job["name"].as_str().unwrap(), job)).collect()
}

#[test]
fn a_batch_leaves_a_folder_for_each_vm_and_its_rerun_starts_nothing() {
    let many = Many::new(4);
    many.list(&format!("{SHORT}\n[limits]\ntotal = 2"), &Many::plain(4));
    let (ran, events) = many.run(&[]);
    let ran = ran.expect(0);
    assert_eq!((ran.json["totals"]["done"].as_u64(), ran.json["totals"]["already_done"].as_u64()), (Some(4), Some(0)));
    assert_eq!(most_at_once(&events, None), 2);
    let out = many.room.path("out");
    let mut expected: Vec<String> = (0..4)
        .flat_map(|vm| {
            ["report.html", "report.json", "report.md", "plan.json", "DISK", "XML"].map(|name| {
                let name = name.replace("DISK", &format!("vm{vm}-disk1.qcow2")).replace("XML", &format!("vm{vm}.xml"));
                format!("vm{vm}/{name}")
            })
        })
        .chain(["batch.html", "batch.json", "batch.md"].map(str::to_owned))
        .collect();
    expected.sort();
    let seen: Vec<String> = names(&out).into_iter().filter(|name| !name.starts_with(".vmdk2kvm-batch/")).collect();
    assert_eq!(
        seen.iter().filter(|name| !name.ends_with("plan.json")).collect::<Vec<_>>(),
        expected.iter().filter(|name| !name.ends_with("plan.json")).collect::<Vec<_>>()
    );
    let report: Value = serde_json::from_slice(&fs::read(out.join("batch.json")).unwrap()).unwrap();
    assert_eq!(report["jobs"], ran.json["jobs"]);
    let page = fs::read_to_string(out.join("batch.html")).unwrap();
    assert!(page.contains("<a href=\"vm3/report.html\">vm3</a>"), "{page}");

    let before = contents(&out);
    let (again, events) = many.run(&[]);
    let again = again.expect(0);
    assert_eq!(again.json["totals"]["already_done"], 4);
    assert!(started(&events).is_empty(), "a finished VM needs no process");
    let changed: Vec<String> = {
        let now = contents(&out);
        before.iter().filter(|(name, digest)| now.get(*name) != Some(digest)).map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(changed, ["batch.html", "batch.json", "batch.md"]);

    // What is gone is made again, and only that.
    fs::remove_dir_all(out.join("vm2")).unwrap();
    let (again, events) = many.run(&[]);
    again.expect(0);
    assert_eq!((started(&events), many.digests().len()), (vec!["vm2".to_owned()], 4));
}

#[test]
fn what_fails_stops_nobody_else_and_is_told_with_its_code() {
    let many = Many::new(3);
    let mut vms = Many::plain(3);
    vms.push(("gone".to_owned(), String::new()));
    many.list(&format!("{SHORT}\n[limits]\ntotal = 2"), &vms);
    let (ran, events) = many.run(&[]);
    let ran = ran.expect(82);
    assert_eq!(ran.message(), "1 of 4 VMs failed");
    assert_eq!(ran.json["totals"]["by_code"], json!({"65": 1}));
    let gone = by_name(&ran.json)["gone"];
    assert_eq!(
        (&gone["state"], &gone["exit_code"], &gone["error"]["stage"]),
        (&json!("failed"), &json!(65), &json!("flatten"))
    );
    assert_eq!(started(&events).iter().filter(|name| *name == "gone").count(), 1, "65 is not tried again");
    assert_eq!(many.digests().len(), 3);
    assert!(ran.stderr.contains("gone: failed (65): FLATTEN: "), "{}", ran.stderr);

    // The same command tries what failed, and nothing else.
    fs::copy(many.room.path("vm0.raw"), many.room.path("gone.raw")).unwrap();
    let (ran, events) = many.run(&[]);
    ran.expect(0);
    assert_eq!(started(&events), ["gone"]);
    assert_eq!(many.digests()["gone"], many.digests()["vm0"]);
}

#[test]
fn no_key_ever_has_more_than_its_places() {
    let many = Many::new(8);
    let keys = |index: usize| format!("keys = [\"host:{}\", \"store:x\"]", ["a", "b"][index % 2]);
    let vms: Vec<(String, String)> = (0..8).map(|index| (format!("vm{index}"), keys(index))).collect();
    many.list(&format!("{SHORT}\n[limits]\ntotal = 6\n\"host:a\" = 1\n\"host:*\" = 2\n\"store:x\" = 2"), &vms);
    let (ran, events) = many.run(&[]);
    ran.expect(0);
    let most = ["host:a", "host:b", "store:x"].map(|key| most_at_once(&events, Some(key)));
    assert!(most[0] <= 1 && most[1] <= 2 && most[2] <= 2, "{most:?}");
    assert_eq!(most[2], 2, "the places are used");
    let limited: Vec<&str> = events.iter().filter_map(|event| event["limited_by"].as_str()).collect();
    assert!(limited.contains(&"store:x"), "{limited:?}");
}

#[test]
fn guests_that_boot_have_places_of_their_own() {
    let many = Many::new(3);
    many.list("[defaults]\nskip = [\"fix\"]\n[limits]\ntotal = 3\nboot = 1", &Many::plain(3));
    let mut command = many.command(&["run"], &[]);
    command.env("SLOW_STAGE", "test");
    let mut running = vmdk2kvm_tests::Running::start(command);
    let in_test = |events: &[Value], task: &str| {
        events.iter().filter(|event| event["stage"] == "test" && event["task"] == task).count()
    };
    // All three are at their test, and one of them boots.
    running.wait_until("all wait", |run| in_test(&run.events(), "wait for a boot slot") == 3);
    running.wait_until("one boots", |run| in_test(&run.events(), "stopped") > 0);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(in_test(&running.events(), "stopped"), 1);
    many.room.go();
    running.end().expect(0);
}

#[test]
fn the_status_is_read_from_elsewhere_and_writes_nothing() {
    let many = Many::new(3);
    many.list("[limits]\ntotal = 1", &Many::plain(3));
    let running = many.room.stop_in("inspect", many.command(&["run"], &[]));
    let status = || many.room.run(many.command(&["status"], &[])).expect(0).json;
    let before = contents(&many.room.path("out/.vmdk2kvm-batch"));
    let now = status();
    let states: Vec<&str> = now["jobs"].as_array().unwrap().iter().map(|job| job["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["running", "waiting", "waiting"]);
    assert_eq!(by_name(&now)["vm0"]["stage"], "inspect");
    assert_eq!(contents(&many.room.path("out/.vmdk2kvm-batch")), before);
    // Nobody says how it ended.
    running.signal(vmdk2kvm_tests::Signal::KILL);
    running.end().expect(-1);
    assert_eq!(by_name(&status())["vm0"]["state"], "lost");
    many.room.go();
    many.run(&[]).0.expect(0);
    assert_eq!(status()["totals"]["done"], 3);
}

#[test]
fn a_part_ends_with_its_own_code_and_leaves_the_reports_alone() {
    let many = Many::new(2);
    let mut vms = Many::plain(2);
    vms.push(("gone".to_owned(), String::new()));
    many.list(SHORT, &vms);
    many.run(&["--index", "1"]).0.expect(0);
    many.run(&["--index", "2"]).0.expect(65);
    many.run(&["--only", "vm0"]).0.expect(0);
    assert_eq!(many.digests().into_keys().collect::<Vec<_>>(), ["vm0", "vm1"]);
    assert!(!many.room.path("out/batch.json").exists());
    let (refused, _) = many.run(&["--index", "3"]);
    assert_eq!(refused.expect(2).message(), "--index 3: the list has 3 VMs, counted from 0");
    let (refused, _) = many.run(&["--only", "vm9"]);
    assert_eq!(refused.expect(2).message(), "--only vm9: the list has no VM of this name");
}

#[test]
fn a_dry_run_shows_every_finding_and_reckons_by_what_was_measured() {
    let many = Many::new(3);
    many.list("[limits]\ntotal = 1", &Many::plain(3));
    let note = ["--dry-run", "--set", "plugin.slow-stages.note=look"];
    let (planned, _) = many.run(&note);
    let planned = planned.expect(0);
    assert_eq!(planned.json["estimate"]["measured"], 0);
    let found = by_name(&planned.json)["vm1"]["findings"].as_array().unwrap().clone();
    assert!(found.iter().any(|finding| finding["code"] == "slow-note"), "{found:?}");
    assert!(many.digests().is_empty() && !many.room.path("out/batch.json").exists());
    many.run(&["--only", "vm1"]).0.expect(0);
    let (planned, _) = many.run(&note);
    let estimate = planned.expect(0).json["estimate"].clone();
    assert_eq!(
        (&estimate["measured"], &estimate["open"], &estimate["limited_by"]),
        (&json!(1), &json!(2), &json!("total"))
    );
    assert!(estimate["bytes_per_second"].as_f64().unwrap() > 0.0 && estimate["seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn places_in_a_folder_are_shared_by_runs_that_know_nothing_of_each_other() {
    let many = Many::new(2);
    let keys = |index: usize| (format!("vm{index}"), "keys = [\"host:a\"]".to_owned());
    many.list(&format!("{SHORT}\n[limits]\n\"host:a\" = 1"), &[keys(0), keys(1)]);
    let places = many.room.path("places");
    let shared = ["--limit-dir", places.to_str().unwrap()];
    let first = many.room.stop_in("flatten", many.command(&["run", "--index", "0"], &shared));
    let mut second = vmdk2kvm_tests::Running::start(many.command(&["run", "--index", "1"], &shared));
    second.wait_for("its begin", |event| event["event"] == "run_started");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(started(&second.events()).is_empty(), "the one place is taken");
    many.room.go();
    first.end().expect(0);
    second.end().expect(0);
}

#[test]
fn a_list_that_cannot_do_is_refused_before_a_byte_moves() {
    let many = Many::new(2);
    let vm = |name: &str, more: &str| (name.to_owned(), more.to_owned());
    let out = many.room.path("out").display().to_string();
    for (head, vms, code, message) in [
        (
            "",
            vec![vm("vm0", "output = \"x\""), vm("vm1", "output = \"x\"")],
            65,
            "its result goes to ROOM/x, as that of LIST, VM 1",
        ),
        (
            "[defaults]\ndisk_out = [\"1=/dev/no-such-device\"]",
            vec![vm("vm0", ""), vm("vm1", "")],
            65,
            "a disk of it goes onto /dev/no-such-device, as one of LIST, VM 1",
        ),
        (
            "",
            vec![vm("a b", ""), vm("a/b", ""), vm("a-b", "")],
            65,
            "the name a-b becomes the folder a-b, as that of LIST, VM 1",
        ),
        ("", vec![vm("batch.json", "")], 65, "batch.json is the name of a file of the batch"),
        ("", vec![vm("vm0", "formt = \"raw\"")], 78, "unknown key `formt` in LIST, VM 1; did you mean `format`?"),
        ("[secrets]", vec![], 78, "unknown key `secrets`"),
        (
            "[defaults.secrets]\npassword = { env = \"NO_SUCH_VARIABLE\" }",
            vec![vm("vm0", "")],
            78,
            "the secret password is in the variable NO_SUCH_VARIABLE, which is not set",
        ),
        (
            "[defaults.secrets]\npassword = { file = \"nowhere\" }",
            vec![vm("vm0", "")],
            78,
            "the secret file ROOM/nowhere: No such file or directory (os error 2)",
        ),
        ("", vec![vm("vm0", "bytes = 1000000000000000"), vm("vm1", "")], 73, "free, the VMs of the batch use 909 TiB"),
    ] {
        many.list(head, &vms);
        let (refused, events) = many.run(&[]);
        let refused = refused.expect(code);
        let shown = refused.message().replace(&many.room.path("jobs.toml").display().to_string(), "LIST");
        let shown = shown.replace(&many.room.path("").display().to_string(), "ROOM/");
        assert!(shown.contains(message), "{shown}\n{message}");
        assert!(started(&events).is_empty());
        assert!(
            names(std::path::Path::new(&out)).iter().all(|name| name.ends_with("/lock")),
            "{:?}",
            names(std::path::Path::new(&out))
        );
    }
    // A password is told of, and not said.
    let text = "[[vm]]\nname = \"x\"\nsource = \"far://root:hunter2@vc/x\"\n";
    fs::write(many.room.path("jobs.toml"), text).unwrap();
    let (refused, _) = many.run(&[]);
    let refused = refused.expect(78);
    assert!(refused.message().ends_with("VM 1: its source holds a password"), "{}", refused.message());
    assert!(!refused.stderr.contains("hunter2") && !refused.json.to_string().contains("hunter2"));
}

#[test]
fn a_table_that_cannot_do_is_refused_before_a_byte_moves() {
    let many = Many::new(1);
    let (table, out) = (many.room.path("jobs.csv"), many.room.path("out"));
    let utf16: Vec<u8> = "\u{feff}source\nvm0.raw\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (text, code, message) in [
        (utf16, 65, "it is UTF-16, or not text"),
        (format!("source\n{}", "vm0.raw\n".repeat(100_000)).into(), 65, "it lists more than 50000 virtual machines"),
        ("source,formt\nvm0.raw,raw\n".into(), 78, "line 1: unknown column `formt`; did you mean `format`?"),
        ("source\nvm0.raw,raw\n".into(), 65, "line 2: 2 cells under 1 names"),
    ] {
        fs::write(&table, text).unwrap();
        let mut command = many.room.command(&["batch", "run"]);
        command.arg(&table).arg("-o").arg(&out);
        let refused = many.room.run(command).expect(code);
        assert!(refused.message().ends_with(message), "{}", refused.message());
        assert!(!out.exists());
    }
}

#[test]
fn what_does_not_fit_together_is_refused_although_each_would_fit() {
    let many = Many::new(3);
    let vms: Vec<(String, String)> = (0..3).map(|index| (format!("vm{index}"), "bytes = 2097152".to_owned())).collect();
    many.list(SHORT, &vms);
    fs::create_dir(many.room.path("out")).unwrap();
    let disk = SmallDisk::mount(&many.room.path("out"), 5 << 20);
    let mut command = disk.inside(&many.command(&["run"], &["--json"]));
    let refused = vmdk2kvm_tests::outcome(&alone(&mut command).output().unwrap()).expect(73);
    assert!(refused.message().contains("free, the VMs of the batch use 6.00 MiB"), "{}", refused.message());
    let mut command = disk.inside(&many.command(&["run"], &["--json", "--only", "vm0"]));
    vmdk2kvm_tests::outcome(&alone(&mut command).output().unwrap()).expect(0);
}

//! Warm migrations of VMs of the lab's vCenter (tests/vcsim): rounds by change tracking and `/folder`, and a cut-over. The guest, its fixes and its boot are those of the
//! test plugin `slow-stages`; the disks are small.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use vmdk2kvm_tests::{By, Outcome, Room, Running, Signal, Site, Vcenter, names, vm};

const MIB: u64 = 1 << 20;
/// The megabyte of the first disk that the fixer of `slow-stages` writes.
const FIXED: std::ops::Range<usize> = 1 << 20..2 << 20;

/// A VM with two disks that is on.
struct Warm {
    site: Site,
    room: Room,
    by: By,
}

fn two_disks(name: &str) -> Value {
    let mut vm = vm(name, "", true);
    vm["tools"] = true.into();
    vm["disks"].as_array_mut().unwrap().push(json!({"file": "second.raw", "controller": "pvscsi", "unit": 1}));
    vm
}

/// The count of a page, and how far it goes, are such that every answer has several.
const PAGES: [&str; 4] = ["-cbt-page", "2", "-cbt-window", "16777216"];

impl Warm {
    fn new(by: By, change: impl FnOnce(&mut Value), flags: &[&str]) -> Self {
        let mut vm = two_disks("web");
        change(&mut vm);
        Self { site: Site::new(by, &[vm], flags), room: Room::new(), by }
    }

    fn out(&self) -> PathBuf {
        self.site.results.path().join("out")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.room.program());
        let fetcher = format!("plugins.fetcher={}", self.by.plugin());
        command.args(arguments).args(["--password-file", self.site.lab.password_file(), "--set", &fetcher]);
        if self.by == By::Govc {
            command.args(["--set", &format!("plugin.vsphere-govc.program={:?}", Vcenter::govc())]);
        }
        command.envs(self.room.environment());
        self.site.alone(command)
    }

    fn warm(&self, more: &[&str]) -> Command {
        let (uri, out) = (self.site.lab.uri("/web", ""), self.out());
        self.command(&[&["migrate", &uri, "-o", out.to_str().unwrap(), "--warm", "--format", "raw"], more].concat())
    }

    fn once(&self) -> Command {
        self.warm(&["--set", "warm.rounds=1"])
    }

    /// What the rounds were told is remembered: only the folder is named, and the password.
    fn on_out(&self, verb: &str, more: &[&str]) -> Command {
        let out = self.out();
        self.command(&[&[verb, out.to_str().unwrap()], more].concat())
    }

    fn run(&self, command: Command) -> Outcome {
        Running::start(command).end()
    }

    #[track_caller]
    fn round(&self) -> Value {
        last(&self.run(self.once()).expect(0).json)
    }

    #[track_caller]
    fn cutover(&self) -> Value {
        self.run(self.on_out("cutover", &[])).expect(0).json
    }

    /// The guest writes.
    fn write(&self, disk: usize, offset: u64, seed: u8, length: u64) {
        let bytes: Vec<u8> = (0..length).map(|at| seed.wrapping_add((at / 512) as u8) | 1).collect();
        self.site.lab.control("POST", &format!("/write?vm=web&disk={disk}&offset={offset}"), &bytes);
    }

    fn content(&self, disk: usize) -> Vec<u8> {
        self.site.lab.control("GET", &format!("/content?vm=web&disk={disk}"), b"")
    }

    #[track_caller]
    fn images_are_right(&self) {
        let mut expected = self.content(0);
        expected[FIXED].fill(0x5a);
        assert!(std::fs::read(self.out().join("web-disk1.raw")).unwrap() == expected, "disk 1 differs");
        assert!(std::fs::read(self.out().join("web-disk2.raw")).unwrap() == self.content(1), "disk 2 differs");
    }

    fn tracking(&self) -> Value {
        self.site.vms("/web")[0]["change_tracking"].clone()
    }

    /// Neither a session nor a snapshot, and in the folder nothing but the result.
    #[track_caller]
    fn nothing_is_left(&self) {
        self.site.nothing_is_left();
        let left = names(&self.out());
        assert!(!left.iter().any(|name| name.contains(".part") || name.contains("work")), "{left:?}");
        assert_eq!(names(&self.site.results.path().join("state/vmdk2kvm/holds")), [""; 0]);
    }

    fn moved(&self) -> u64 {
        self.site.lab.state()["stats"]["bytes"].as_u64().unwrap()
    }
}

fn last(report: &Value) -> Value {
    report["warm"]["rounds"].as_array().unwrap().last().unwrap().clone()
}

#[test]
fn five_rounds_of_two_disks_and_a_cut_over() {
    for (by, flags) in [(By::Soap, &PAGES[..]), (By::Govc, &PAGES), (By::Soap, &["-esx"])] {
        let warm = Warm::new(by, |_| (), flags);
        let first = warm.round();
        assert_eq!(first["full"].as_array().unwrap().len(), 2, "{first}");
        assert_eq!(warm.tracking(), true);
        for number in 1..=4_u64 {
            let mut written = 0;
            for (disk, place, length) in
                [(0, 3, MIB), (0, 8, 3 * MIB), (0, 15, 64 << 10), (1, 2, 128 << 10), (1, 17, 2 * MIB)]
            {
                warm.write(disk, (place + number) * MIB, number as u8, length);
                written += length;
            }
            let before = warm.moved();
            let round = warm.round();
            let moved = round["moved_bytes"].as_u64().unwrap();
            assert_eq!((&round["round"], &round["changed_bytes"]), (&json!(number), &json!(written)), "{round}");
            assert!(moved * 10 <= written * 11, "{moved} of {written}");
            // What the server itself counted: descriptors and first bytes are all that is read beside.
            let served = warm.moved() - before;
            assert!(served * 10 <= written * 11, "{served} of {written}");
            warm.site.nothing_is_left();
        }
        warm.write(0, 5 * MIB, 99, 2 * MIB);
        warm.write(1, 0, 98, 512);
        let report = warm.cutover();
        warm.images_are_right();
        warm.nothing_is_left();
        let end = last(&report);
        assert_eq!(
            (&end["round"], &end["last"], &end["changed_bytes"]),
            (&json!(5), &json!(true), &json!(2 * MIB + (64 << 10)))
        );
        assert_eq!(report["warm"]["source"], json!({"power": "off", "snapshots": 0}), "{by:?}");
        assert_eq!(warm.tracking(), false, "it was off before");
        let held = report["source"]["held"].to_string();
        assert!(held.contains("change tracking of web was turned on"), "{held}");
    }
}

#[test]
fn tracking_that_was_on_before_stays_on_and_what_was_turned_on_is_given_back_when_asked() {
    let warm = Warm::new(By::Soap, |vm| vm["cbt"] = true.into(), &[]);
    warm.round();
    let released = warm.run(warm.on_out("release", &[])).expect(0).json;
    assert_eq!((&released["released"], warm.tracking()), (&json!([]), json!(true)));
    warm.write(0, 4 * MIB, 7, MIB);
    assert_eq!(warm.round()["changed_bytes"], MIB);
    warm.cutover();
    assert_eq!(warm.tracking(), true);
    warm.images_are_right();
    warm.nothing_is_left();

    let warm = Warm::new(By::Govc, |_| (), &[]);
    warm.round();
    let released = warm.run(warm.on_out("release", &[])).expect(0).json;
    assert_eq!(released["released"][0]["took"], "change tracking of web was turned on");
    assert_eq!(warm.tracking(), false);
    warm.site.nothing_is_left();
    warm.write(1, 4 * MIB, 7, MIB);
    let round = warm.run(warm.once()).expect(0).json;
    assert_eq!(last(&round)["full"].as_array().unwrap().len(), 2, "{round}");
    warm.cutover();
    warm.images_are_right();
}

#[test]
fn tracking_that_began_anew_means_that_disk_in_full() {
    for fault in [
        json!({"method": "QueryChangedDiskAreas", "fault": "FileFault"}),
        json!({"method": "QueryChangedDiskAreas", "fault": "InvalidArgument", "skip": 1}),
        Value::Null,
    ] {
        let warm = Warm::new(By::Soap, |_| (), &[]);
        warm.round();
        warm.write(0, 4 * MIB, 7, MIB);
        warm.write(1, 6 * MIB, 8, MIB);
        if fault.is_null() {
            // Its number is another one now.
            warm.site.lab.control("POST", "/cbt-reset?vm=web&disk=1", b"");
        } else {
            warm.site.lab.fault(&fault);
        }
        let report = warm.run(warm.once()).expect(0).json;
        let round = last(&report);
        assert_eq!(round["full"].as_array().unwrap().len(), 1, "{fault}: {round}");
        let warnings = report["warnings"].to_string();
        assert!(
            warnings.contains("tracking began anew since then") && warnings.contains("it is copied in full"),
            "{warnings}"
        );
        warm.cutover();
        warm.images_are_right();
        warm.nothing_is_left();
    }
}

#[test]
fn what_goes_wrong_in_a_round_is_overcome() {
    let warm = Warm::new(By::Soap, |_| (), &PAGES);
    warm.round();
    for (number, fault) in (1..).zip([
        json!({"method": "QueryChangedDiskAreas", "fault": "NotAuthenticated", "skip": 1}),
        json!({"method": "QueryChangedDiskAreas", "delay_ms": 1500}),
        json!({"path": "/sdk", "kind": "503", "skip": 6, "count": 2}),
        json!({"path": "-flat", "kind": "401", "skip": 2}),
        json!({"path": "-flat", "kind": "503", "skip": 1, "count": 3}),
        json!({"path": "-flat", "kind": "drop", "after": 100_000, "skip": 2, "count": 2}),
        json!({"path": "-flat", "kind": "short", "count": 4}),
    ]) {
        warm.write(0, number * MIB, number as u8, MIB);
        warm.write(0, (number + 12) * MIB, number as u8, 3 * MIB);
        warm.write(1, (number + 3) * MIB, number as u8, 512 << 10);
        warm.site.lab.fault(&fault);
        let round = warm.round();
        assert!(round.get("full").is_none(), "{fault}: {round}");
        assert_eq!(round["changed_bytes"], 4 * MIB + (512 << 10), "{fault}");
        assert_eq!(warm.site.lab.state()["pending_faults"], 0, "{fault}");
        warm.site.nothing_is_left();
    }
    // Every session has been idle too long, just when areas are asked for.
    warm.write(1, 9 * MIB, 44, MIB);
    warm.site.lab.fault(&json!({"method": "QueryChangedDiskAreas", "delay_ms": 3000}));
    let mut run = Running::start(warm.once());
    run.wait_for_stage("flatten");
    warm.site.lab.control("POST", "/expire", b"");
    run.end().expect(0);
    warm.cutover();
    warm.images_are_right();
    warm.nothing_is_left();
}

#[test]
fn a_snapshot_that_cannot_be_removed_is_told_and_the_next_round_is_of_a_new_one() {
    for by in By::ALL {
        let warm = Warm::new(by, |_| (), &[]);
        // The first snapshot of a VM that was not tracked goes at once: it is the second one that stays.
        warm.site.lab.fault(
            &json!({"method": "RemoveSnapshot_Task", "task": true, "fault": "FileFault", "skip": 1, "count": 4}),
        );
        let outcome = warm.run(warm.once()).expect(0);
        let warnings = outcome.json["warnings"].to_string();
        assert!(warnings.contains("removing the snapshot") && warnings.contains("`vmdk2kvm release "), "{warnings}");
        assert_eq!(warm.site.lab.state()["snapshots"]["web"].as_array().unwrap().len(), 1);
        warm.write(0, 7 * MIB, 5, MIB);
        assert_eq!(warm.round()["changed_bytes"], MIB);
        warm.site.nothing_is_left();
        warm.cutover();
        warm.images_are_right();
        warm.nothing_is_left();
    }
}

#[test]
fn a_guest_that_cannot_rest_is_read_as_after_a_power_cut() {
    let warm = Warm::new(By::Soap, |_| (), &[]);
    let fault = json!({"method": "CreateSnapshot_Task", "task": true, "fault": "ApplicationQuiesceFault", "quiesce": true, "count": 9});
    warm.site.lab.fault(&fault);
    let report =
        warm.run(warm.warm(&["--set", "warm.rounds=1", "--set", "plugin.vsphere-soap.quiesce=true"])).expect(0).json;
    assert!(report["warnings"].to_string().contains("the snapshot is crash-consistent"), "{}", report["warnings"]);
    warm.cutover();
    warm.images_are_right();
    warm.nothing_is_left();
}

#[test]
fn what_stands_in_the_way_of_rounds_is_refused_before_anything_is_changed() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 2] = [
        (|vm| vm["disks"][1]["mode"] = "independent_persistent".into(), "(disk-independent)"),
        (|vm| vm["snapshots"] = json!(["before"]), "(snapshots-present)"),
    ];
    for (change, code) in cases {
        let warm = Warm::new(By::Soap, change, &[]);
        let snapshots = warm.site.lab.state()["snapshots"].clone();
        let refused = warm.run(warm.once()).expect(81);
        assert!(refused.message().ends_with(code), "{}", refused.message());
        assert!(!refused.hint().is_empty());
        let state = warm.site.lab.state();
        assert_eq!((&state["sessions"], &state["snapshots"]), (&json!(0), &snapshots));
        assert_eq!(warm.tracking(), false);
    }
    // Redo logs that a snapshot left which was removed without them.
    let warm = Warm::new(By::Soap, |_| (), &[]);
    for arguments in
        [&["snapshot.create", "-vm", "web", "-m=false", "x"][..], &["snapshot.remove", "-vm", "web", "-c=false", "x"]]
    {
        let lab = &warm.site.lab;
        let mut govc = Command::new(Vcenter::govc());
        govc.args(arguments).env("GOVC_URL", lab.fact("sdk")).env("GOVC_USERNAME", lab.fact("user_file"));
        govc.env("GOVC_PASSWORD", lab.password_file()).env("GOVC_TLS_CA_CERTS", lab.fact("certificate"));
        govc.env("GOVC_PERSIST_SESSION", "false").env("GOVMOMI_HOME", warm.site.results.path());
        assert!(govc.status().unwrap().success());
    }
    let refused = warm.run(warm.once()).expect(81);
    assert!(refused.message().ends_with("(consolidation-needed)"), "{}", refused.message());
    assert_eq!(warm.tracking(), false);
    // With tracking on a snapshot of somebody else is no obstacle, and stays.
    let warm = Warm::new(
        By::Soap,
        |vm| {
            vm["snapshots"] = json!(["before"]);
            vm["cbt"] = true.into();
        },
        &[],
    );
    warm.round();
    warm.write(0, 9 * MIB, 3, MIB);
    assert_eq!(warm.round()["changed_bytes"], MIB);
    let report = warm.cutover();
    warm.images_are_right();
    assert_eq!(report["warm"]["source"]["snapshots"], 1);
    assert_eq!(warm.site.lab.state()["snapshots"]["web"], json!(["before"]));
}

#[test]
fn a_vm_that_cannot_be_asked_to_shut_down_is_switched_off_only_with_the_users_word() {
    for by in By::ALL {
        let warm = Warm::new(by, |vm| vm["tools"] = false.into(), &[]);
        warm.round();
        let refused = warm.run(warm.on_out("cutover", &[])).expect(81);
        assert!(refused.message().ends_with("(tools-absent)"), "{}", refused.message());
        assert!(refused.hint().ends_with("--power-off"), "{}", refused.hint());
        assert_eq!(warm.site.vms("/web")[0]["power"], "on");
        warm.write(0, 9 * MIB, 3, MIB);
        let report = warm.run(warm.on_out("cutover", &["--power-off"])).expect(0).json;
        assert!(report["warnings"].to_string().contains("switched off as by a power cut"), "{}", report["warnings"]);
        warm.images_are_right();
        warm.nothing_is_left();
    }
}

#[test]
fn a_refusal_in_a_round_changes_nothing_and_leaves_nothing() {
    let warm = Warm::new(By::Soap, |_| (), &[]);
    for (fault, code) in [
        (json!({"method": "ReconfigVM_Task", "fault": "NoPermission"}), 77),
        (json!({"method": "CreateSnapshot_Task", "fault": "NoPermission"}), 77),
        (json!({"method": "CreateSnapshot_Task", "task": true, "fault": "InsufficientResourcesFault"}), 75),
    ] {
        warm.site.lab.fault(&fault);
        let refused = warm.run(warm.once()).expect(code);
        assert!(!refused.hint().is_empty(), "{fault}");
        warm.site.nothing_is_left();
        assert_eq!(warm.tracking(), false, "{fault}");
    }
    warm.round();
    warm.site.lab.fault(&json!({"method": "CreateSnapshot_Task", "fault": "NoPermission"}));
    warm.run(warm.once()).expect(77);
    assert_eq!(warm.tracking(), true, "the rounds go on");
    warm.write(0, 9 * MIB, 3, MIB);
    assert_eq!(warm.round()["changed_bytes"], MIB);
    warm.cutover();
    warm.images_are_right();
    warm.nothing_is_left();
}

#[test]
fn runs_that_are_killed_go_on_and_leave_nothing() {
    for by in By::ALL {
        // Slow enough to be met at work.
        let warm = Warm::new(by, |_| (), &["-rate", "20000000", "-latency", "10ms"]);
        let is_copying = |event: &Value| event["event"] == "progress" && event["stage"] == "flatten";
        let mut seed = 0_u8;
        let mut kill = |command: Command, when: &dyn Fn(&Value) -> bool, what: &str| {
            seed += 1;
            warm.write(usize::from(seed % 2), u64::from(seed) * MIB, seed, MIB);
            let mut run = Running::start(command);
            run.wait_for(what, when);
            // It does not end while the guest writes.
            run.stop("worker-process");
            warm.write(0, u64::from(seed + 1) * MIB, seed, MIB);
            run.kill("worker-process");
            run.end().expect(75);
        };
        let stage =
            |name: &'static str| move |event: &Value| event["event"] == "stage_started" && event["stage"] == name;
        kill(warm.once(), &stage("fetch"), "fetch");
        kill(warm.once(), &stage("flatten"), "flatten");
        kill(warm.once(), &is_copying, "the base");
        warm.round();
        for _ in 0..2 {
            kill(warm.once(), &stage("flatten"), "flatten");
            kill(warm.once(), &is_copying, "changes");
        }
        warm.round();
        // A killed run cannot log out; its session ends by itself.
        warm.site.lab.control("POST", "/expire", b"");
        warm.site.nothing_is_left();
        kill(warm.on_out("cutover", &[]), &is_copying, "the last changes");
        kill(warm.on_out("cutover", &[]), &stage("inspect"), "inspect");
        kill(warm.on_out("cutover", &[]), &stage("fix"), "fix");
        let report = warm.cutover();
        assert_eq!(report["warm"]["source"], json!({"power": "off", "snapshots": 0}), "{by:?}");
        warm.images_are_right();
        warm.site.lab.control("POST", "/expire", b"");
        warm.nothing_is_left();
        assert_eq!(warm.tracking(), false);
    }
}

#[test]
fn an_interrupted_round_leaves_no_snapshot() {
    let warm = Warm::new(By::Soap, |_| (), &["-rate", "20000000"]);
    for _ in 0..2 {
        let mut run = Running::start(warm.once());
        run.wait_for("copying", |event| event["event"] == "progress" && event["stage"] == "flatten");
        run.signal(Signal::INT);
        run.end().expect(130);
        warm.site.nothing_is_left();
        warm.write(0, 2 * MIB, 9, MIB);
    }
    warm.round();
    warm.cutover();
    warm.images_are_right();
    warm.nothing_is_left();
}

#[test]
fn no_secret_is_kept_between_rounds() {
    let warm = Warm::new(By::Soap, |_| (), &[]);
    let trace = ["--set", "warm.rounds=1", "--log-level", "trace"];
    let outcome = warm.run(warm.warm(&trace)).expect(0);
    assert!(!outcome.stderr.contains("lab-P4ss") && !outcome.json.to_string().contains("lab-P4ss"));
    let looked = |folder: PathBuf| {
        let all = names(&folder);
        for name in &all {
            let bytes = std::fs::read(folder.join(name)).unwrap();
            for secret in [&b"lab-P4ss"[..], b"vmware_soap_session"] {
                assert!(!bytes.windows(secret.len()).any(|here| here == secret), "{name}");
            }
        }
        all.len()
    };
    assert!(looked(warm.out()) > 3);
    looked(warm.site.results.path().join("state"));
    warm.cutover();
    assert!(looked(warm.out()) > 3);
    warm.nothing_is_left();
}

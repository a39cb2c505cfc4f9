//! Batches of machines that are migrated in rounds: the first rounds of all ahead of time, then the cut-over of one, of a group, or of all, in a window.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use vmdk2kvm_tests::{Many, Outcome, Running, Signal, names, started};

const MIB: u64 = 1 << 20;

/// Machines that are on: `vm0` and so on, of which the even ones are the group `even`.
struct Live {
    many: Many,
}

impl Live {
    fn new(count: usize) -> Self {
        let many = Many::new(count);
        let vm = |index: usize| {
            let group = ["even", "odd"][index % 2];
            (format!("vm{index}"), format!("group = \"{group}\"\nwarm = {{ enabled = true, rounds = 1 }}"))
        };
        many.list(
            "[defaults]\nformat = \"raw\"\n[retries]\npauses = [0]\n[limits]\ntotal = 2",
            &(0..count).map(vm).collect::<Vec<_>>(),
        );
        let live = Self { many };
        for index in 0..count {
            fs::create_dir_all(live.path(index, "")).unwrap();
            fs::write(live.path(index, "power"), "on").unwrap();
            fs::write(live.path(index, "uuid"), "u1").unwrap();
        }
        live
    }

    /// A file of a machine's folder.
    fn path(&self, index: usize, name: &str) -> PathBuf {
        self.many.room.path(&format!("live/vm{index}")).join(name)
    }

    fn is_on(&self, index: usize) -> bool {
        fs::read_to_string(self.path(index, "power")).unwrap() == "on"
    }

    /// The guest writes.
    fn write(&self, index: usize, offset: u64, bytes: &[u8]) {
        let disk = OpenOptions::new().write(true).open(self.many.room.path(&format!("vm{index}.raw"))).unwrap();
        disk.write_all_at(bytes, offset).unwrap();
        let changes = fs::read_to_string(self.path(index, "changes")).unwrap_or_default();
        fs::write(self.path(index, "changes"), format!("{changes}{offset} {}\n", bytes.len())).unwrap();
    }

    fn command(&self, verb: &str, more: &[&str]) -> Command {
        let mut command = self.many.command(&[verb], more);
        command.env("SLOW_LIVE", self.many.room.path("live")).env("XDG_STATE_HOME", self.many.room.path("state"));
        command
    }

    #[track_caller]
    fn ends(&self, verb: &str, more: &[&str], code: i32) -> (Outcome, Vec<Value>) {
        let mut running = Running::start(self.command(verb, more));
        running.wait_for_end();
        let events = running.events();
        (running.end().expect(code), events)
    }

    fn states(&self) -> Vec<String> {
        let status = self.ends_quietly("status");
        status["jobs"].as_array().unwrap().iter().map(|job| job["state"].as_str().unwrap().to_owned()).collect()
    }

    fn ends_quietly(&self, verb: &str) -> Value {
        self.many.room.run(self.command(verb, &[])).expect(0).json
    }

    /// The image is what the disk is now, but for what the fixer wrote.
    #[track_caller]
    fn image_is_right(&self, index: usize) {
        let mut expected = fs::read(self.many.room.path(&format!("vm{index}.raw"))).unwrap();
        expected[1 << 20..2 << 20].fill(0x5a);
        let image = self.many.room.path(&format!("out/vm{index}/vm{index}-disk1.raw"));
        assert!(fs::read(image).unwrap() == expected, "the image of vm{index} differs");
        let left = names(&self.path(index, ""));
        assert!(!left.iter().any(|name| name.starts_with("frozen") || name == "tracking"), "{left:?}");
    }
}

fn by_name(document: &Value) -> BTreeMap<&str, &Value> {
    document["jobs"].as_array().unwrap().iter().map(|job| (job["name"].as_str().unwrap(), job)).collect()
}

#[test]
fn rounds_of_all_go_ahead_and_cut_overs_follow_by_name_by_group_and_for_all() {
    let live = Live::new(4);
    let (first, _) = live.ends("run", &[], 0);
    assert_eq!((&first.json["totals"]["ready"], &first.json["totals"]["done"]), (&json!(4), &json!(0)));
    assert!((0..4).all(|index| live.is_on(index)), "rounds shut nothing down");
    let page = fs::read_to_string(live.many.room.path("out/batch.html")).unwrap();
    assert!(page.contains("4 ready for cut-over") && page.contains("1 round, 2.00 MiB, "), "{page}");

    // The same command makes further rounds.
    live.write(2, 0, &[9; 4096]);
    live.ends("run", &[], 0);
    let status = live.ends_quietly("status");
    let second = by_name(&status)["vm2"];
    assert_eq!(
        (&second["state"], &second["group"], &second["rounds"]["count"], &second["rounds"]["moved_bytes"]),
        (&json!("ready"), &json!("even"), &json!(2), &json!(4096))
    );
    let age = second["round_age_seconds"].as_f64().unwrap();
    assert!((0.0..3600.0).contains(&age), "{age}");
    let shown = live.command("status", &[]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("2 rounds, the last one 4.00 KiB, ") && shown.contains("4 ready for cut-over"), "{shown}");

    live.write(1, MIB / 2, &[7; 8192]);
    let (one, _) = live.ends("cutover", &["--only", "vm1"], 0);
    assert_eq!(one.json["totals"]["total"], 1);
    live.image_is_right(1);
    assert_eq!([0, 1, 2, 3].map(|index| live.is_on(index)), [true, false, true, true]);
    live.ends("cutover", &["--group", "even"], 0);
    assert_eq!(live.states(), ["done", "done", "done", "ready"]);
    let (_, events) = live.ends("cutover", &["--all"], 0);
    assert_eq!(started(&events), ["vm3"], "what has its cut-over is left alone");
    (0..4).for_each(|index| live.image_is_right(index));
    let (last, events) = live.ends("run", &[], 0);
    assert_eq!((started(&events).len(), &last.json["totals"]["already_done"]), (0, &json!(4)));
}

#[test]
fn no_machine_is_shut_down_when_the_window_is_over_and_those_that_are_down_are_ended() {
    let live = Live::new(3);
    live.ends("run", &[], 0);
    // One has begun and stands still until the window is over; its first run is killed, and it is tried again all the same.
    let mut command = live.command("cutover", &["--all", "--window", "1s", "--limit", "total=1"]);
    command.env("SLOW_STAGE", "fix");
    let mut run = Running::start(command);
    run.wait_for("its fix", |event| event["event"] == "progress" && event["task"] == "stopped");
    run.wait_until("the end of the window", |run| run.said().contains("the window is over"));
    run.kill("batch-process");
    live.many.room.go();
    run.wait_for_end();
    let begun = started(&run.events());
    let late = run.end().expect(75);
    assert_eq!(late.message(), "2 of 3 VMs still wait for their cut-over");
    assert!(late.hint().contains("in the next window"), "{}", late.hint());
    assert_eq!((begun.len(), &begun[0]), (2, &begun[1]));
    assert_eq!((0..3).filter(|index| live.is_on(*index)).count(), 2);
    live.ends("cutover", &["--all", "--window", "2h"], 0);
    (0..3).for_each(|index| live.image_is_right(index));
}

#[test]
fn an_interrupted_cut_over_goes_on_and_one_that_failed_is_told() {
    let live = Live::new(2);
    live.ends("run", &[], 0);
    live.write(0, 0, &[3; 4096]);
    for stage in ["changed", "fix"] {
        let mut command = live.command("cutover", &["--only", "vm0"]);
        command.env("SLOW_STAGE", stage);
        let run = live.many.room.stop_in(stage, command);
        run.signal(Signal::INT);
        run.end().expect(130);
        assert!(!live.is_on(0));
    }
    // Killed, and it is not known how it ended.
    let run = live.many.room.stop_in("convert", live.command("cutover", &["--only", "vm0"]));
    run.signal(Signal::KILL);
    run.end().expect(-1);
    assert_eq!(live.states(), ["lost", "ready"]);
    live.ends("cutover", &["--only", "vm0"], 0);
    live.image_is_right(0);

    // One that hears no request: it stays on, has its rounds, and is told with its code.
    fs::write(live.path(1, "absent"), "").unwrap();
    let (refused, _) = live.ends("cutover", &["--all"], 82);
    assert_eq!(refused.json["totals"]["by_code"], json!({"81": 1}));
    let message = by_name(&refused.json)["vm1"]["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(message, "the guest cannot be asked");
    assert!(live.is_on(1));
    live.ends("cutover", &["--only", "vm1", "--set", "source.power_off=true"], 0);
    live.image_is_right(1);
    // What was allowed once makes no other job of it.
    let (last, events) = live.ends("run", &[], 0);
    assert_eq!((started(&events).len(), &last.json["totals"]["already_done"]), (0, &json!(2)));
}

#[test]
fn a_cut_over_beside_rounds_ends_its_own_vm_and_the_rounds_leave_it_alone() {
    let live = Live::new(2);
    live.ends("run", &[], 0);
    // One at a time: the second waits while the first one stands in its round.
    let mut command = live.command("run", &["--limit", "total=1"]);
    command.env("SLOW_STAGE", "hold");
    let mut rounds = Running::start(command);
    rounds.wait_for("the hold", |event| event["event"] == "progress" && event["task"] == "stopped");
    let first = started(&rounds.events());
    let other = if first == ["vm0"] { "vm1" } else { "vm0" };
    live.ends("cutover", &["--only", other], 0);
    live.many.room.go();
    rounds.wait_for_end();
    assert_eq!(started(&rounds.events()), first, "the other one was done when its turn came");
    let ended = rounds.end().expect(0);
    assert_eq!((&ended.json["totals"]["done"], &ended.json["totals"]["ready"]), (&json!(1), &json!(1)));
}

#[test]
fn what_is_no_cut_over_is_refused() {
    let live = Live::new(1);
    let refused = |more: &[&str], code: i32, message: &str| {
        let (refused, events) = live.ends("cutover", more, code);
        let said = if refused.message().is_empty() { refused.stderr.clone() } else { refused.message().to_owned() };
        assert!(said.contains(message), "{said}");
        (started(&events).len(), live.is_on(0))
    };
    assert_eq!(refused(&["--group", "evn"], 2, "--group evn: the list has no VM of this group"), (0, true));
    // Without a first round there is nothing to end.
    assert_eq!(refused(&["--all"], 82, "1 of 1 VMs failed"), (1, true));
    live.many.list("", &Many::plain(1));
    assert_eq!(refused(&["--all"], 2, "none of these VMs is migrated in rounds"), (0, true));
    assert_eq!(refused(&["--only", "vm0"], 2, "vm0 is not migrated in rounds, and has no cut-over"), (0, true));
}

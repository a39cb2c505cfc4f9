//! What a run holds at its source: taken once, and given back once, by the run itself or by the next, wherever a run is stopped.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::PathBuf;
use std::process::Command;

use vmdk2kvm_tests::{Outcome, Room, Running, STAGES, Signal, names};

/// A room whose source counts its holds.
struct Held {
    room: Room,
}

impl Held {
    fn new() -> Self {
        let room = Room::new();
        std::fs::create_dir_all(room.path("holds")).unwrap();
        Self { room }
    }

    fn counted(&self, mut command: Command) -> Command {
        command.env("SLOW_HOLDS", self.room.path("holds")).env("XDG_STATE_HOME", self.room.path("state"));
        command
    }

    fn migrate(&self, output: &str) -> Command {
        self.counted(self.room.migrate(output, &["--snapshot"]))
    }

    fn release(&self, output: &str) -> Command {
        self.counted(self.room.command(&["release", self.room.path(output).to_str().unwrap()]))
    }

    fn run(&self, command: Command) -> Outcome {
        self.room.run(command)
    }

    fn names(&self, kind: &str) -> Vec<String> {
        names(&self.room.path("holds").join(kind))
    }

    /// How many were taken, how many are held, how many were given back.
    fn counts(&self) -> (usize, usize, usize) {
        (self.names("taken").len(), self.names("held").len(), self.names("released").len())
    }

    /// The user's register.
    fn register(&self) -> Vec<String> {
        names(&self.room.path("state/vmdk2kvm/holds"))
    }

    /// What `doctor` says of holds.
    fn doctor(&self) -> serde_json::Value {
        let mut command = self.counted(self.room.command(&["doctor", "--json"]));
        let output = vmdk2kvm_tests::alone(&mut command).output().unwrap();
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["holds"].clone()
    }

    #[track_caller]
    fn nothing_is_left(&self, output: &str) {
        assert_eq!(self.names("taken"), self.names("released"));
        assert_eq!(self.names("held"), [""; 0]);
        assert_eq!(self.register(), [""; 0]);
        let work = names(&self.room.path(output).join(".vmdk2kvm-work"));
        assert!(!work.iter().any(|name| name.contains("hold")), "{work:?}");
    }
}

#[test]
fn what_was_taken_is_told_and_given_back() {
    let held = Held::new();
    let outcome = held.run(held.migrate("out")).expect(0);
    assert_eq!(held.counts(), (1, 0, 1));
    let id = &held.names("released")[0];
    assert_eq!(std::fs::read_to_string(held.room.path("holds/released").join(id)).unwrap(), "done");
    assert_eq!(outcome.json["source"]["held"], serde_json::json!(["a slow snapshot"]));
    held.nothing_is_left("out");
    assert!(!held.room.path("out/.vmdk2kvm-work").exists());
}

#[test]
fn what_the_user_did_not_allow_is_not_taken() {
    let held = Held::new();
    for word in ["migrate", "inspect"] {
        let command = match word {
            "migrate" => held.room.migrate("out", &[]),
            _ => held.room.command(&["inspect", &held.room.source()]),
        };
        let outcome = held.run(held.counted(command)).expect(81);
        assert_eq!(outcome.message(), "the machine runs, and reading it needs a snapshot");
        assert_eq!(outcome.hint(), "allow it with --snapshot");
    }
    assert_eq!(held.counts(), (0, 0, 0));
    held.nothing_is_left("out");
    assert!(!held.room.path("out").exists());
}

#[test]
fn after_an_interruption_in_any_stage_nothing_is_held() {
    let held = Held::new();
    for stage in STAGES.into_iter().chain(["release"]) {
        let run = held.room.stop_in(stage, held.migrate(stage));
        run.signal(Signal::INT);
        run.end().expect(130);
        assert_eq!(held.names("taken"), held.names("released"));
        if stage != "release" {
            held.nothing_is_left(stage);
        }
        held.run(held.migrate(stage)).expect(0);
        held.nothing_is_left(stage);
    }
}

#[test]
fn a_worker_whose_supervisor_was_killed_gives_back() {
    let held = Held::new();
    let run = held.room.stop_in("fix", held.migrate("out"));
    run.signal(Signal::KILL);
    run.end().expect(-1);
    held.nothing_is_left("out");
}

#[test]
fn after_a_crash_in_any_stage_the_next_run_goes_on_with_the_same_hold() {
    let held = Held::new();
    for stage in ["hold", "flatten", "inspect", "plan", "fix"] {
        let (taken, _, released) = held.counts();
        for time in 1..=2 {
            let run = held.room.stop_in(stage, held.migrate(stage));
            run.kill("worker-process");
            run.end().expect(75);
            assert_eq!(held.counts(), (taken + 1, 1, released), "{stage}, {time}");
            assert_eq!(held.register().len(), 1);
        }
        // What a former run was allowed is no leave for this one, and stays noted.
        held.run(held.counted(held.room.migrate(stage, &[]))).expect(81);
        assert_eq!(held.counts(), (taken + 1, 1, released), "{stage}");
        let outcome = held.run(held.migrate(stage)).expect(0);
        assert_eq!(held.counts(), (taken + 1, 0, released + 1), "{stage}");
        assert_eq!(outcome.json["converged"], true, "{stage}: {:#}", outcome.json["changes"]);
        held.nothing_is_left(stage);
    }
}

#[test]
fn after_a_crash_that_the_source_saw_given_back_nothing_is_given_back_twice() {
    let held = Held::new();
    for stage in ["release", "convert", "test"] {
        let (taken, ..) = held.counts();
        let run = held.room.stop_in(stage, held.migrate(stage));
        run.kill("worker-process");
        run.end().expect(75);
        assert_eq!(held.counts(), (taken + 1, 0, taken + 1), "no byte is read any more in {stage}");
        held.run(held.migrate(stage)).expect(0);
        held.nothing_is_left(stage);
    }
}

#[test]
fn an_error_gives_back_too() {
    let held = Held::new();
    let run = held.room.stop_in("fix", held.migrate("changed"));
    held.room.write_disk(2);
    held.room.go();
    assert_eq!(run.end().expect(65).message(), "disk changed while it was read");
    held.nothing_is_left("changed");
    let mut failing = held.migrate("test");
    failing.env("SLOW_BOOT_FAILS", "1");
    held.run(failing).expect(80);
    held.nothing_is_left("test");
}

#[test]
fn what_is_frozen_is_not_compared() {
    let held = Held::new();
    let mut command = held.migrate("out");
    command.env("SLOW_FROZEN", "1");
    let run = held.room.stop_in("fix", command);
    held.room.write_disk(2);
    held.room.go();
    let report = run.end().expect(0).json;
    assert_eq!((&report["source"]["frozen"], &report["source"]["disks"][0]["after"]), (&true.into(), &().into()));
}

#[test]
fn release_gives_back_what_a_crash_left_and_doctor_names_it() {
    let held = Held::new();
    for stage in ["hold", "fix"] {
        let run = held.room.stop_in(stage, held.migrate(stage));
        let busy = held.run(held.release(stage)).expect(75);
        assert!(busy.message().starts_with("another run"), "{}", busy.message());
        assert_eq!(held.doctor(), serde_json::json!([]), "its run lives");
        run.kill("worker-process");
        run.end().expect(75);
        let named = held.doctor();
        assert_eq!((named[0]["vm"].as_str(), named.as_array().unwrap().len()), (Some("slow"), 1));
        let mut unreachable = held.release(stage);
        unreachable.env("SLOW_RELEASE_FAILS", "1");
        let kept = held.run(unreachable).expect(74);
        assert!(kept.message().ends_with("is still held: no route to the machine"), "{}", kept.message());
        assert_eq!(kept.json["kept"].as_array().unwrap().len(), 1);
        assert_eq!(held.names("held").len(), 1);
        let released = held.run(held.release(stage)).expect(0);
        assert_eq!(released.json["released"].as_array().unwrap().len(), 1);
        assert_eq!(held.doctor(), serde_json::json!([]));
        held.nothing_is_left(stage);
        assert_eq!(held.run(held.release(stage)).expect(0).json["released"], serde_json::json!([]));
    }
    // The work folder is gone, and the register knows.
    let run = held.room.stop_in("fix", held.migrate("gone"));
    run.kill("worker-process");
    run.end().expect(75);
    std::fs::remove_dir_all(held.room.path("gone/.vmdk2kvm-work")).unwrap();
    held.run(held.release("gone")).expect(0);
    held.nothing_is_left("gone");
}

#[test]
fn what_cannot_be_given_back_is_kept_and_told() {
    let held = Held::new();
    let mut command = held.migrate("out");
    command.env("SLOW_RELEASE_FAILS", "1");
    let outcome = held.run(command).expect(0);
    let warnings = outcome.json["warnings"].to_string();
    let release = format!("`vmdk2kvm release {}` tries it again", held.room.path("out").display());
    assert!(warnings.contains("no route to the machine") && warnings.contains(&release), "{warnings}");
    assert_eq!((held.counts(), held.register().len()), ((1, 1, 0), 1));
    held.run(held.release("out")).expect(0);
    held.nothing_is_left("out");
}

#[test]
fn another_job_in_the_same_folder_gives_back_what_it_finds() {
    let held = Held::new();
    let run = held.room.stop_in("fix", held.migrate("out"));
    run.kill("worker-process");
    run.end().expect(75);
    let other: PathBuf = held.room.path("other.raw");
    std::fs::copy(held.room.disk(), &other).unwrap();
    let out = held.room.path("out");
    let source = format!("slow:{}", other.display());
    let command = held.room.command(&["migrate", &source, "--snapshot", "-o", out.to_str().unwrap()]);
    held.run(held.counted(command)).expect(0);
    assert_eq!(held.counts(), (2, 0, 2));
    held.nothing_is_left("out");
}

#[test]
fn a_command_that_looks_gives_back_and_so_does_the_next() {
    let held = Held::new();
    let inspect = || held.counted(held.room.command(&["inspect", &held.room.source(), "--snapshot"]));
    held.run(inspect()).expect(0);
    held.nothing_is_left("none");
    let run = held.room.stop_in("inspect", inspect());
    run.kill("worker-process");
    run.end().expect(75);
    assert_eq!((held.counts(), held.register().len()), ((2, 1, 1), 1));
    let two: Vec<Running> = (0..2).map(|_| held.room.stop_in("inspect", inspect())).collect();
    assert_eq!(held.counts(), (4, 2, 2), "each has one of its own, and the one that was left is given back");
    for run in two {
        run.signal(Signal::INT);
        run.end().expect(130);
    }
    held.nothing_is_left("none");
}

#[test]
fn a_stream_is_brought_once_and_only_where_it_may_be_copied() {
    let held = Held::new();
    let brought = held.room.path("brought");
    std::fs::create_dir(&brought).unwrap();
    let stream = |mut command: Command| {
        command.env("SLOW_STREAM", &brought);
        command
    };
    let inspect = stream(held.room.command(&["inspect", &held.room.source()]));
    let refused = held.run(inspect).expect(69);
    let sentence = "disk: it can only be read as a stream, and `inspect` copies nothing";
    assert!(refused.message().starts_with(sentence), "{}", refused.message());
    assert!(refused.hint().starts_with("`vmdk2kvm migrate` brings the stream"), "{}", refused.hint());

    let expected = held.run(held.room.migrate("expected", &[])).expect(0);
    let migrate = || stream(held.room.migrate("out", &[]));
    // Before it is whole it is brought again; afterwards it is not.
    for (stage, times) in [("deliver", 1), ("inspect", 2), ("fix", 2)] {
        let run = held.room.stop_in(stage, migrate());
        run.kill("worker-process");
        run.end().expect(75);
        assert_eq!(names(&brought).len(), times, "{stage}");
    }
    let outcome = held.run(migrate()).expect(0);
    assert_eq!((outcome.content(), names(&brought).len()), (expected.content(), 2));
    let way = &outcome.json["ways"][0];
    assert_eq!((way["scheme"].as_str(), way["plugin"].as_str()), (Some("slow-stream"), Some("slow-stages 0.1.0")));
    assert_eq!(way["refused"], serde_json::json!(["slow-lane: no plugin carries it"]));
    assert!(!held.room.path("out/.vmdk2kvm-work").exists());
}

//! Ctrl-C, SIGTERM and SIGKILL in each stage: the right exit code, nothing left behind, and the same command ends with the same images.

use std::time::Duration;

use vmdk2kvm_tests::{Outcome, Room, STAGES, Signal, digest, names};

/// What a migration in this room gives when nobody disturbs it.
fn undisturbed(room: &Room) -> (Outcome, Vec<String>) {
    let outcome = room.run(room.migrate("undisturbed", &[])).expect(0);
    (outcome, names(&room.path("undisturbed")))
}

/// Runs the same command again: it continues, and ends as if nothing had happened.
#[track_caller]
fn continues(room: &Room, output: &str, more: &[&str], expected: &(Outcome, Vec<String>)) -> Outcome {
    let outcome = room.run(room.migrate(output, more)).expect(0);
    assert_eq!(outcome.content(), expected.0.content());
    assert_eq!(names(&room.path(output)), expected.1, "the output folder holds the result and nothing else");
    assert_eq!(outcome.json["converged"], true);
    assert_eq!(outcome.json["test"]["verdict"], "passed");
    outcome
}

/// Names of images and reports, which may only be there when they are whole.
fn finals(room: &Room, output: &str) -> Vec<String> {
    let all = names(&room.path(output));
    all.into_iter()
        .filter(|name| name.ends_with(".qcow2") && !name.starts_with('.') || name.ends_with("report.json"))
        .collect()
}

#[test]
fn interrupted_in_each_stage_the_same_command_continues() {
    let room = Room::new();
    let source = digest(&room.disk());
    let expected = undisturbed(&room);
    for signal in [Signal::INT, Signal::TERM] {
        for stage in STAGES {
            let output = format!("{stage}-{}", signal.as_raw());
            let run = room.stop_in(stage, room.migrate(&output, &[]));
            run.signal(signal);
            let outcome = run.end().expect(130);
            assert_eq!((outcome.message(), &outcome.json["error"]["kind"]), ("interrupted", &"interrupted".into()));
            let hint = outcome.hint();
            assert!(hint.starts_with("to continue where this run stopped: /"), "{hint}");
            assert!(hint.contains(&format!("migrate {} -o {}", room.source(), room.path(&output).display())), "{hint}");
            let images = if stage == "test" { vec!["slow-disk1.qcow2".to_owned()] } else { Vec::new() };
            assert_eq!(finals(&room, &output), images, "{stage}");

            let again = continues(&room, &output, &[], &expected);
            if ["convert", "test"].contains(&stage) {
                let before = ["flatten", "inspect", "plan", "fix"].map(|name| again.status(name));
                assert_eq!(before, ["unchanged"; 4], "what was finished is not done again after {stage}");
            }
        }
    }
    assert_eq!(digest(&room.disk()), source);
}

#[test]
fn a_killed_worker_is_said_to_be_and_the_same_command_continues() {
    let room = Room::new();
    let expected = undisturbed(&room);
    for stage in STAGES {
        let run = room.stop_in(stage, room.migrate(stage, &[]));
        run.kill("worker-process");
        let outcome = run.end().expect(75);
        let message = outcome.message();
        assert!(message.starts_with("the worker was killed by signal 9 during "), "{message}");
        // The copy goes on beside other stages.
        assert!(stage == "flatten" || message.ends_with(&stage.to_uppercase()), "{message}");
        assert!(outcome.hint().contains("run the same command again"), "{}", outcome.hint());
        assert!(!finals(&room, stage).iter().any(|name| name.ends_with("json")));
        continues(&room, stage, &[], &expected);
    }
}

#[test]
fn a_killed_supervisor_takes_its_worker_along() {
    let room = Room::new();
    let expected = undisturbed(&room);
    for stage in STAGES {
        let run = room.stop_in(stage, room.migrate(stage, &[]));
        run.signal(Signal::KILL);
        // Nothing is left: that is what the end of a run checks.
        run.end().expect(-1);
        continues(&room, stage, &[], &expected);
    }
}

#[test]
fn after_a_killed_supervisor_the_same_command_waits_for_the_worker_and_continues() {
    let room = Room::new();
    let expected = undisturbed(&room);
    // Far from its next safe point: until the test says so, the worker hears of nothing.
    let mut deaf = room.migrate("out", &[]);
    deaf.env("SLOW_DEAF", "1");
    let mut run = room.stop_in("fix", deaf);
    let alive = room.run(room.migrate("out", &[])).expect(75);
    assert!(alive.message().starts_with("another run (process "), "{}", alive.message());
    run.signal(Signal::KILL);
    run.wait_for_end();
    let mut again = vmdk2kvm_tests::Running::start(room.migrate("out", &[]));
    again.wait_for("the wait", |event| {
        let said = event["message"].as_str().unwrap_or_default();
        said.starts_with("waiting for the end of the run before (process ") && event["event"] == "warning"
    });
    room.go();
    run.end().expect(-1);
    let outcome = again.end().expect(0);
    assert_eq!(outcome.content(), expected.0.content());
    assert_eq!(names(&room.path("out")), expected.1);
}

#[test]
fn a_killed_program_is_an_error_that_a_retry_cures() {
    let room = Room::new();
    let expected = undisturbed(&room);
    let run = room.stop_in("convert", room.migrate("commit", &[]));
    run.kill("sleep 1000000");
    let outcome = run.end().expect(74);
    assert!(outcome.message().ends_with("qemu-img commit was killed by signal 9"), "{}", outcome.message());
    continues(&room, "commit", &[], &expected);
}

#[test]
fn a_conversion_to_another_format_begins_anew_and_leaves_no_working_image() {
    let room = Room::new();
    for signal in [Signal::INT, Signal::KILL] {
        let output = format!("vdi-{}", signal.as_raw());
        let run = room.stop_in("convert", room.migrate(&output, &["--format", "vdi"]));
        match signal {
            Signal::KILL => run.kill("worker-process"),
            signal => run.signal(signal),
        }
        let code = if signal == Signal::KILL { 75 } else { 130 };
        run.end().expect(code);
        room.run(room.migrate(&output, &["--format", "vdi"])).expect(0);
        let left = names(&room.path(&output));
        assert_eq!(
            left,
            ["boot/console.log", "plan.json", "report.html", "report.json", "report.md", "slow-disk1.vdi", "slow.xml"]
        );
    }
}

#[test]
fn a_further_signal_does_not_wait() {
    let room = Room::new();
    let mut run = room.stop_in("convert", room.migrate("out", &[]));
    // A worker that stands still sees no request: the first is passed on to it, the next is an order.
    run.stop("worker-process");
    while !run.has_ended() {
        run.signal(Signal::INT);
        std::thread::sleep(Duration::from_millis(200));
    }
    let outcome = run.end().expect(130);
    assert!(outcome.hint().starts_with("to continue"), "{}", outcome.hint());
    room.run(room.migrate("out", &[])).expect(0);
}

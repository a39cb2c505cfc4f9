//! A batch that is interrupted or killed, in whichever part: nothing is left behind, the same command ends with the same images, and nothing that
//! was finished is done twice.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use vmdk2kvm_tests::{Many, Running, STAGES, Signal, names, started};

const HEAD: &str = "[retries]\npauses = [0, 0]\n[limits]\ntotal = 2";

fn count(events: &[Value], kind: &str) -> usize {
    events.iter().filter(|event| event["event"] == kind).count()
}

/// The digests of a batch that nobody disturbs.
fn undisturbed(count: usize) -> std::collections::BTreeMap<String, String> {
    let many = Many::new(count);
    many.list(HEAD, &Many::plain(count));
    many.run(&[]).0.expect(0);
    many.digests()
}

/// Runs the same command again, which ends as if nothing had happened.
#[track_caller]
fn continues(many: &Many, expected: &std::collections::BTreeMap<String, String>, done: &[String]) {
    let (again, events) = many.run(&[]);
    again.expect(0);
    assert_eq!(&many.digests(), expected);
    let twice: Vec<String> = started(&events).into_iter().filter(|name| done.contains(name)).collect();
    assert!(twice.is_empty(), "{twice:?} were done");
    let left: Vec<String> = names(&many.room.path("out")).into_iter().filter(|name| name.contains("-work")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn ctrl_c_reaches_the_safe_point_of_every_vm_and_a_second_one_kills_none() {
    let expected = undisturbed(3);
    for (signal, stage) in [(Signal::INT, "flatten"), (Signal::TERM, "fix")] {
        let many = Many::new(3);
        many.list(HEAD, &Many::plain(3));
        let mut command = many.command(&["run"], &[]);
        command.env("SLOW_STAGE", stage);
        let mut running = Running::start(command);
        // One that reads its source for two purposes stops at each.
        let stopped = |run: &Running| {
            let events = run.events();
            let stopped = events.iter().filter(|event| event["task"] == "stopped");
            stopped.map(|event| event["job"].to_string()).collect::<BTreeSet<_>>().len()
        };
        running.wait_until("both", |run| stopped(run) == 2);
        running.signal(signal);
        std::thread::sleep(Duration::from_millis(20));
        running.signal(signal);
        running.wait_for_end();
        let events = running.events();
        let ended: Vec<&Value> = events.iter().filter(|event| event["event"] == "job_ended").collect();
        assert_eq!(ended.iter().map(|event| event["exit_code"].as_u64().unwrap()).collect::<Vec<_>>(), [130, 130]);
        let outcome = running.end().expect(130);
        assert_eq!(outcome.message(), "interrupted");
        assert!(outcome.hint().contains("the same command continues"), "{}", outcome.hint());
        let states: Vec<&str> =
            outcome.json["jobs"].as_array().unwrap().iter().map(|job| job["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["waiting"; 3]);
        continues(&many, &expected, &[]);
    }
}

#[test]
fn a_killed_batch_takes_its_vms_along_and_the_same_command_continues() {
    let expected = undisturbed(2);
    for stage in STAGES {
        let many = Many::new(2);
        many.list(HEAD, &Many::plain(2));
        let running = many.room.stop_in(stage, many.command(&["run"], &[]));
        running.signal(Signal::KILL);
        // Nothing is left: that is what the end of a run checks.
        running.end().expect(-1);
        continues(&many, &expected, &[]);
    }
}

#[test]
fn a_killed_vm_is_tried_again_and_the_others_do_not_notice() {
    let expected = undisturbed(2);
    for (word, stage) in [("batch-process", "flatten"), ("worker-process", "inspect"), ("batch-process", "fix")] {
        let many = Many::new(2);
        many.list(HEAD, &Many::plain(2));
        let mut running = many.room.stop_in(stage, many.command(&["run"], &[]));
        running.kill(word);
        running.wait_for("its end", |event| event["event"] == "job_ended");
        let first = running.events().into_iter().find(|event| event["event"] == "job_ended").unwrap();
        assert_eq!((first["exit_code"].as_u64(), first["next"].as_str()), (Some(75), Some("again")), "{word}");
        many.room.go();
        running.wait_for_end();
        assert!(count(&running.events(), "job_started") >= 3);
        running.end().expect(0);
        assert_eq!(many.digests(), expected);
        std::fs::remove_file(many.room.path("go")).unwrap();
    }
}

#[test]
fn of_two_batches_on_one_folder_the_second_is_told() {
    let many = Many::new(1);
    many.list(HEAD, &Many::plain(1));
    let running = many.room.stop_in("inspect", many.command(&["run"], &[]));
    let second = many.room.run(many.command(&["run"], &[])).expect(75);
    assert_eq!(second.message(), format!("another batch is running in {}", many.room.path("out").display()));
    // A part takes no lock of the batch: that of the VM is enough.
    let part = many.room.run(many.command(&["run", "--index", "0"], &[])).expect(75);
    assert!(
        part.json["jobs"][0]["error"]["message"].as_str().unwrap().starts_with("another run (process "),
        "{:#}",
        part.json
    );
    many.room.go();
    running.end().expect(0);
}

//! The same command again: what is finished is not done again, what changed is not mixed, and two at once do not meet.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use vmdk2kvm_tests::{Room, STAGES, Signal, contents, names};

#[test]
fn a_finished_migration_is_recognised_and_nothing_is_done() {
    let room = Room::new();
    let first = room.run(room.migrate("out", &[])).expect(0);
    let before = contents(&room.path("out"));
    // Every stage but the first two would stop for ever.
    for stage in &STAGES[2..] {
        let mut again = room.migrate("out", &[]);
        again.env("SLOW_STAGE", stage);
        let again = room.run(again).expect(0);
        assert_eq!(again.json, first.json);
        assert!(again.stderr.contains("nothing to do: this migration was finished before"), "{}", again.stderr);
    }
    assert_eq!(contents(&room.path("out")), before);
    // Another job does not take it for its own.
    let other = room.run(room.migrate("out", &["--set", "machine.disk_bus=virtio-scsi"])).expect(73);
    assert!(other.message().ends_with("exists already"), "{}", other.message());
    let hint = "it was made by a run that differs in the settings of the new machine; move it away";
    assert!(other.hint().starts_with(hint), "{}", other.hint());
    assert_eq!(contents(&room.path("out")), before);
}

/// `flatten`, `convert` or `fix` of the disk itself, into a folder of the room.
fn leave(room: &Room, command: &str, output: &str, more: &[&str]) -> Command {
    let disk = room.disk();
    let mut run = room.command(&[command, disk.to_str().unwrap(), "-o", room.path(output).to_str().unwrap()]);
    run.args(more);
    run
}

#[test]
fn finished_images_are_recognised_and_nothing_is_done() {
    let room = Room::new();
    for (command, more) in [
        ("flatten", vec![]),
        ("flatten", vec!["--format", "raw"]),
        ("convert", vec!["--format", "vdi"]),
        ("convert", vec!["--compress"]),
        ("fix", vec![]),
    ] {
        let output = format!("{command}{}", more.join(""));
        let first = room.run(leave(&room, command, &output, &more)).expect(0);
        let before = contents(&room.path(&output));
        let again = room.run(leave(&room, command, &output, &more)).expect(0);
        assert_eq!(again.json, first.json, "{output}");
        let said = format!("nothing to do: this `{command}` was finished before");
        assert!(again.stderr.contains(&said), "{output}: {}", again.stderr);
        assert_eq!(contents(&room.path(&output)), before, "{output}");
        if command == "fix" {
            let stored = std::fs::read(room.path(&output).join("report.json")).unwrap();
            assert_eq!(serde_json::from_slice::<serde_json::Value>(&stored).unwrap(), first.json, "{output}");
        }
    }
}

#[test]
fn images_of_another_run_are_not_touched_and_it_is_said_what_differs() {
    let room = Room::new();
    room.run(leave(&room, "flatten", "out", &[])).expect(0);
    // Images of another format have other names.
    room.run(leave(&room, "flatten", "out", &["--format", "raw"])).expect(0);
    let before = contents(&room.path("out"));
    room.run(leave(&room, "flatten", "out", &[])).expect(0);
    let refused = |run: Command, difference: &str| {
        let refused = room.run(run).expect(73);
        assert!(refused.message().ends_with(" exists already"), "{}", refused.message());
        assert_eq!(
            refused.hint(),
            format!("{difference}; move it away, or use another output folder: nothing is overwritten")
        );
        assert_eq!(contents(&room.path("out")), before);
    };
    let differs = |what: &str| format!("it was made by a run that differs in {what}");
    refused(leave(&room, "flatten", "out", &["--compress"]), &differs("the compression"));
    refused(leave(&room, "flatten", "out", &["--resize", "1=+1M"]), &differs("the machine, or the size of a disk"));
    refused(leave(&room, "convert", "out", &[]), &differs("the command (flatten)"));
    let elsewhere = room.path("elsewhere/disk.raw");
    std::fs::create_dir(room.path("elsewhere")).unwrap();
    std::fs::copy(room.disk(), &elsewhere).unwrap();
    let out = room.path("out");
    let other = ["flatten", elsewhere.to_str().unwrap(), "-o", out.to_str().unwrap()];
    refused(room.command(&other), &differs("the source"));
    room.write_disk(2);
    refused(leave(&room, "flatten", "out", &[]), &differs("the content of the source"));
}

#[test]
fn images_that_are_not_as_they_were_left_are_not_taken_for_finished() {
    let room = Room::new();
    let first = room.run(leave(&room, "flatten", "out", &[])).expect(0);
    let image = room.path("out/disk-disk1.qcow2");
    let whole = std::fs::read(&image).unwrap();
    std::fs::write(&image, &whole[..whole.len() - 1]).unwrap();
    let refused = room.run(leave(&room, "flatten", "out", &[])).expect(73);
    let expected = "it was made by this command, but disk-disk1.qcow2 is not as it was made; move it away";
    assert!(refused.hint().starts_with(expected), "{}", refused.hint());
    // Without its image what is remembered says nothing that holds.
    std::fs::remove_file(&image).unwrap();
    let again = room.run(leave(&room, "flatten", "out", &[])).expect(0);
    assert_eq!(again.content(), first.content());
    assert_eq!(std::fs::read(&image).unwrap().len(), whole.len());
}

#[test]
fn after_a_failed_boot_test_only_the_test_is_done_again() {
    let room = Room::new();
    let mut failing = room.migrate("out", &[]);
    failing.env("SLOW_BOOT_FAILS", "1");
    let failed = room.run(failing).expect(80);
    let image = room.path("out/slow-disk1.qcow2");
    let made = image.metadata().unwrap().mtime_nsec();
    let again = room.run(room.migrate("out", &[])).expect(0);
    assert_eq!(again.json["test"]["verdict"], "passed");
    assert_eq!(again.content(), failed.content());
    assert_eq!(image.metadata().unwrap().mtime_nsec(), made);
    let stored: serde_json::Value =
        serde_json::from_slice(&std::fs::read(room.path("out/report.json")).unwrap()).unwrap();
    assert_eq!(stored, again.json);
    assert_eq!(again.json["stages"].as_array().unwrap().len(), STAGES.len());
    assert!(!room.path("out/.vmdk2kvm-work").exists());
}

#[test]
fn a_source_that_changed_after_an_interruption_is_not_mixed_in() {
    let room = Room::new();
    let first = room.run(room.migrate("first", &[])).expect(0);
    for stage in ["flatten", "fix", "convert"] {
        let run = room.stop_in(stage, room.migrate(stage, &[]));
        run.signal(Signal::INT);
        run.end().expect(130);
    }
    let run = room.stop_in("test", room.migrate("test", &[]));
    run.signal(Signal::INT);
    run.end().expect(130);
    let image = contents(&room.path("test"))["slow-disk1.qcow2"].clone();

    room.write_disk(2);
    let second = room.run(room.migrate("second", &[])).expect(0);
    assert_ne!(first.content(), second.content());
    for stage in ["flatten", "fix", "convert"] {
        let again = room.run(room.migrate(stage, &[])).expect(0);
        assert_eq!(again.content(), second.content(), "{stage}");
        let done = ["flatten", "inspect", "plan", "fix", "convert"].map(|name| again.status(name));
        assert_eq!(done, ["done"; 5], "{stage}");
        assert_eq!(names(&room.path(stage)), names(&room.path("second")));
    }
    // An image that is in place already is another source's: it is not replaced.
    let refused = room.run(room.migrate("test", &[])).expect(73);
    assert!(refused.message().ends_with("slow-disk1.qcow2 exists already"), "{}", refused.message());
    assert_eq!(contents(&room.path("test"))["slow-disk1.qcow2"], image);
}

#[test]
fn a_source_that_changes_while_it_is_read_gives_no_result() {
    let room = Room::new();
    let run = room.stop_in("fix", room.migrate("out", &[]));
    room.write_disk(2);
    room.go();
    let outcome = run.end().expect(65);
    assert_eq!(outcome.message(), "disk changed while it was read");
    assert!(!room.path("out/slow-disk1.qcow2").exists());
    let second = room.run(room.migrate("second", &[])).expect(0);
    assert_eq!(room.run(room.migrate("out", &[])).expect(0).content(), second.content());
}

#[test]
fn of_two_at_once_one_wins_and_the_other_says_who() {
    let room = Room::new();
    let expected = room.run(room.migrate("alone", &[])).expect(0);
    let mut first = room.stop_in("fix", room.migrate("out", &[]));
    let worker = first.process("worker-process").unwrap();
    // The copy goes on beside the stage that stands still; the last that changes is its journal, which its record replaces.
    let copy = |ending| room.path("out/.vmdk2kvm-work").join(format!("copy-1.{ending}"));
    first.wait_until("the copy's record", |_| copy("json").exists() && !copy("log").exists());
    let before = names(&room.path("out"));
    let second = room.run(room.migrate("out", &[])).expect(75);
    let message = format!("another run (process {worker}) is working in {}", room.path("out").display());
    assert_eq!((second.message(), second.json["error"]["kind"].as_str()), (message.as_str(), Some("temporary")));
    assert!(second.hint().starts_with("wait until it has ended"), "{}", second.hint());
    // The output is held, whatever folder the other one works in.
    let elsewhere = room.run(room.migrate("out", &["--work-dir", room.path("elsewhere").to_str().unwrap()])).expect(75);
    assert_eq!(elsewhere.message(), format!("another run is working in {}", room.path("out").display()));
    assert_eq!(names(&room.path("out")), before);
    room.go();
    assert_eq!(first.end().expect(0).content(), expected.content());
    assert_eq!(names(&room.path("out")), names(&room.path("alone")));
}

#[test]
fn many_at_once_make_one_result() {
    let room = Room::new();
    let expected = room.run(room.migrate("alone", &[])).expect(0);
    let codes: Vec<i32> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..6).map(|_| scope.spawn(|| room.run(room.migrate("out", &[])).code)).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(codes.contains(&0) && codes.iter().all(|code| [0, 75].contains(code)), "{codes:?}");
    assert_eq!(room.run(room.migrate("out", &[])).expect(0).content(), expected.content());
    assert_eq!(names(&room.path("out")), names(&room.path("alone")));
}

#[test]
fn the_work_folder_is_kept_when_asked_and_may_be_on_another_file_system() {
    let room = Room::new();
    let expected = room.run(room.migrate("alone", &[])).expect(0);
    room.run(room.migrate("kept", &["--keep-work"])).expect(0);
    assert!(room.path("kept/.vmdk2kvm-work/fix.json").is_file());
    room.run(room.migrate("kept", &["--keep-work"])).expect(0);
    assert!(room.path("kept/.vmdk2kvm-work/fix.json").is_file());

    let other = tempfile::tempdir_in("/dev/shm").unwrap();
    assert_ne!(other.path().metadata().unwrap().dev(), room.path("alone").metadata().unwrap().dev());
    let work = ["--work-dir", other.path().to_str().unwrap()];
    // Two outputs with the same name share the folder and nothing in it.
    for output in ["one", "two"] {
        let run = room.stop_in("convert", room.migrate(output, &work));
        run.signal(Signal::INT);
        run.end().expect(130);
    }
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 2);
    for output in ["one", "two"] {
        let again = room.run(room.migrate(output, &work)).expect(0);
        assert_eq!((again.status("flatten"), again.status("fix")), ("unchanged", "unchanged"));
        assert_eq!(again.content(), expected.content());
        assert_eq!(names(&room.path(output)), names(&room.path("alone")));
    }
    assert_eq!(left(other.path()), 0);
}

fn left(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_failed_run_leaves_the_output_folder_as_it_was() {
    let room = Room::new();
    std::fs::remove_file(room.disk()).unwrap();
    room.run(room.migrate("new", &[])).expect(65);
    assert!(!room.path("new").exists());
}

//! Outputs that cannot be made: names that are taken, folders that cannot be written, file systems that are full. Exit code 73, nothing
//! touched, and where it is a matter of room the same command ends right afterwards.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use vmdk2kvm_tests::{Outcome, Room, Running, SmallDisk, contents, names, outcome};

/// Every command that leaves images, with its arguments but the output folder.
fn commands(room: &Room) -> [Vec<String>; 4] {
    let disk = room.disk().to_str().unwrap().to_owned();
    [
        vec!["migrate".to_owned(), room.source()],
        vec!["flatten".to_owned(), disk.clone()],
        vec!["fix".to_owned(), disk.clone()],
        vec!["convert".to_owned(), disk, "--format".to_owned(), "raw".to_owned()],
    ]
}

fn into(room: &Room, arguments: &[String], output: &Path) -> Command {
    let mut command = room.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    command.arg("-o").arg(output);
    command
}

#[track_caller]
fn refused(outcome: Outcome, message: &str) {
    let outcome = outcome.expect(73);
    assert_eq!((outcome.message(), &outcome.json["error"]["kind"]), (message, &"output".into()));
    assert!(!outcome.hint().is_empty());
}

#[test]
fn a_name_that_is_taken_is_refused_and_what_has_it_is_not_touched() {
    let room = Room::new();
    for arguments in commands(&room) {
        let free = room.path(&format!("{}-free", arguments[0]));
        room.run(into(&room, &arguments, &free)).expect(0);
        let mut taken: Vec<String> =
            names(&free).into_iter().map(|name| name.split('/').next().unwrap().to_owned()).collect();
        taken.dedup();
        assert!(!taken.is_empty() && !taken.iter().any(|name| name.starts_with('.')), "{taken:?}");
        for name in taken {
            let output = room.path(&format!("{}-{name}", arguments[0]));
            std::fs::create_dir(&output).unwrap();
            std::fs::write(output.join(&name), "somebody else's").unwrap();
            let before = contents(&output);
            let mut run = Running::start(into(&room, &arguments, &output));
            run.wait_for("the end of its stage", |event| {
                event["event"] == "stage_finished" && event["status"] == "failed"
            });
            refused(run.end(), &format!("{} exists already", output.join(&name).display()));
            assert_eq!(contents(&output), before);
            assert!(!output.join(".vmdk2kvm-work").exists());
        }
        // Its own result is recognised.
        let before = contents(&free);
        room.run(into(&room, &arguments, &free)).expect(0);
        assert_eq!(contents(&free), before);
    }
}

#[test]
fn a_dangling_symlink_takes_a_name_too() {
    let room = Room::new();
    let output = room.path("out");
    std::fs::create_dir(&output).unwrap();
    std::os::unix::fs::symlink(room.path("elsewhere"), output.join("slow-disk1.qcow2")).unwrap();
    refused(
        room.run(room.migrate("out", &[])),
        &format!("{} exists already", output.join("slow-disk1.qcow2").display()),
    );
    assert!(!room.path("elsewhere").exists());
}

#[test]
fn a_file_where_the_folder_should_be_is_refused() {
    let room = Room::new();
    let file = room.path("file");
    std::fs::write(&file, "somebody else's").unwrap();
    for arguments in commands(&room) {
        refused(room.run(into(&room, &arguments, &file)), &format!("{} is not a folder", file.display()));
        let below = file.join("below/out");
        let outcome = room.run(into(&room, &arguments, &below)).expect(73);
        let message = format!("the folder {} cannot be made: Not a directory (os error 20)", below.display());
        assert_eq!(outcome.message(), message);
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "somebody else's");
}

#[test]
fn a_folder_without_permission_is_refused() {
    let room = Room::new();
    let mode = std::os::unix::fs::PermissionsExt::from_mode;
    let closed = room.path("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, mode(0o555)).unwrap();
    for arguments in commands(&room) {
        for output in [closed.clone(), closed.join("out")] {
            let mut command = into(&room, &arguments, &output);
            if rustix::process::geteuid().is_root() {
                // Nothing is forbidden to root: as another user, who cannot write here.
                command.uid(65534).gid(65534);
            }
            let outcome = outcome(&command.arg("--json").output().unwrap()).expect(73);
            let folder = if output == closed { closed.join(".vmdk2kvm-work") } else { output };
            let message = format!("the folder {} cannot be made: Permission denied (os error 13)", folder.display());
            assert_eq!(outcome.message(), message);
        }
    }
    assert_eq!(names(&closed), Vec::<String>::new());
}

#[test]
fn a_disk_that_is_too_small_is_refused_before_anything_is_copied() {
    let room = Room::new();
    let output = room.path("small");
    std::fs::create_dir(&output).unwrap();
    let disk = SmallDisk::mount(&output, 20 << 20);
    for arguments in commands(&room) {
        let outcome = room.run(disk.inside(&into(&room, &arguments, &output))).expect(73);
        let message = format!("{} has 20.0 MiB free, the disks need 33.6 MiB", output.display());
        assert_eq!(outcome.message(), message);
        assert!(outcome.hint().starts_with("free some space"), "{}", outcome.hint());
        assert_eq!(names(&disk.path()), Vec::<String>::new(), "the folder is as it was");
    }
    // A conversion needs room for the working image and for the result.
    let bigger = room.path("bigger");
    std::fs::create_dir(&bigger).unwrap();
    let disk = SmallDisk::mount(&bigger, 50 << 20);
    let outcome = room.run(disk.inside(&room.migrate("bigger", &["--format", "vhdx"]))).expect(73);
    assert!(outcome.message().ends_with("the disks need 67.2 MiB"), "{}", outcome.message());
}

/// The disk becomes full while a stage works; with room again the same command completes.
#[test]
fn a_disk_that_becomes_full_stops_the_run_and_with_room_it_completes() {
    let room = Room::new();
    let expected = room.run(room.migrate("undisturbed", &[])).expect(0);
    for stage in ["inspect", "flatten"] {
        let output = room.path(stage);
        std::fs::create_dir(&output).unwrap();
        let disk = SmallDisk::mount(&output, 80 << 20);
        let _ = std::fs::remove_file(room.path("go"));
        let run = room.stop_in(stage, disk.inside(&room.migrate(stage, &[])));
        disk.fill();
        room.go();
        let outcome = run.end().expect(73);
        // The copy's own error says so; what an appliance makes of it does not.
        let full = ["No space left on device", "the file system of"];
        assert!(full.iter().any(|words| outcome.message().contains(words)), "{}", outcome.message());
        assert!(outcome.hint().contains("free s"), "{}", outcome.hint());
        let left = names(&disk.path());
        assert!(!left.iter().any(|name| name.ends_with(".qcow2") && !name.starts_with('.')), "{left:?}");
        assert!(!left.contains(&"report.json".to_owned()), "{left:?}");
        disk.make_room();
        let again = room.run(disk.inside(&room.migrate(stage, &[]))).expect(0);
        assert_eq!(again.content(), expected.content());
        assert_eq!(names(&disk.path()), names(&room.path("undisturbed")));
    }
}

/// `ulimit -f`: the second way for a write to fail, which by default ends a process with a signal.
#[test]
fn a_limit_on_file_sizes_stops_the_run_and_without_it_the_run_completes() {
    let room = Room::new();
    for arguments in commands(&room) {
        let output = room.path(&arguments[0]);
        let command = into(&room, &arguments, &output);
        let mut limited = Command::new("prlimit");
        limited.args(["--fsize=10485760", "--"]).arg(command.get_program()).args(command.get_args());
        limited.envs(room.environment());
        let outcome = room.run(limited).expect(73);
        assert!(outcome.message().contains("File too large"), "{}", outcome.message());
        assert!(outcome.hint().contains("ulimit -f"), "{}", outcome.hint());
        room.run(into(&room, &arguments, &output)).expect(0);
    }
}

//! A plugin in a process of its own: its environment, its bytes, its errors, and its death.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use vmdk2kvm_tests::{Outcome, Room, Running, Signal, digest, example};

/// A room with the plugin.
fn room() -> Room {
    let room = Room::new();
    std::fs::copy(example("far_disk"), room.program().with_file_name("far_disk.so")).unwrap();
    room
}

fn source(room: &Room) -> String {
    format!("far:{}", room.disk().display())
}

fn flatten(room: &Room, output: &str) -> Command {
    room.command(&["flatten", &source(room), "--format", "raw", "-o", room.path(output).to_str().unwrap()])
}

/// The one image of an output folder.
fn image(room: &Room, output: &str) -> PathBuf {
    let entries = std::fs::read_dir(room.path(output)).unwrap().flatten().map(|entry| entry.path());
    entries.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "raw")).expect("an image")
}

#[track_caller]
fn said(outcome: &Outcome) -> String {
    assert_eq!(outcome.json["error"]["plugin"], "far-disk 0.1.0", "{}", outcome.json["error"]);
    outcome.message().to_owned()
}

#[test]
fn the_process_is_started_with_its_environment() {
    let room = room();
    let named = |more: &[&str]| {
        let mut command = room.command(&["inventory", &source(&room)]);
        command.args(more);
        room.run(command).expect(0).json["vms"][0]["name"].clone()
    };
    let libs = room.path("libs");
    std::fs::create_dir(&libs).unwrap();
    let set = format!("plugin.far-disk.libdir={}", libs.display());
    assert_eq!(named(&["--set", &set]), format!("FAR_DISK_IS=far FAR_DISK_LIBS={}/lib64", libs.display()));
    assert_eq!(named(&[]), "FAR_DISK_IS=far", "a setting without a value sets nothing");
}

#[test]
fn the_bytes_are_those_of_the_disk() {
    let room = room();
    room.run(flatten(&room, "out")).expect(0);
    assert_eq!(digest(&image(&room, "out")), digest(&room.disk()));
}

#[test]
fn errors_keep_their_kind_and_hint() {
    let room = room();
    let mut missing = room.command(&["flatten", "far:/nonexistent/disk", "-o", room.path("out").to_str().unwrap()]);
    missing.env("RUST_BACKTRACE", "0");
    let outcome = room.run(missing).expect(65);
    assert!(said(&outcome).contains("/nonexistent/disk: No such file or directory"), "{}", outcome.message());
    assert_eq!(outcome.hint(), "look for it");
    let mut bad = flatten(&room, "bad");
    bad.env("FAR_BAD", "1");
    let outcome = room.run(bad).expect(69);
    assert!(said(&outcome).ends_with("the second half is not there"), "{}", outcome.message());
    assert_eq!(outcome.hint(), "find it");
    let outcome = room.run(room.command(&["inventory", "far:secret"])).expect(78);
    assert_eq!(
        (said(&outcome).as_str(), outcome.hint()),
        ("the secrets are Some(\"a session\") and None", "tell nobody")
    );
}

#[test]
fn a_death_in_a_call_names_the_plugin_and_the_call() {
    let room = room();
    let end = |object: &str| {
        let uri = format!("far:{object}");
        let outcome = room.run(room.command(&["flatten", &uri, "-o", room.path("out").to_str().unwrap()]));
        assert_eq!(outcome.json["error"]["kind"], "defect", "{}", outcome.json["error"]);
        said(&outcome)
    };
    let process = "the process of the plugin far-disk 0.1.0";
    let crash = end("crash");
    assert!(crash.ends_with(&format!("{process} was killed by signal 6 in Transport::open")), "{crash}");
    let exit = end("exit");
    assert!(exit.ends_with(&format!("{process} ended by itself in Transport::open")), "{exit}");
}

/// Starts a run that has read half of the disk.
fn stopped(room: &Room, output: &str) -> Running {
    let mut command = flatten(room, output);
    command.env("FAR_STOP", room.path("go"));
    let mut running = Running::start(command);
    running.wait_for("half of the disk", |event| event["event"] == "progress" && event["task"] == "stopped");
    running
}

#[test]
fn a_killed_process_is_said_to_be_and_the_same_command_continues() {
    let room = room();
    let run = stopped(&room, "out");
    run.kill("plugin-process");
    let outcome = run.end().expect(75);
    let killed = "the process of the plugin far-disk 0.1.0 was killed by signal 9 in BlockSource::read_at";
    assert!(said(&outcome).ends_with(killed), "{}", outcome.message());
    assert!(outcome.hint().contains("run the same command again"), "{}", outcome.hint());
    room.run(flatten(&room, "out")).expect(0);
    assert_eq!(digest(&image(&room, "out")), digest(&room.disk()));
}

#[test]
fn signals_to_the_whole_group_are_left_to_the_host() {
    let room = room();
    let run = stopped(&room, "out");
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        run.signal_to("plugin-process", signal);
    }
    std::fs::write(room.path("go"), "").unwrap();
    run.end().expect(0);
    assert_eq!(digest(&image(&room, "out")), digest(&room.disk()));
}

#[test]
fn an_answer_that_is_too_long_with_its_envelope_is_an_error() {
    let room = room();
    let outcome = room.run(room.command(&["inventory", "far:long"])).expect(1);
    let why = "the answer of Catalog::inventory is longer than 64 MiB, which is the most that one document may have";
    assert_eq!(said(&outcome), why);
}

#[test]
fn what_is_dropped_may_say_goodbye() {
    let room = room();
    let mut command = flatten(&room, "out");
    let goodbye = room.path("out").join("goodbye");
    command.env("FAR_GOODBYE", &goodbye);
    room.run(command).expect(0);
    assert!(goodbye.exists());
}

/// The process as its host starts it, told of another manifest than the library has: as if it had been replaced meanwhile.
#[test]
fn a_library_that_is_another_one_by_now_is_not_loaded() {
    let room = room();
    let library = room.program().with_file_name("far_disk.so");
    let shown = room.run(room.command(&["plugin", "show", "far-disk"])).expect(0);
    let loaded = |summary: &str| {
        let mut manifest = shown.json.clone();
        manifest["summary"] = summary.into();
        let start = json!({"path": library, "kind": "built_in", "digest": null, "manifest": manifest, "settings": {},
            "log_level": 0});
        let text = json!({"start": start}).to_string();
        let (mut host, process) = UnixStream::pair().unwrap();
        let (_door, its_door) = UnixStream::pair().unwrap();
        let mut command = Command::new(room.program());
        command.arg("plugin-process").stdin(OwnedFd::from(process)).stdout(OwnedFd::from(its_door));
        let mut child = command.spawn().unwrap();
        drop(command);
        host.write_all(&u32::try_from(text.len()).unwrap().to_be_bytes()).unwrap();
        host.write_all(text.as_bytes()).unwrap();
        let mut length = [0; 4];
        host.read_exact(&mut length).unwrap();
        let mut said = vec![0; u32::from_be_bytes(length) as usize];
        host.read_exact(&mut said).unwrap();
        drop(host);
        child.wait().unwrap();
        serde_json::from_slice::<Value>(&said).unwrap()["started"].clone()
    };
    assert_eq!(loaded("A raw disk from a process of its own"), json!({"Ok": true}));
    assert_eq!(loaded("Another disk")["Err"]["message"], "it changed while it was being loaded");
}

#[test]
fn a_run_that_ends_takes_the_process_along() {
    let room = room();
    let run = stopped(&room, "interrupted");
    run.signal(Signal::INT);
    assert_eq!(run.end().expect(130).message(), "interrupted");
    for word in ["worker-process", "vmdk2kvm flatten"] {
        let run = stopped(&room, "killed");
        assert!(run.process("plugin-process").is_some());
        match word {
            "worker-process" => run.kill(word),
            _ => run.signal(Signal::KILL),
        }
        // Checks that no process is left.
        run.end();
    }
}

#[test]
fn the_promises_of_a_fetcher_hold_across_processes() {
    let room = room();
    let file = room.program().with_file_name("far_disk.so");
    let checked = room.run(room.command(&["plugin", "check", file.to_str().unwrap(), "--sample", &source(&room)]));
    let outcome = checked.expect(0);
    assert_eq!(outcome.json["process"]["own"], true);
}

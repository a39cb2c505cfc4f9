//! Progress in bytes, against what has to be copied: a sparse disk's holes are no work, and the end is the end.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use vmdk2kvm_tests::{Room, alone, binary, outcome};

/// Bytes of each disk, nearly all of them a hole.
const CAPACITY: u64 = 8 << 30;
const MIB: u64 = 1 << 20;

/// A sparse raw disk with so many pieces of one MiB, far apart.
fn write_sparse(path: &Path, pieces: u64) {
    let file = File::create(path).unwrap();
    file.set_len(CAPACITY).unwrap();
    for piece in 0..pieces {
        file.write_all_at(&vec![piece as u8 + 1; MIB as usize], piece * (CAPACITY / pieces)).unwrap();
    }
}

#[test]
fn a_sparse_disk_counts_its_data_and_ends_complete() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    write_sparse(&folder.path().join("a.raw"), 5);
    write_sparse(&folder.path().join("b.raw"), 3);
    let made = Command::new("qemu-img")
        .args(["convert", "-f", "raw", "-O", "vmdk", &path("b.raw"), &path("b.vmdk")])
        .status()
        .expect("qemu-img (package qemu-utils)");
    assert!(made.success());

    let mut command = Command::new(binary());
    command.args(["flatten", &path("a.raw"), "--disk", &path("b.vmdk"), "--json", "--no-progress"]);
    command.args(["-o", &path("out"), "--events", &path("events")]);
    outcome(&alone(&mut command).output().unwrap()).expect(0);

    let text = std::fs::read_to_string(path("events")).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (disk, pieces) in [(0, 5), (1, 3)] {
        let of_disk = |event: &&Value| event["event"] == "progress" && event["task"] == "copy" && event["disk"] == disk;
        let figures: Vec<(u64, u64)> = events
            .iter()
            .filter(of_disk)
            .map(|event| (event["done_bytes"].as_u64().unwrap(), event["total_bytes"].as_u64().unwrap()))
            .collect();
        // A file system or a format may round the data up, by a little.
        let total = figures[0].1;
        assert!((pieces * MIB..=(pieces + 1) * MIB).contains(&total), "{figures:?}");
        assert!(figures.iter().all(|figure| figure.1 == total), "the total changed: {figures:?}");
        assert!(figures.is_sorted(), "{figures:?}");
        assert_eq!(figures.last().unwrap().0, total, "{figures:?}");
    }
}

/// On a terminal, as somebody sees it who waits: `script` is one that writes down what it is shown.
#[test]
fn a_copy_that_waits_says_for_what_and_the_answer_is_the_last_line() {
    let room = Room::new();
    let seen = room.path("seen");
    let words = ["migrate", &room.source(), "-o", room.path("out").to_str().unwrap()].map(str::to_owned);
    let line = format!("exec {} {}", room.program().display(), words.join(" "));
    let mut script = Command::new("script");
    script.args(["--quiet", "--flush", "--return", "--command", &line]).arg(&seen).envs(room.environment());
    script.env("SLOW_STAGE", "fix").env("TERM", "xterm").env("COLUMNS", "120");
    let mut child =
        alone(&mut script).stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("script (package bsdutils)");
    let text = || String::from_utf8_lossy(&std::fs::read(&seen).unwrap_or_default()).into_owned();
    let waits = "done; waiting for the guest's fixes";
    while !text().contains(waits) {
        assert!(child.try_wait().unwrap().is_none(), "{}", text());
        std::thread::sleep(Duration::from_millis(10));
    }
    room.go();
    assert!(child.wait().unwrap().success(), "{}", text());
    let text = text();
    assert!(text.contains("beside FLATTEN"), "{text}");
    // What `script` says itself comes behind all of it.
    let shown = text.split("\nScript done").next().unwrap();
    let plain: Vec<&str> = shown.split("\r\n").filter(|line| !line.trim().is_empty()).collect();
    let last = plain.last().unwrap();
    assert_eq!(*last, format!("report   {}", room.path("out/report.html").display()), "{text}");
}

/// The copy runs beside the guest's stages, and its time is not theirs.
#[test]
fn the_time_of_the_copy_is_its_own() {
    let room = Room::new();
    let mut run = room.stop_in("fix", room.migrate("out", &[]));
    let record = room.path("out/.vmdk2kvm-work/copy-1.json");
    run.wait_until("the disk is copied", |_| record.exists());
    let more = Duration::from_secs(2);
    std::thread::sleep(more);
    room.go();
    let report = run.end().expect(0).json;
    let end = |stage: &str| {
        let stages = report["stages"].as_array().unwrap();
        let stage = stages.iter().find(|record| record["name"] == stage).unwrap();
        stage["started_seconds"].as_f64().unwrap() + stage["seconds"].as_f64().unwrap()
    };
    // What there is to be done between the record and the end of the copy takes far less.
    let between = end("fix") - end("flatten");
    assert!(between > more.as_secs_f64() / 2.0, "{between}");
}

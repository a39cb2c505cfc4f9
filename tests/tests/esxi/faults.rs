//! What goes wrong on the way: what can be overcome is, and what cannot has its code and its sentence.

use std::fs;

use serde_json::json;
use vmdk2kvm_tests::{Esxi, Running, Signal};

use crate::{add_web, content, one, sha256};

#[test]
fn what_breaks_on_the_way_is_read_again() {
    let (host, vmx, truth) = one("off");
    for (number, faults) in [
        json!([{"command": "dd", "path": "-flat", "kind": "cut", "after": 100_000, "skip": 1, "count": 2}]),
        json!([{"command": "dd", "path": "-flat", "kind": "cut", "after": 0}]),
        json!([{"command": "dd", "path": "-flat", "kind": "status", "after": 2_000_000}]),
        json!([{"command": "dd", "path": "-flat", "kind": "status", "after": 100_000_000}]),
        json!([{"command": "dd", "path": "-flat", "kind": "short", "after": 1_000_000, "count": 2}]),
        json!([{"command": "dd", "path": "-flat", "kind": "long", "after": 512}]),
        json!([{"command": "dd", "path": "-flat", "kind": "stall", "after": 70_000}]),
        json!([{"command": "dd", "path": ".vmx", "kind": "short", "after": 20}]),
        json!([{"command": "dd", "path": ".vmx", "kind": "cut", "after": 20}]),
    ]
    .into_iter()
    .enumerate()
    {
        host.faults(&faults);
        let output = number.to_string();
        host.flatten(&vmx, &output, &[]).expect(0);
        assert_eq!(host.image(&output), truth, "{faults}");
        let left = std::fs::read_to_string(host.path("faults.json")).unwrap();
        assert_eq!(left, "[]", "a fault of {faults} was not met");
    }
    assert!(host.peak() <= 4, "{}", host.peak());
}

#[test]
fn what_stays_broken_has_its_code_and_its_sentence() {
    let (host, vmx, truth) = one("off");
    for (faults, code, sentence) in [
        (json!([{"command": "dd", "kind": "short", "after": 512, "count": 100}]), 74, "512 bytes came where "),
        (json!([{"command": "dd", "kind": "status", "after": 512, "count": 100}]), 74, "Input/output error"),
        (json!([{"command": "dd", "kind": "cut", "after": 512, "count": 100}]), 74, "broke while reading"),
        (json!([{"command": "dd", "kind": "stall", "after": 512, "count": 100}]), 74, "nothing came for 3 s"),
        (
            json!([{"command": "dd", "path": "-flat", "kind": "says", "words": "Device or resource busy", "count": 100}]),
            75,
            "web-flat.vmdk: a running VM has it locked (Device or resource busy)",
        ),
        (
            json!([{"command": "dd", "kind": "says", "words": "Permission denied", "count": 100}]),
            77,
            "Permission denied",
        ),
        (
            json!([{"command": "stat", "path": "-flat", "kind": "says", "words": "No such file or directory"}]),
            65,
            "it is not there",
        ),
        (
            json!([{"command": "vim-cmd", "path": "getallvms", "kind": "says", "words": "(vim.fault.NoPermission) {", "count": 9}]),
            77,
            "listing the host's VMs: the host refuses it: (vim.fault.NoPermission) {",
        ),
    ] {
        host.faults(&faults);
        let failed = host.flatten(&vmx, "out", &[]).expect(code);
        assert!(failed.message().contains(sentence) && !failed.hint().is_empty(), "{faults}: {}", failed.message());
    }
    // What was copied before is kept.
    host.faults(&json!([]));
    host.flatten(&vmx, "out", &[]).expect(0);
    assert_eq!(host.image("out"), truth);
}

#[test]
fn a_disk_that_a_running_vm_writes_to_is_refused_and_what_lies_below_is_read() {
    let (host, _, _) = one("off");
    // Two VMs with one disk: the one that is off cannot read what the other one writes.
    let vmx = host.add("other", "off", &["/vmfs/volumes/ds 1/web/web.vmdk"], "");
    host.power("web", "on");
    let refused = host.flatten(&vmx, "out", &[]).expect(75);
    assert!(refused.message().ends_with("web-flat.vmdk: a running VM has it locked (Device or resource busy)"));
    assert!(refused.hint().contains("--snapshot"), "{}", refused.hint());
}

#[test]
fn a_snapshot_that_cannot_be_made_is_no_hold() {
    let (host, vmx, _) = one("on");
    for (words, code) in [("(vim.fault.RestrictedVersion) {", 77), ("Create snapshot failed", 74)] {
        host.faults(&json!([{"command": "vim-cmd", "path": "snapshot.create", "kind": "says", "words": words}]));
        let failed = host.flatten(&vmx, "out", &["--snapshot"]).expect(code);
        assert!(failed.message().starts_with("making a snapshot of web: the host refuses it"), "{}", failed.message());
    }
    assert!(!host.folder("web").join("web.vmsd").exists());
}

#[test]
fn a_run_that_is_killed_or_stopped_goes_on_where_it_was() {
    let host = Esxi::start();
    // More than is read at once: a part of it is durable while another one is on its way.
    let bytes: Vec<u8> = (1..=16).flat_map(content).collect();
    let bytes = &bytes[..128 << 20];
    let disk = host.flat("web", "web", bytes);
    let vmx = host.add("web", "off", &[&disk], "");
    let arguments = host.flattening(&vmx, "out", &[]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // What every `dd` so far was asked for, in bytes.
    let read = || -> u64 {
        let number = |command: &str, key: &str| command.split(key).nth(1)?.split(' ').next()?.parse::<u64>().ok();
        let of = |command: &String| Some(number(command, " bs=")? * number(command, " count=")?);
        host.commands().iter().filter_map(of).sum()
    };
    // Six seconds for what is read at once; a commit comes after five.
    host.faults(&json!([{"command": "dd", "kind": "slow", "milliseconds": 25, "count": 100_000}]));
    let log = host.results.path().join("out/.vmdk2kvm-work/copy-1.log");
    let mut run = Running::start(host.command(&arguments));
    run.wait_until("a commit", |_| fs::metadata(&log).is_ok_and(|log| log.len() > WITHOUT_COMMIT));
    run.kill("worker-process");
    run.end().expect(75);
    let mut run = Running::start(host.command(&arguments));
    run.wait_for("bytes", |event| event["done_bytes"].as_u64().is_some_and(|done| done > 0));
    run.signal(Signal::INT);
    run.end().expect(130);
    host.faults(&json!([]));
    let before = read();
    host.run(&arguments).expect(0);
    assert_eq!(host.image("out"), sha256(bytes));
    let again = read() - before;
    assert!(again <= bytes.len() as u64 - (2 << 20), "{again} bytes were read again: nothing was kept");
}

/// No log of a copy is longer before its first commit, in bytes.
const WITHOUT_COMMIT: u64 = 100;

#[test]
fn a_host_without_ssh_says_how_to_start_it() {
    let (host, vmx, _) = one("off");
    let uri = host.uri(&vmx);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (begin, rest) = uri.split_once("127.0.0.1:").unwrap();
    let (_, path) = rest.split_once('/').unwrap();
    let refused = host.run(&["inventory", &format!("{begin}127.0.0.1:{closed}/{path}")]).expect(74);
    assert_eq!(refused.message(), format!("127.0.0.1:{closed} refuses SSH (host-ssh-off)"));
    assert!(refused.hint().starts_with("start the service SSH of the host"), "{}", refused.hint());
}

#[test]
fn several_runs_share_the_budget_of_a_host() {
    let host = Esxi::start();
    let (vmx, truth) = add_web(&host, "off");
    host.faults(&json!([{"command": "dd", "kind": "slow", "milliseconds": 2, "count": 100_000}]));
    let runs: Vec<Running> = (0..3)
        .map(|number| {
            let arguments = host.flattening(&vmx, &format!("out-{number}"), &[]);
            let command = host.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
            // One budget: they are of one user, with one folder for what goes with the machine.
            Running::start_sharing(command, &host.results.path().join("runtime"))
        })
        .collect();
    for (number, run) in runs.into_iter().enumerate() {
        run.end().expect(0);
        assert_eq!(host.image(&format!("out-{number}")), truth);
    }
    assert!(host.peak() <= 4, "{} commands at once", host.peak());
    let failed = host.run(&["inventory", &host.uri(&vmx), "--set", "plugin.ssh.sessions=9"]).expect(78);
    assert_eq!(failed.message(), "plugin.ssh.sessions is 9, not a number from 1 to 4");
}

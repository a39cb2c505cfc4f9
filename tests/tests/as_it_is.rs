//! A guest that nobody can fix moves as it is, and the user's word for that covers the guest, not what the source says of the VM.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use serde_json::{Value, json};
use vmdk2kvm_tests::{Outcome, Room};

/// A migration of the room's VM whose system is of this kind.
fn migrate(room: &Room, system: &str, output: &str, more: &[&str]) -> Outcome {
    let mut command = room.migrate(output, more);
    command.env("SLOW_SYSTEM", system);
    room.run(command)
}

/// Bus of the disk, whether it has virtio devices, changes, and how FIX and TEST ended.
fn moved(outcome: &Outcome) -> Value {
    let (report, machine) = (&outcome.json, &outcome.json["machine"]);
    json!([
        machine["disks"][0]["bus"],
        machine["paravirtual"],
        report["changes"].as_array().map_or(0, Vec::len),
        outcome.status("fix"),
        report["test"]["verdict"]
    ])
}

/// The finding that no system is known, by its severity.
fn no_system(outcome: &Outcome) -> Vec<Value> {
    let findings = outcome.json["findings"].as_array().unwrap().iter();
    findings.filter(|finding| finding["code"] == "no-system").map(|finding| finding["severity"].clone()).collect()
}

#[test]
fn a_system_that_nobody_knows_is_moved_when_the_user_says_so() {
    let room = Room::new();
    let blocked = migrate(&room, "unknown", "blocked", &[]).expect(81);
    assert_eq!(blocked.message(), "the plan is blocked: no system that a plugin here knows was found on the disks");
    assert!(blocked.hint().ends_with("or move it as it is with --skip fix"), "{}", blocked.hint());
    assert!(!room.path("blocked/slow.xml").exists());

    let done = migrate(&room, "unknown", "moved", &["--skip", "fix"]).expect(0);
    assert_eq!(moved(&done), json!(["sata", false, 0, "skipped", "passed"]));
    assert_eq!(no_system(&done), ["block"]);
    assert!(room.path("moved/slow.xml").exists());
}

#[test]
fn a_sealed_system_is_moved_without_a_word_of_the_user() {
    let room = Room::new();
    for (output, more, fix) in [("plain", &[][..], "done"), ("skipped", &["--skip", "fix"], "skipped")] {
        let done = migrate(&room, "sealed", output, more).expect(0);
        assert_eq!(moved(&done), json!(["sata", false, 0, fix, "passed"]));
        assert_eq!(no_system(&done), ["warn"]);
    }
}

#[test]
fn what_the_source_says_of_the_vm_today_blocks_a_saved_plan() {
    let room = Room::new();
    let plan = room.path("plan.json");
    let plan = plan.to_str().unwrap();
    room.run(room.command(&["plan", &room.source(), "--out", plan])).expect(0);
    let apply = |output: &str, why: Option<&str>| {
        let mut command = room.command(&["apply", plan, "-o", room.path(output).to_str().unwrap(), "--skip", "fix"]);
        command.envs(why.map(|why| ("SLOW_VM_BLOCKS", why)));
        room.run(command)
    };
    let blocked = apply("blocked", Some("its disks are on tape")).expect(81);
    assert_eq!(blocked.message(), "the plan is blocked: its disks are on tape");
    apply("moved", None).expect(0);
}

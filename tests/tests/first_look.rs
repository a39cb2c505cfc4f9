//! A migration whose guest may need no change, seen from a distance: the reader of flat views and the start of what opens images go side by
//! side, and whoever is through first stops the other. Starts no appliance.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::process::Command;

use vmdk2kvm_tests::{Outcome, Room, Running, example};

/// A migration in which the reader waits for the room's file `look`.
fn migrate(room: &Room, output: &str) -> Command {
    let plugin = room.plugins().join("far_look.so");
    if !plugin.exists() {
        fs::copy(example("far_look"), plugin).unwrap();
    }
    let mut command = room.migrate(output, &["--set", "plugins.disabled=[\"native-offline\"]", "--skip", "test"]);
    command.envs(
        [("LOOK_BEGUN", "begun"), ("LOOK_GO", "look"), ("LOOK_STOPPED", "stopped")]
            .map(|(variable, name)| (variable, room.path(name))),
    );
    command
}

/// Who did or left INSPECT, and how it ended.
fn inspected(outcome: &Outcome) -> Vec<(String, String)> {
    let stages = outcome.json["stages"].as_array().unwrap().iter().filter(|stage| stage["name"] == "inspect");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let name = |label: String| label.split(' ').next().unwrap().to_owned();
    stages.map(|stage| (name(text(&stage["plugin"])), text(&stage["status"]))).collect()
}

fn pair(plugin: &str, status: &str) -> (String, String) {
    (plugin.to_owned(), status.to_owned())
}

#[test]
fn what_opens_images_is_stopped_once_nothing_is_to_do() {
    let room = Room::new();
    let mut command = migrate(&room, "out");
    command.env("LOOK_OPENS", room.path("opening"));
    let mut running = Running::start(command);
    // It begins although the look has not ended, and does not get through by itself.
    running.wait_until("the opening", |_| room.path("opening").exists());
    assert!(room.path("begun").exists());
    fs::write(room.path("look"), "").unwrap();
    let done = running.end().expect(0);
    assert_eq!(inspected(&done), [pair("far-look", "skipped"), pair("far-look", "done")]);
    assert_eq!(done.json["changes"].as_array().unwrap().len(), 0);
    assert_eq!((done.status("plan"), done.status("fix")), ("done", "unchanged"));
    assert!(!room.path("stopped").exists());
    // The next stages are done by plugins that go on.
    assert!(room.path("out/slow.xml").exists());
}

#[test]
fn a_look_is_stopped_once_the_guest_is_open() {
    let room = Room::new();
    let running = Running::start(migrate(&room, "out"));
    let done = running.end().expect(0);
    assert!(room.path("begun").exists() && room.path("stopped").exists());
    assert_eq!(inspected(&done), [pair("slow-stages", "done")]);
    assert_eq!(done.json["changes"].as_array().unwrap().len(), 1);
    // What the look did is no part of the stage's time.
    let stages = done.json["stages"].as_array().unwrap();
    assert!(!stages.iter().any(|stage| stage["phases"].to_string().contains("far look")), "{stages:#?}");
}

#[test]
fn nothing_to_do_counts_although_nothing_can_open_images() {
    let room = Room::new();
    let mut command = migrate(&room, "out");
    command.env("SLOW_OPEN_FAILS", "1");
    let mut running = Running::start(command);
    running.wait_for_stage("inspect");
    fs::write(room.path("look"), "").unwrap();
    let done = running.end().expect(0);
    assert_eq!(inspected(&done), [pair("slow-stages", "skipped"), pair("far-look", "done")]);
}

#[test]
fn a_look_that_is_through_at_once_leaves_nothing_to_open() {
    let room = Room::new();
    fs::write(room.path("look"), "").unwrap();
    let done = room.run(migrate(&room, "out")).expect(0);
    assert_eq!(inspected(&done), [pair("far-look", "done")]);
    let again = room.run(migrate(&room, "out")).expect(0);
    assert_eq!(again.json["images"], done.json["images"]);
}

#[test]
fn what_forbids_the_move_is_said_before_anything_is_opened() {
    let room = Room::new();
    fs::write(room.path("look"), "").unwrap();
    let mut command = migrate(&room, "out");
    command.env("LOOK_BLOCKS", "it sleeps").env("LOOK_OPENS", room.path("opening"));
    let refused = room.run(command).expect(81);
    assert_eq!((refused.message(), refused.error("stage")), ("the plan is blocked: it sleeps", "plan"));
    assert!(!room.path("opening").exists());
}

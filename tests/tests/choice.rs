//! Which of several plugins is taken for a stage: never the one whose name comes first in the alphabet for that alone.

use vmdk2kvm_tests::{Library, Room};

/// Another tester beside that of the room, before it in the alphabet, with this number in its manifest; the room's has 50.
fn second_tester(room: &Room, preference: &str) {
    Library::read(&room.plugins().join("slow_stages.so"))
        .replace("\"name\":\"slow-stages\"", "\"name\":\"aaaa-stages\"")
        .replace(
            "\"kinds\":[\"fetcher\",\"inspector\",\"fixer\",\"tester\"]",
            "\"kinds\":[\"tester\"                              ]",
        )
        .replace("\"preference\":50", &format!("\"preference\":{preference}"))
        .write(room.plugins(), "aaaa_stages.so");
}

/// Who tested, of a migration in the room.
fn tester(room: &Room, output: &str, more: &[&str]) -> String {
    let report = room.run(room.migrate(output, more)).expect(0).json;
    report["test"]["plugin"].as_str().unwrap_or_default().split(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn installing_a_second_tester_does_not_change_the_default() {
    let room = Room::new();
    assert_eq!(tester(&room, "alone", &[]), "slow-stages");
    for (preference, expected) in [(" 0", "slow-stages"), ("49", "slow-stages"), ("51", "aaaa-stages")] {
        second_tester(&room, preference);
        assert_eq!(tester(&room, &format!("claims-{}", preference.trim()), &[]), expected, "{preference}");
    }
    // The job's own word counts more than any claim.
    assert_eq!(tester(&room, "named", &["--set", "test.plugin=slow-stages"]), "slow-stages");
}

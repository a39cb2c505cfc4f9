//! The pages that runs leave, in a real browser. That of a guest with a boot test is looked at where one is migrated.
//!
//! Needs chromium-headless-shell.

use vmdk2kvm_tests::{Many, Room, looks_well};

/// A name without a place to break it.
fn long_name() -> String {
    "web".repeat(30)
}

#[test]
fn the_report_of_a_migration_looks_well() {
    let room = Room::new();
    room.run(room.migrate("out", &["--name", &long_name()])).expect(0);
    let page = room.path("out/report.html");
    let text = std::fs::read_to_string(&page).unwrap();
    for heading in ["Stages", "New machine", "How the bytes came"] {
        assert!(text.contains(&format!("<h2>{heading}</h2>")), "{heading}: {text}");
    }
    looks_well(&page);
}

#[test]
fn the_report_of_a_batch_looks_well() {
    let many = Many::new(3);
    many.list("[defaults]\nskip = [\"fix\", \"test\"]", &Many::plain(3));
    std::fs::remove_file(many.room.path("vm1.raw")).unwrap();
    many.run(&[]).0.expect(82);
    looks_well(&many.room.path("out/batch.html"));
}

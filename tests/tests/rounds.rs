//! Migrations in rounds of a machine that is written to meanwhile: the host alone, with a source, a guest and a boot of the test plugin `slow-stages`. Rounds are
//! counted in bytes, runs are killed at every place, and the images are those of the machine that is off.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use vmdk2kvm_tests::{Outcome, Room, Signal, digest, names};

const MIB: u64 = 1 << 20;
/// The megabyte that the fixer of `slow-stages` writes.
const FIXED: std::ops::Range<usize> = 1 << 20..2 << 20;

/// A machine that is on.
struct Live {
    room: Room,
}

impl Live {
    fn new() -> Self {
        let live = Self { room: Room::new() };
        std::fs::create_dir(live.path("live")).unwrap();
        live.say("power", "on");
        live.say("uuid", "u1");
        live
    }

    fn path(&self, name: &str) -> PathBuf {
        self.room.path(name)
    }

    /// Writes a file of the machine's folder.
    fn say(&self, name: &str, text: &str) {
        std::fs::write(self.path("live").join(name), text).unwrap();
    }

    fn told(&self, name: &str) -> String {
        std::fs::read_to_string(self.path("live").join(name)).unwrap_or_default()
    }

    /// The guest writes.
    fn write(&self, offset: u64, bytes: &[u8]) {
        OpenOptions::new().write(true).open(self.room.disk()).unwrap().write_all_at(bytes, offset).unwrap();
        let line = format!("{offset} {}\n", bytes.len());
        self.say("changes", &(self.told("changes") + &line));
    }

    fn lives(&self, mut command: Command) -> Command {
        command.env("SLOW_LIVE", self.path("live")).env("XDG_STATE_HOME", self.path("state"));
        command
    }

    fn warm(&self, more: &[&str]) -> Command {
        self.lives(self.room.migrate("out", &[&["--warm", "--format", "raw"], more].concat()))
    }

    fn on_out(&self, verb: &str, more: &[&str]) -> Command {
        let out = self.path("out");
        self.lives(self.room.command(&[&[verb, out.to_str().unwrap()], more].concat()))
    }

    fn cutover(&self) -> Command {
        self.on_out("cutover", &[])
    }

    fn run(&self, command: Command) -> Outcome {
        self.room.run(command)
    }

    /// One round.
    #[track_caller]
    fn round(&self) -> Value {
        let outcome = self.run(self.warm(&["--set", "warm.rounds=1"])).expect(0);
        outcome.json["warm"]["rounds"].as_array().unwrap().last().unwrap().clone()
    }

    /// The image is the machine's disk but for what the fixer wrote.
    #[track_caller]
    fn image_is_right(&self) {
        let mut expected = std::fs::read(self.room.disk()).unwrap();
        expected[FIXED].fill(0x5a);
        assert!(std::fs::read(self.path("out/slow-disk1.raw")).unwrap() == expected, "the image differs");
    }

    /// Between rounds no snapshot is held; what was turned on stays, and is noted.
    #[track_caller]
    fn nothing_is_frozen(&self) {
        let left: Vec<String> =
            names(&self.path("live")).into_iter().filter(|name| name.starts_with("frozen")).collect();
        assert_eq!(left, [""; 0]);
    }

    #[track_caller]
    fn nothing_is_left(&self) {
        self.nothing_is_frozen();
        assert_eq!((self.told("tracking").as_str(), names(&self.path("state/vmdk2kvm/holds"))), ("", Vec::new()));
        assert!(!self.path("out/.vmdk2kvm-work").exists());
        assert!(!names(&self.path("out")).iter().any(|name| name.contains(".part")), "{:?}", names(&self.path("out")));
    }
}

/// Bytes that are not those of another call.
fn bytes(seed: u8, length: u64) -> Vec<u8> {
    (0..length).map(|at| seed.wrapping_add((at / 512) as u8)).collect()
}

#[test]
fn rounds_move_what_changed_and_a_cut_over_ends_them() {
    let live = Live::new();
    let first = live.round();
    assert_eq!(
        (&first["round"], &first["moved_bytes"], &first["full"]),
        (&json!(0), &json!(32 * MIB), &json!(["disk"]))
    );
    live.nothing_is_frozen();
    assert!(live.told("tracking").starts_with("t0 "), "it was turned on, and stays");
    for number in 1..=4_u64 {
        // Three places that are far from each other, and two that are near.
        for (place, length) in [(3, MIB), (9, 64 << 10), (20, 3 * MIB)] {
            live.write((place + number) * MIB, &bytes(number as u8, length));
        }
        let changed = 4 * MIB + (64 << 10);
        let round = live.round();
        assert_eq!((&round["round"], &round["changed_bytes"]), (&json!(number), &json!(changed)), "{round}");
        assert_eq!(round["moved_bytes"], changed, "{round}");
        assert!(round.get("full").is_none(), "{round}");
    }
    let words = live.told("counts");
    assert!(
        words.lines().all(|line| line.starts_with("t0/")) && words.lines().count() >= 8,
        "pages are followed: {words}"
    );
    live.write(5 * MIB, &bytes(99, 2 * MIB));
    let before = digest(&live.room.disk());
    let report = live.run(live.cutover()).expect(0).json;
    assert_eq!(live.told("power"), "off");
    assert_eq!(digest(&live.room.disk()), before, "the source was written to");
    live.image_is_right();
    live.nothing_is_left();
    let warm = &report["warm"];
    assert_eq!(warm["rounds"].as_array().unwrap().len(), 6);
    assert_eq!((&warm["rounds"][5]["last"], &warm["rounds"][5]["moved_bytes"]), (&json!(true), &json!(2 * MIB)));
    assert_eq!((&warm["source"]["power"], &report["test"]["verdict"]), (&json!("off"), &json!("passed")));
    assert!(warm["verified_bytes"].as_u64().unwrap() > 0);
    assert!(warm["rollback"].as_str().unwrap().starts_with("to go back, switch the machine on at its source"));
    let stages: Vec<(&Value, &Value)> =
        report["stages"].as_array().unwrap().iter().map(|stage| (&stage["name"], &stage["round"])).collect();
    assert!(
        stages.contains(&(&json!("flatten"), &json!(5))) && stages.contains(&(&json!("test"), &Value::Null)),
        "{stages:?}"
    );
    for name in ["report.md", "report.html"] {
        let text = std::fs::read_to_string(live.path("out").join(name)).unwrap();
        assert!(
            text.contains("Rounds") && text.contains("(after the shut-down)") && text.contains("to go back"),
            "{name}"
        );
    }
    let again = live.run(live.cutover()).expect(0);
    assert!(again.stderr.contains("nothing to do: this cut-over was finished before"), "{}", again.stderr);
}

#[test]
fn a_run_ends_with_a_small_round_and_says_the_command() {
    let live = Live::new();
    let mut run = vmdk2kvm_tests::Running::start(live.warm(&["--set", "warm.small_mib=1"]));
    run.wait_for_end();
    let rounds: Vec<Value> = run.events().into_iter().filter(|event| event["event"] == "round_finished").collect();
    let outcome = run.end().expect(0);
    assert_eq!((rounds.len(), &rounds[1]["moved_bytes"]), (2, &json!(0)), "nothing was written meanwhile");
    let next = format!("vmdk2kvm cutover {}", live.path("out").display());
    assert_eq!(outcome.json["warm"]["next"], next.as_str());
    // With a limit that nothing is below, the number of rounds ends it.
    let more = live.run(live.warm(&["--set", "warm.small_mib=0", "--set", "warm.rounds=3"])).expect(0);
    assert_eq!(more.json["warm"]["rounds"].as_array().unwrap().len(), 5);
    let by_time = ["--set", "warm.small_mib=0", "--set", "warm.small_seconds=86400"];
    let more = live.run(live.warm(&by_time)).expect(0);
    assert_eq!(more.json["warm"]["rounds"].as_array().unwrap().len(), 6);
}

#[test]
fn a_killed_run_goes_on_wherever_it_was_killed() {
    let live = Live::new();
    let mut seed = 0;
    let mut kill = |stage: &str, command: Command| {
        let run = live.room.stop_in(stage, command);
        // What is written after the moment of the round is the next one's.
        seed += 1;
        live.write((seed % 30) * MIB, &bytes(seed as u8, MIB));
        run.kill("worker-process");
        run.end().expect(75);
    };
    let warm = || live.warm(&["--set", "warm.rounds=1"]);
    for stage in ["fetch", "hold", "flatten", "flatten", "release"] {
        kill(stage, warm());
    }
    live.round();
    for stage in ["fetch", "hold", "changed", "flatten", "release"] {
        live.write(25 * MIB, &bytes(77, 2 * MIB));
        kill(stage, warm());
    }
    live.round();
    live.nothing_is_frozen();
    // What is written after a shut-down is that of a machine that was switched on again, and counts.
    for stage in ["fetch", "hold", "changed", "release", "inspect", "plan", "fix", "convert"] {
        kill(stage, live.cutover());
    }
    for stage in ["convert", "test"] {
        let run = live.room.stop_in(stage, live.cutover());
        run.kill("worker-process");
        run.end().expect(75);
    }
    live.run(live.cutover()).expect(0);
    live.image_is_right();
    live.nothing_is_left();
}

#[test]
fn an_interrupted_run_gives_the_snapshot_back_and_goes_on() {
    let live = Live::new();
    for stage in ["hold", "flatten", "changed", "flatten"] {
        live.write(18 * MIB, &bytes(stage.len() as u8, MIB));
        if stage == "changed" {
            live.round();
            live.write(19 * MIB, &bytes(3, 3 * MIB));
        }
        let run = live.room.stop_in(stage, live.warm(&[]));
        run.signal(Signal::INT);
        run.end().expect(130);
        live.nothing_is_frozen();
    }
    live.write(30 * MIB, &bytes(5, MIB));
    live.run(live.cutover()).expect(0);
    live.image_is_right();
    live.nothing_is_left();
}

#[test]
fn a_base_that_was_finished_with_a_later_hold_gets_what_changed_in_between() {
    let live = Live::new();
    let run = live.room.stop_in("flatten", live.warm(&[]));
    run.signal(Signal::INT);
    run.end().expect(130);
    // In the half that was copied, if anything was.
    live.write(2 * MIB, &bytes(9, 4 * MIB));
    let refused = live.run(live.cutover()).expect(65);
    assert!(refused.hint().contains("finish its first round"), "{}", refused.hint());
    assert_eq!(live.told("power"), "on", "nothing was shut down for it");
    live.round();
    live.run(live.cutover()).expect(0);
    live.image_is_right();
}

#[test]
fn what_cannot_be_followed_is_copied_in_full_and_said() {
    let live = Live::new();
    live.round();
    let full = |sentence: &str| {
        let outcome = live.run(live.warm(&["--set", "warm.rounds=1"])).expect(0);
        let warm = outcome.json["warm"]["rounds"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((&warm["full"], &warm["moved_bytes"]), (&json!(["disk"]), &json!(32 * MIB)), "{warm}");
        assert!(outcome.json["warnings"].to_string().contains(sentence), "{}", outcome.json["warnings"]);
    };
    let (_, by) = live.told("tracking").split_once(' ').map(|(one, two)| (one.to_owned(), two.to_owned())).unwrap();
    live.say("tracking", &format!("anew {by}"));
    live.write(4 * MIB, &bytes(1, MIB));
    full("disk: tracking began anew: it is copied in full");
    live.say("uuid", "u2");
    full("disk: another disk than in the previous round, or of another size: it is copied in full");
    std::fs::remove_file(live.path("out/slow-disk1.part")).unwrap();
    full("disk: its image from the previous round is gone: it is copied in full");
    let disk = OpenOptions::new().write(true).open(live.room.disk()).unwrap();
    disk.set_len(33 * MIB).unwrap();
    let outcome = live.run(live.warm(&["--set", "warm.rounds=1"])).expect(0);
    assert!(outcome.json["warnings"].to_string().contains("of another size"));
    live.run(live.cutover()).expect(0);
    live.image_is_right();
}

#[test]
fn a_disk_that_is_added_is_copied_in_full_and_one_that_is_removed_is_forgotten() {
    let live = Live::new();
    live.round();
    let second = live.path("second.raw");
    std::fs::write(&second, bytes(50, 3 * MIB)).unwrap();
    live.say("second", second.to_str().unwrap());
    live.write(8 * MIB, &bytes(1, MIB));
    let round = live.round();
    assert_eq!((&round["full"], &round["moved_bytes"]), (&json!(["second"]), &json!(4 * MIB)), "{round}");
    assert!(std::fs::read(live.path("out/slow-disk2.part")).unwrap() == std::fs::read(&second).unwrap());
    live.say("second", "");
    let outcome = live.run(live.warm(&["--set", "warm.rounds=1"])).expect(0);
    let warnings = outcome.json["warnings"].to_string();
    assert!(warnings.contains("disk 2 of the previous round is gone: its image is removed"), "{warnings}");
    assert!(!live.path("out/slow-disk2.part").exists());
    live.run(live.cutover()).expect(0);
    live.image_is_right();
    live.nothing_is_left();
}

#[test]
fn what_cannot_be_read_in_rounds_is_refused_before_a_byte_moves() {
    let live = Live::new();
    live.say("untracked", "");
    let refused = live.run(live.warm(&[])).expect(81);
    assert_eq!(refused.message(), "disk: its source does not report changes");
    live.nothing_is_frozen();
    let live = Live::new();
    let mut stream = live.warm(&[]);
    stream.env("SLOW_STREAM", live.path("live"));
    let refused = live.run(stream).expect(81);
    assert!(
        refused.message().starts_with("rounds read the disks at random: disk: none of its ways can be read"),
        "{}",
        refused.message()
    );
    live.nothing_is_frozen();
    for (option, code) in [("--resize=1=+1G", 2), ("--from=fix", 2), ("--until=fix", 2)] {
        let refused = live.run(live.warm(&[option])).expect(code);
        assert!(refused.message().ends_with("has no meaning with --warm"), "{}", refused.message());
    }
    let none = live.run(live.cutover()).expect(65);
    assert!(none.message().ends_with("holds no migration in rounds"), "{}", none.message());
}

#[test]
fn a_guest_that_does_not_shut_down_is_switched_off_only_with_the_users_word() {
    let live = Live::new();
    live.round();
    live.say("deaf", "");
    let late = live.on_out("cutover", &["--set", "warm.shutdown_seconds=1"]);
    let refused = live.run(late).expect(75);
    assert_eq!(refused.message(), "slow was asked to shut down and still runs after 1 s");
    assert!(refused.hint().ends_with("or have it switched off as by a power cut: --power-off"), "{}", refused.hint());
    live.say("absent", "");
    assert_eq!(live.run(live.cutover()).expect(81).message(), "the guest cannot be asked");
    assert_eq!(live.told("power"), "on");
    let report = live.run(live.on_out("cutover", &["--power-off"])).expect(0).json;
    assert!(report["warnings"].to_string().contains("switched off as by a power cut"), "{}", report["warnings"]);
    live.image_is_right();
    live.nothing_is_left();
}

#[test]
fn what_fails_after_the_shut_down_says_how_to_go_back_and_a_rerun_ends_it() {
    let live = Live::new();
    live.round();
    let mut failing = live.cutover();
    failing.env("SLOW_BOOT_FAILS", "1");
    let failed = live.run(failing).expect(80);
    assert!(failed.hint().contains("to go back, switch the machine on at its source"), "{}", failed.hint());
    assert_eq!((&failed.json["warm"]["source"]["power"], live.told("power").as_str()), (&json!("off"), "off"));
    assert!(live.path("out/report.json").is_file());
    live.nothing_is_left();
    live.run(live.cutover()).expect(0);
    live.image_is_right();
}

#[test]
fn a_machine_that_ran_again_after_a_cut_over_is_copied_again() {
    let live = Live::new();
    live.round();
    // After the fixes are in the images.
    let run = live.room.stop_in("convert", live.cutover());
    run.kill("worker-process");
    run.end().expect(75);
    live.say("power", "on");
    live.write(7 * MIB, &bytes(3, MIB));
    let report = live.run(live.cutover()).expect(0).json;
    live.image_is_right();
    live.nothing_is_left();
    assert_eq!(report["warm"]["rounds"].as_array().unwrap().len(), 3);
}

#[test]
fn release_gives_tracking_back_and_the_next_round_is_a_full_one() {
    let live = Live::new();
    live.round();
    let released = live.run(live.on_out("release", &[])).expect(0).json;
    assert_eq!(released["released"][0]["took"], "tracking was turned on");
    assert_eq!(live.told("tracking"), "");
    live.write(3 * MIB, &bytes(4, MIB));
    assert_eq!(live.round()["full"], json!(["disk"]));
    // Tracking that was on before stays on.
    let live = Live::new();
    live.say("tracking", "old somebody");
    live.round();
    assert_eq!(live.run(live.on_out("release", &[])).expect(0).json["released"], json!([]));
    live.run(live.cutover()).expect(0);
    assert_eq!(live.told("tracking"), "old somebody");
    live.image_is_right();
}

#[test]
fn what_cannot_be_given_back_is_told_and_given_back_by_the_next_round() {
    let live = Live::new();
    let mut failing = live.warm(&["--set", "warm.rounds=1"]);
    failing.env("SLOW_RELEASE_FAILS", "1");
    let outcome = live.run(failing).expect(0);
    let release = format!("`vmdk2kvm release {}` tries it again", live.path("out").display());
    assert!(outcome.json["warnings"].to_string().contains(&release), "{}", outcome.json["warnings"]);
    assert_eq!(names(&live.path("live")).iter().filter(|name| name.starts_with("frozen")).count(), 1);
    live.write(6 * MIB, &bytes(8, MIB));
    assert_eq!(live.round()["moved_bytes"], MIB, "it is read as it is now, and not as it was held");
    live.nothing_is_frozen();
}

#[test]
fn another_command_does_not_overwrite_the_rounds() {
    let live = Live::new();
    live.round();
    let refused = live.run(live.lives(live.room.migrate("out", &["--snapshot"]))).expect(73);
    assert!(refused.message().ends_with("holds a migration in rounds"), "{}", refused.message());
    live.run(live.cutover()).expect(0);
    live.image_is_right();
}

#[test]
fn the_images_get_the_format_that_is_asked_for_at_the_cut_over() {
    let live = Live::new();
    live.round();
    live.write(11 * MIB, &bytes(6, MIB));
    let report = live.run(live.on_out("cutover", &["--format", "qcow2"])).expect(0).json;
    assert_eq!(report["images"][0]["format"], "qcow2");
    let mut expected = std::fs::read(live.room.disk()).unwrap();
    expected[FIXED].fill(0x5a);
    let raw = live.path("expected.raw");
    std::fs::write(&raw, expected).unwrap();
    let compared = Command::new("qemu-img")
        .args(["compare", "-f", "raw", "-F", "qcow2"])
        .arg(raw)
        .arg(live.path("out/slow-disk1.qcow2"))
        .status();
    assert!(compared.unwrap().success());
    live.nothing_is_left();
}

//! A warm migration by VDDK: the catalog tells what changed, the library (its fake, tests/plugins/fake_vddk) reads it. The guest, its fixes and its boot are those of
//! the test plugin `slow-stages`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::process::Command;

use serde_json::{Value, json};
use vmdk2kvm_tests::{By, Outcome, Room, Running, Yard, vm};

const MIB: u64 = 1 << 20;
/// The megabyte of the first disk that the fixer of `slow-stages` writes.
const FIXED: std::ops::Range<usize> = 1 << 20..2 << 20;
/// The VM's files of its disks.
const FILES: [&str; 2] = ["web/web.vmdk", "web/web_1.vmdk"];

struct Warm {
    yard: Yard,
    room: Room,
}

impl Warm {
    fn new(by: By) -> Self {
        let mut vm = vm("web", "", true);
        vm["tools"] = true.into();
        vm["disks"].as_array_mut().unwrap().push(json!({"file": "second.raw", "controller": "pvscsi", "unit": 1}));
        Self { yard: Yard::new(by, &[vm], &[]), room: Room::new() }
    }

    /// A command of the program that has the test plugins beside it.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Outcome {
        let like = self.yard.command(arguments);
        let mut command = Command::new(self.room.program());
        command.args(like.get_args()).envs(self.room.environment());
        self.yard.tell(&mut command);
        Running::start(self.yard.site.alone(command)).end()
    }

    fn out(&self) -> String {
        self.yard.site.results.path().join("out").to_str().unwrap().to_owned()
    }

    #[track_caller]
    fn round(&self) -> Value {
        let uri = self.yard.site.lab.uri("/web", "");
        let command = ["migrate", &uri, "-o", &self.out(), "--warm", "--format", "raw", "--transport", "vddk"];
        last(&self.run(&[&command[..], &["--set", "warm.rounds=1"]].concat()).expect(0).json)
    }

    /// The guest writes, and the library sees it in what is held from now on.
    fn write(&self, disk: usize, offset: u64, seed: u8, length: u64) {
        let bytes: Vec<u8> = (0..length).map(|at| seed.wrapping_add((at / 512) as u8) | 1).collect();
        self.yard.site.lab.control("POST", &format!("/write?vm=web&disk={disk}&offset={offset}"), &bytes);
        let content = self.content(disk);
        for state in ["held", "now"] {
            self.yard.serve(state, FILES[disk], &content);
        }
    }

    fn content(&self, disk: usize) -> Vec<u8> {
        self.yard.site.lab.control("GET", &format!("/content?vm=web&disk={disk}"), b"")
    }

    /// Bytes that the library has read since the notes were begun.
    fn read(&self) -> u64 {
        let notes = self.yard.notes();
        let of = |line: &String| line.starts_with("close").then(|| line.rsplit(' ').next()?.parse::<u64>().ok());
        notes.iter().filter_map(of).flatten().sum()
    }
}

fn last(report: &Value) -> Value {
    report["warm"]["rounds"].as_array().unwrap().last().unwrap().clone()
}

#[test]
fn rounds_read_by_the_library_what_changed_and_a_cut_over_ends_them() {
    for by in By::ALL {
        let warm = Warm::new(by);
        let first = warm.round();
        assert_eq!(first["full"].as_array().unwrap().len(), 2, "{first}");
        for number in 1..=2_u64 {
            let before = warm.read();
            let mut written = 0;
            for (disk, place, length) in [(0, 3, MIB), (0, 8, 3 * MIB), (1, 2, 128 << 10), (1, 17, 2 * MIB)] {
                warm.write(disk, (place + number) * MIB, number as u8, length);
                written += length;
            }
            let round = warm.round();
            assert_eq!((&round["round"], &round["changed_bytes"]), (&json!(number), &json!(written)), "{round}");
            // What the library itself counted.
            let read = warm.read() - before;
            assert!(read >= written && read * 10 <= written * 11, "{read} of {written}");
            warm.yard.site.nothing_is_left();
        }
        warm.write(0, 5 * MIB, 99, 2 * MIB);
        warm.write(1, 0, 98, 512);
        let report = warm.run(&["cutover", &warm.out()]).expect(0).json;
        assert_eq!(report["warm"]["source"], json!({"power": "off", "snapshots": 0}), "{by:?}");
        let mut expected = warm.content(0);
        expected[FIXED].fill(0x5a);
        let image = |number: usize| std::fs::read(format!("{}/web-disk{number}.raw", warm.out())).unwrap();
        assert!(image(1) == expected, "disk 1 differs");
        assert!(image(2) == warm.content(1), "disk 2 differs");
        let opened: Vec<String> = warm.yard.notes().into_iter().filter(|line| line.starts_with("open ")).collect();
        assert!(opened.len() >= 8, "{opened:?}");
        warm.yard.site.nothing_is_left();
    }
}

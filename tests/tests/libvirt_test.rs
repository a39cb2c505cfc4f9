//! The boot test by libvirt, with guests of one sector: at a daemon that the test starts, and by the driver inside of the run. Nothing is left of it,
//! not even when the run is killed, and no domain that exists is touched. Requires what [`Libvirtd`] does.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../../plugins/qemu-test/tests/support/sector.rs"]
mod sector;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sector::{Output, Then, boot_sector};
use serde_json::json;
use vmdk2kvm_libvirt_test::LibvirtTest;
use vmdk2kvm_plugin_api::model::{
    Card, CardModel, CardNetwork, Cpus, DiskBus, Firmware, Machine, MachineDisk, TestRequest, Verdict, VerdictKind,
};
use vmdk2kvm_plugin_api::{ErrorKind, Plugin, Result};
use vmdk2kvm_plugin_testing::FakeHost;
use vmdk2kvm_tests::{Libvirtd, Room, Running, Signal, digest, open_for_driver};

const UUID: &str = "564d1234-5678-9abc-def0-123456789abc";

/// One test at a time, in whichever process: each hears of machines that others left.
fn turn() -> fs::File {
    let turn = fs::File::create(std::env::temp_dir().join("vmdk2kvm-libvirt-test.turn")).unwrap();
    rustix::fs::flock(&turn, rustix::fs::FlockOperation::LockExclusive).unwrap();
    turn
}

/// A guest of one sector, and a request to test it on an overlay.
struct Bench {
    folder: tempfile::TempDir,
    request: TestRequest,
}

impl Bench {
    fn new(output: Output, text: &[u8], then: Then) -> Self {
        let folder = tempfile::Builder::new().prefix("lt").tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut image = vec![0; 1 << 20];
        image[..512].copy_from_slice(&boot_sector(output, text, then));
        fs::write(path("image.raw"), image).unwrap();
        fs::set_permissions(path("image.raw"), fs::Permissions::from_mode(0o400)).unwrap();
        for name in ["w", "s", "boot"] {
            fs::create_dir(path(name)).unwrap();
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o700)).unwrap();
        }
        let made = Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
            .args([path("image.raw"), path("overlay.qcow2")])
            .status();
        assert!(made.expect("qemu-img (package qemu-utils)").success());
        let machine = Machine::new("web", Firmware::Bios, Cpus::new(1, 1), 128 << 20).with(|machine| {
            machine.uuid = Some(UUID.to_owned());
            machine.disks = vec![MachineDisk::new("qcow2", 1 << 20, DiskBus::Virtio).with(|disk| {
                disk.image = path("overlay.qcow2").to_str().unwrap().to_owned();
                disk.boot_order = Some(1);
            })];
            machine.cards = vec![Card::new(CardModel::Virtio).with(|card| {
                card.mac = Some("00:50:56:2a:77:01".to_owned());
                card.network = Some(CardNetwork::Network("lab".to_owned()));
            })];
        });
        let text = |name: &str| path(name).to_str().unwrap().to_owned();
        let request =
            TestRequest::new(machine, text("boot"), text("w"), text("s")).with(|request| request.timeout_seconds = 120);
        Self { folder, request }
    }

    /// Runs the test, and checks that nothing of it is left but its evidence.
    fn test(&self, host: &FakeHost, connect: &str) -> Result<Verdict> {
        let before = self.files();
        let settings = json!({"connect": connect, "accelerator": "tcg"});
        let verdict = LibvirtTest::new(host.host(settings))?.tester().unwrap().test(&self.request);
        assert_eq!(self.files(), before, "an image, its owner, its mode or a label was changed");
        for name in ["w", "s"] {
            let left: Vec<_> = fs::read_dir(self.path(name)).unwrap().flatten().collect();
            assert!(left.is_empty(), "left behind: {left:?}");
        }
        assert_eq!(machines(self.folder.path()), Vec::<String>::new());
        verdict
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a test must leave as it was: the image's bytes, and of both files owner, mode and labels.
    fn files(&self) -> Vec<String> {
        let of = |name: &str| {
            let found = fs::metadata(self.path(name)).unwrap();
            let labels = Command::new("getfattr").args(["-d", "-m", "-"]).arg(self.path(name)).output();
            let labels = labels.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            format!("{name} {}:{} {:o} {labels}", found.uid(), found.gid(), found.mode())
        };
        vec![digest(&self.path("image.raw")), of("image.raw"), of("overlay.qcow2")]
    }
}

/// Machines of boot tests with a disk in this folder.
fn machines(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let lines =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains("qemu") && line.contains("guest=vmdk2kvm-test-") && line.contains(folder))
        .collect()
}

#[test]
fn a_guest_comes_up_at_a_daemon_beside_the_domain_whose_image_it_is() {
    let _turn = turn();
    let daemon = Libvirtd::start();
    let bench = Bench::new(Output::Serial, b"\r\nweb login: ", Then::Halt);
    // The domain that this machine will be, or was: it runs.
    daemon.foreign("web", UUID);
    daemon.virsh(&["start", "web"]);
    let before = daemon.state();
    let host = FakeHost::new();
    let verdict = bench.test(&host, &daemon.uri()).unwrap();
    assert_eq!((verdict.verdict, verdict.reason.as_str()), (VerdictKind::Passed, "login-prompt"));
    assert_eq!(verdict.accelerator, "tcg");
    let console = fs::read_to_string(bench.path("boot/console.log")).unwrap();
    assert!(console.contains("web login:"), "{console}");
    assert!(verdict.evidence.iter().any(|evidence| evidence.kind == "screenshot"), "{:?}", verdict.evidence);
    assert!(fs::read(bench.path("boot/screenshot.png")).unwrap().starts_with(b"\x89PNG"));
    assert_eq!(daemon.state(), before, "a domain was touched");
    assert_eq!(host.warnings(), Vec::<String>::new());

    // What the domain will want and the test does not is said.
    let mut bench = Bench::new(Output::Serial, b"\r\n(initramfs) ", Then::Halt);
    bench.request.machine.cards[0].network = Some(CardNetwork::Network("nowhere".to_owned()));
    let verdict = bench.test(&host, &daemon.uri()).unwrap();
    assert_eq!((verdict.verdict, verdict.reason.as_str()), (VerdictKind::Failed, "initramfs-prompt"));
    assert_eq!(host.warnings(), ["there is no network nowhere: the domain will not start"]);
    assert_eq!(daemon.state(), before);

    // Its variables are the test's own, in a folder that is closed to others. No loader is there for a UEFI.
    let mut bench = Bench::new(Output::Serial, b"x", Then::Halt);
    bench.request.machine.firmware = Firmware::Uefi;
    let verdict = bench.test(&FakeHost::new(), &daemon.uri()).unwrap();
    assert_eq!(verdict.verdict, VerdictKind::Failed);
    assert!(["no-bootable-device", "uefi-shell"].contains(&verdict.reason.as_str()), "{verdict:?}");
    assert_eq!(daemon.state(), before);
}

#[test]
fn a_guest_comes_up_in_a_driver_inside_of_the_run() {
    let _turn = turn();
    // The driver keeps its folder for as long as this process lives.
    let sockets = tempfile::Builder::new().prefix("ls").tempdir().unwrap();
    let test = |output, text: &[u8], then| {
        let mut bench = Bench::new(output, text, then);
        bench.request.socket_dir = sockets.path().to_str().unwrap().to_owned();
        let verdict = bench.test(&FakeHost::new(), "embed").unwrap();
        let left = fs::read_dir(sockets.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        assert_eq!(left, ["lv"]);
        (verdict.verdict, verdict.reason)
    };
    let passed = |reason: &str| (VerdictKind::Passed, reason.to_owned());
    let failed = |reason: &str| (VerdictKind::Failed, reason.to_owned());
    assert_eq!(test(Output::Serial, b"\r\nweb login: ", Then::Halt), passed("login-prompt"));
    assert_eq!(test(Output::Screen, b"\r\ngrub rescue> ", Then::Halt), failed("grub-rescue"));
    assert_eq!(test(Output::Serial, b"x", Then::Reset), failed("reboot-loop"));
}

#[test]
fn what_cannot_be_tested_is_said_before_anything_is_started() {
    let _turn = turn();
    let bench = Bench::new(Output::Serial, b"x", Then::Halt);
    let refused = |change: &dyn Fn(&mut TestRequest), connect: &str| {
        let mut request = bench.request.clone();
        change(&mut request);
        let host = FakeHost::new().host(json!({"connect": connect, "accelerator": "tcg"}));
        let error = LibvirtTest::new(host).unwrap().tester().unwrap().test(&request).unwrap_err();
        assert!(error.hint.is_some(), "{}", error.message);
        (error.kind, error.message)
    };
    let (kind, message) = refused(&|request| request.expect.ssh_port = Some(22), "embed");
    assert_eq!(kind, ErrorKind::Usage, "{message}");
    let (kind, message) = refused(&|_| (), "qemu+unix:///system?socket=/nonexistent/x");
    assert_eq!(kind, ErrorKind::Missing, "{message}");
    // A machine that a daemon starts has none of root's rights.
    let daemon = Libvirtd::start();
    fs::set_permissions(bench.folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(bench.folder.path(), Some(65534), None).unwrap();
    let (kind, message) = refused(&|_| (), &daemon.uri());
    assert_eq!(kind, ErrorKind::Output);
    assert!(message.ends_with("is closed to the machine that libvirt's daemon starts"), "{message}");
}

/// Waits until no machine of a boot test has a disk in this folder.
#[track_caller]
fn wait_for_none(folder: &Path) {
    let began = Instant::now();
    while !machines(folder).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", machines(folder));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A run whose guest says nothing for ever.
fn silent(room: &Room, connect: &str) -> Running {
    let mut disk = fs::read(room.disk()).unwrap();
    disk[..512].copy_from_slice(&boot_sector(Output::Serial, b"starting", Then::Halt));
    fs::write(room.disk(), disk).unwrap();
    let connect = format!("plugin.libvirt-test.connect={connect}");
    let words = ["--test", "libvirt", "--set", &connect, "--set", "plugin.libvirt-test.accelerator=tcg"];
    Running::start(room.migrate("out", &[&words[..], &open_for_driver()].concat()))
}

#[test]
fn a_run_that_is_killed_leaves_no_machine() {
    let _turn = turn();
    let daemon = Libvirtd::start();
    let names = || daemon.virsh(&["list", "--all", "--name"]);
    let (before, known) = (daemon.state(), names());
    for connect in ["embed", &daemon.uri()] {
        for moment in ["guard", "machine", "guest"] {
            if moment == "guard" && connect != "embed" {
                continue;
            }
            let room = Room::new();
            let mut run = silent(&room, connect);
            run.wait_until(moment, |run| match moment {
                "guard" => run.process("cat >/dev/null").is_some(),
                _ => !machines(&room.path("")).is_empty(),
            });
            if moment == "guest" {
                // By then it has been let run.
                std::thread::sleep(Duration::from_secs(2));
            }
            run.kill("worker-process");
            run.signal(Signal::KILL);
            run.wait_for_end();
            wait_for_none(&room.path(""));
            drop(run);
            // The daemon forgets a machine a moment after its process has ended.
            let began = Instant::now();
            while names() != known && began.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(20));
            }
            assert_eq!(daemon.state(), before, "{connect}, {moment}");
        }
    }
}

#[test]
fn ctrl_c_ends_the_machine() {
    let _turn = turn();
    let room = Room::new();
    let mut run = silent(&room, "embed");
    run.wait_until("the machine", |_| !machines(&room.path("")).is_empty());
    run.signal(Signal::INT);
    assert_eq!(run.end().code, 130);
    assert_eq!(machines(&room.path("")), Vec::<String>::new());
}

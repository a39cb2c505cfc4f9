//! Whole boot tests of guests that are nothing but a boot sector: each ends in a second or two.
//! Requires: qemu-system-x86_64 (package qemu-system-x86), qemu-img (package qemu-utils).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "shared with the other tests")]
mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use support::Bench;
use support::sector::{Output, Then};
use vmdk2kvm_plugin_api::ErrorKind;
use vmdk2kvm_plugin_api::model::VerdictKind::{Failed, Passed};
use vmdk2kvm_plugin_api::model::{CardModel, Chipset, DiskBus, Firmware};
use vmdk2kvm_plugin_testing::FakeHost;

#[test]
fn a_login_prompt_on_the_serial_line_passes() {
    let mut bench =
        Bench::new(Output::Serial, b"\r\n\x1b[1mDebian\x1b[0m GNU/Linux 12\r\n\r\nprobe login: ", Then::Halt);
    bench.request.evidence_dir = bench.folder.path().join("new/evidence").to_str().unwrap().to_owned();
    let begin = Instant::now();
    let verdict = bench.test();
    assert_eq!((verdict.verdict, verdict.reason.as_str()), (Passed, "login-prompt"), "{verdict:?}");
    assert!(begin.elapsed() < Duration::from_secs(60), "did not end when it knew");
    assert_eq!(verdict.accelerator, "tcg");
    assert_eq!(verdict.evidence[0].kind, "console");
    assert_eq!(verdict.evidence[0].detail, "probe login:");
    assert_eq!(verdict.evidence[1].kind, "screenshot");
    assert!(bench.console().starts_with("Debian GNU/Linux 12\nprobe login:"), "{}", bench.console());
    for file in ["console.log", "screenshot.png"] {
        let file = Path::new(&bench.request.evidence_dir).join(file);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600, "{}", file.display());
    }
    let picture = std::fs::read(Path::new(&bench.request.evidence_dir).join("screenshot.png")).unwrap();
    assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n"));
    // Once more into the same folder: the evidence is replaced.
    assert_eq!(bench.test().reason, "login-prompt");
}

#[test]
fn a_login_prompt_on_the_screen_passes() {
    let verdict = Bench::new(Output::Screen, b"\r\nprobe login: ", Then::Halt).test();
    assert_eq!((verdict.verdict, verdict.reason.as_str()), (Passed, "login-prompt"), "{verdict:?}");
}

#[test]
fn failures_have_names() {
    let table: [(Output, &[u8], &str); 4] = [
        (Output::Serial, b"[    1.5] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n", "panic"),
        (
            Output::Serial,
            b"ALERT!  /dev/sda1 does not exist.  Dropping to a shell!\r\n(initramfs) ",
            "initramfs-prompt",
        ),
        (Output::Screen, b"error: no such partition.\r\nEntering rescue mode...\r\ngrub rescue> ", "grub-rescue"),
        (Output::Screen, b"Missing operating system", "no-bootable-device"),
    ];
    for (output, text, reason) in table {
        let verdict = Bench::new(output, text, Then::Halt).test();
        assert_eq!((verdict.verdict, verdict.reason.as_str()), (Failed, reason), "{verdict:?}");
    }
}

#[test]
fn a_failure_has_what_was_complained_of_before() {
    let text = b"[ TIME ] Timed out waiting for device /dev/sdb1.\r\n[DEPEND] Dependency failed for /srv.\r\n[DEPEND] Dependency failed for /srv.\r\n\
                 You are in emergency mode.\r\n";
    let verdict = Bench::new(Output::Serial, text, Then::Halt).test();
    assert_eq!((verdict.verdict, verdict.reason.as_str()), (Failed, "emergency-mode"), "{verdict:?}");
    let said: Vec<&str> =
        verdict.evidence.iter().filter(|it| it.kind == "console").map(|it| it.detail.as_str()).collect();
    let before = ["[ TIME ] Timed out waiting for device /dev/sdb1.", "[DEPEND] Dependency failed for /srv."];
    assert_eq!(said, ["You are in emergency mode.", before[0], before[1]]);
}

#[test]
fn an_empty_disk_is_no_bootable_device() {
    let bench = Bench::of(&[0; 512]);
    let verdict = bench.test();
    assert_eq!((verdict.verdict, verdict.reason.as_str()), (Failed, "no-bootable-device"), "{verdict:?}");
    assert_eq!(verdict.evidence[0].detail, "No bootable device.");
    assert!(bench.console().contains("--- text on the screen ---\n"), "{}", bench.console());
}

#[test]
fn a_guest_that_resets_for_ever_is_a_reboot_loop() {
    let verdict = Bench::new(Output::Serial, b"again\r\n", Then::Reset).test();
    assert_eq!((verdict.verdict, verdict.reason.as_str()), (Failed, "reboot-loop"), "{verdict:?}");
    assert_eq!(verdict.evidence[0].detail, "the guest reset itself 4 times");
}

#[test]
fn a_silent_guest_times_out_with_its_last_words() {
    let mut bench = Bench::new(Output::Serial, b"Loading Linux ...\r\n", Then::Halt);
    bench.request.timeout_seconds = 4;
    let verdict = bench.test();
    assert_eq!((verdict.verdict, verdict.reason.as_str()), (Failed, "timeout"), "{verdict:?}");
    assert_eq!(verdict.evidence[0].detail, "Loading Linux ...");
    assert!((4.0..10.0).contains(&verdict.seconds), "{}", verdict.seconds);
}

#[test]
fn an_expected_sshd_is_required_beside_the_prompt() {
    let mut bench = Bench::new(Output::Serial, b"\r\nprobe login: ", Then::Halt);
    bench.request.timeout_seconds = 4;
    bench.request.expect.ssh_address = Some("192.168.7.9".into());
    let verdict = bench.test();
    assert_eq!((verdict.verdict, verdict.reason.as_str()), (Failed, "sshd-silent"), "{verdict:?}");
    bench.request.expect.ssh_address = Some("fe80::1".into());
    let error = bench.tester(&FakeHost::new(), json!({})).unwrap_err();
    assert_eq!(error.message, "\"fe80::1\" is not an IPv4 address where an sshd can be expected");
}

#[test]
fn a_shared_image_can_be_tested_twice_at_once() {
    let bench = Bench::new(Output::Serial, b"\r\nprobe login: ", Then::Halt);
    let other = |name: &str| support::request(&bench.folder.path().join(name), &bench.image, "raw", 1 << 20);
    let (one, two, other) = (bench.request.clone(), other("two"), other("other"));
    std::thread::scope(|scope| {
        let handles = [one, two, other]
            .map(|request| scope.spawn(move || support::tester(&FakeHost::new(), json!({}), &request).unwrap().reason));
        for handle in handles {
            assert_eq!(handle.join().unwrap(), "login-prompt");
        }
    });
}

#[test]
fn every_image_format_below_an_overlay_boots() {
    let bench = Bench::new(Output::Serial, b"\r\nprobe login: ", Then::Halt);
    for format in ["qcow2", "vdi", "vmdk", "vhdx"] {
        let image = bench.folder.path().join(format!("image, {format}"));
        let status = std::process::Command::new("qemu-img")
            .args(["convert", "-f", "raw", "-O", format])
            .args([&bench.image, &image])
            .status()
            .unwrap();
        assert!(status.success());
        let before = std::fs::read(&image).unwrap();
        let request = support::request(bench.folder.path(), &image, format, 1 << 20);
        let verdict = support::tester(&FakeHost::new(), json!({}), &request).unwrap();
        assert_eq!(verdict.reason, "login-prompt", "{format}: {verdict:?}");
        assert!(before == std::fs::read(&image).unwrap(), "{format} was written to");
    }
}

#[test]
fn every_bus_and_card_of_a_machine_boots() {
    let mut bench = Bench::new(Output::Serial, b"\r\nprobe login: ", Then::Halt);
    for (chipset, bus, model) in [
        (Chipset::Q35, DiskBus::Virtio, CardModel::Virtio),
        (Chipset::Q35, DiskBus::VirtioScsi, CardModel::E1000e),
        (Chipset::Q35, DiskBus::Sata, CardModel::E1000),
        (Chipset::Q35, DiskBus::Sata, CardModel::Rtl8139),
        (Chipset::Pc, DiskBus::Ide, CardModel::E1000),
        (Chipset::Pc, DiskBus::Virtio, CardModel::Rtl8139),
    ] {
        let machine = &mut bench.request.machine;
        machine.chipset = chipset;
        machine.disks[0].bus = bus;
        machine.cards.iter_mut().for_each(|card| card.model = model);
        let verdict = bench.test();
        assert_eq!(verdict.reason, "login-prompt", "{chipset:?} {bus:?} {model:?}: {verdict:?}");
    }
}

/// A disk of data may be the first in the order of the bus: the boot order decides.
#[test]
fn the_disk_that_boots_need_not_be_the_first() {
    let mut bench = Bench::new(Output::Serial, b"\r\nprobe login: ", Then::Halt);
    let data = Bench::of(&[0; 512]);
    let disks = &mut bench.request.machine.disks;
    disks.insert(0, data.request.machine.disks[0].clone());
    (disks[0].boot_order, disks[1].boot_order) = (None, Some(1));
    assert_eq!(bench.test().reason, "login-prompt");
}

/// The board's own controller has six ports: the seventh disk is on another, which the firmware finds, too.
#[test]
fn a_disk_boots_that_the_boards_own_controller_has_no_port_for() {
    let mut bench = Bench::new(Output::Serial, b"\r\nprobe login: ", Then::Halt);
    let data = [(); 6].map(|()| Bench::of(&[0; 512]));
    let disks = &mut bench.request.machine.disks;
    disks.splice(0..0, data.iter().map(|data| data.request.machine.disks[0].clone()));
    for disk in disks.iter_mut() {
        (disk.bus, disk.serial, disk.boot_order) = (DiskBus::Sata, Some("a_b.c-1".to_owned()), None);
    }
    disks[6].boot_order = Some(1);
    assert_eq!(bench.test().reason, "login-prompt");
}

#[test]
fn cancelling_ends_the_guest_at_once() {
    let bench = Bench::new(Output::Serial, b"Loading\r\n", Then::Halt);
    let services = FakeHost::new();
    services.cancel_after(Duration::from_secs(2));
    let begin = Instant::now();
    let error = bench.tester(&services, json!({})).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Interrupted);
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    assert!(!mentions(bench.folder.path()), "qemu was left running");
}

#[test]
fn qemu_does_not_outlive_a_killed_host() {
    if let Ok(folder) = std::env::var("QEMU_TEST_HOST") {
        // The second copy of this test, which gets killed.
        let folder = Path::new(&folder);
        let image = folder.join("disk, \"1\":a=b %s.raw");
        let _ = support::tester(&FakeHost::new(), json!({}), &support::request(folder, &image, "raw", 1 << 20));
        return;
    }
    let bench = Bench::new(Output::Serial, b"Loading\r\n", Then::Halt);
    let mut host = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "qemu_does_not_outlive_a_killed_host"])
        .env("QEMU_TEST_HOST", bench.folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let log = Path::new(&bench.request.evidence_dir).join("console.log");
    eventually(|| log.exists() && mentions(bench.folder.path()));
    host.kill().unwrap();
    host.wait().unwrap();
    eventually(|| !mentions(bench.folder.path()));
}

#[test]
fn settings_have_effects() {
    let bench = Bench::new(Output::Serial, b"\r\nprobe login: ", Then::Halt);
    let refused = |settings| bench.tester(&FakeHost::new(), settings).unwrap_err();
    let error = refused(json!({ "program": "no-such-qemu" }));
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Missing, "the program no-such-qemu was not found"));
    assert_eq!(
        error.hint.as_deref(),
        Some("install the package qemu-system-x86 (qemu-system-x86-core on Fedora, qemu-x86 on SUSE)")
    );
    assert_eq!(refused(json!({ "memory_mib": 1 })).kind, ErrorKind::Config);
    assert_eq!(refused(json!({ "memory": 1024 })).kind, ErrorKind::Config);

    let mut uefi = bench.request.clone();
    uefi.machine.firmware = Firmware::Uefi;
    let error = support::tester(&FakeHost::new(), json!({ "firmware_folders": ["/nowhere"] }), &uefi).unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Missing, "a UEFI firmware was not found in /nowhere"));
}

#[test]
fn a_program_that_dies_is_an_error_with_its_words() {
    let bench = Bench::new(Output::Serial, b"x", Then::Halt);
    let program = bench.folder.path().join("qemu");
    std::fs::write(&program, "#!/bin/sh\necho \"qemu: cannot set up guest memory 'pc.ram': \x1b[1mno\" >&2\nexit 1\n")
        .unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = bench.tester(&FakeHost::new(), json!({ "program": program })).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Temporary);
    let wanted =
        format!("{} did not start the machine: cannot set up guest memory 'pc.ram': \\x1b[1mno", program.display());
    assert_eq!(error.message, wanted);
}

/// Whether a qemu runs that was told of this folder.
fn mentions(folder: &Path) -> bool {
    let folder = folder.to_str().unwrap().as_bytes();
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.starts_with(b"qemu-system") && line.windows(folder.len()).any(|part| part == folder)
    })
}

fn eventually(mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it did not happen within 60 s");
        std::thread::sleep(Duration::from_millis(50));
    }
}

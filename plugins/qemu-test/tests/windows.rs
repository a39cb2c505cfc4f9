//! Whole boot tests of guests that pass for a Windows: each is a boot sector that paints a screen, in the style of Windows' and made by the
//! project, or writes a boot manager's text. No Windows runs here.
//! Requires: qemu-system-x86_64 (package qemu-system-x86), qemu-img (package qemu-utils).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "shared with the other tests")]
mod support;

use std::path::Path;

use support::sector::{Output, Then};
use support::{Bench, painted};
use vmdk2kvm_boot_evidence::testing::{Screen, paint};
use vmdk2kvm_boot_evidence::{Look, Picture, look};
use vmdk2kvm_plugin_api::model::VerdictKind::{Failed, Inconclusive};
use vmdk2kvm_plugin_api::model::{Evidence, Verdict};

/// A guest whose disks say that it is a Windows, and whose machine has all that it can have.
fn windows(mut bench: Bench) -> Bench {
    let inspection = serde_json::json!({"schema": 1, "os": {"family": "windows", "product": "Windows 10 Pro"}});
    bench.request.inspection = Some(serde_json::from_value(inspection).unwrap());
    bench.request.machine.paravirtual = true;
    bench
}

fn painted(screen: Screen) -> Bench {
    windows(Bench::holding(&painted::disk(&paint(screen, painted::WIDTH, painted::HEIGHT, false))))
}

fn deciding(verdict: &Verdict) -> (&str, &Evidence) {
    (verdict.reason.as_str(), &verdict.evidence[0])
}

#[test]
fn a_stop_screen_fails_with_the_code_that_its_qr_code_says_and_is_kept() {
    let bench = painted(Screen::Stop10("https://www.windows.com/stopcode?0x7B"));
    let verdict = bench.test();
    assert_eq!(verdict.verdict, Failed, "{verdict:?}");
    let (reason, evidence) = deciding(&verdict);
    assert_eq!(
        (reason, evidence.kind.as_str(), evidence.file.as_deref()),
        ("stop-screen", "screenshot", Some("screenshot.png"))
    );
    let words = "stop code 0x7B INACCESSIBLE_BOOT_DEVICE: a stop screen, told by its QR code (";
    assert!(evidence.detail.starts_with(words), "{}", evidence.detail);
    let saved = std::fs::read(Path::new(&bench.request.evidence_dir).join("screenshot.png")).unwrap();
    let saved = Picture::parse(&saved).unwrap();
    assert_eq!(look(&saved), Look::Stop { code: Some(0x7b), by_qr: true });
    let left = std::fs::read_dir(&bench.request.socket_dir).unwrap().count();
    assert_eq!(left, 0, "a socket was left behind");
}

#[test]
fn a_stop_screen_is_told_by_its_face_too() {
    let verdict = painted(Screen::Stop8).test();
    assert_eq!((verdict.verdict, verdict.reason.as_str()), (Failed, "stop-screen"), "{verdict:?}");
}

/// Nothing that could not be an update, or a Windows that is slow: no guess.
#[test]
fn a_screen_that_says_nothing_is_inconclusive_and_described() {
    for (screen, words) in [
        (
            Screen::Stop24H2,
            "text in the middle of a black screen: an update, or a stop screen of Windows 11 24H2 or newer (",
        ),
        (Screen::Spinner, "a screen that says nothing by its looks ("),
    ] {
        let mut bench = painted(screen);
        bench.request.timeout_seconds = 8;
        let verdict = bench.test();
        assert_eq!(verdict.verdict, Inconclusive, "{verdict:?}");
        let (reason, evidence) = deciding(&verdict);
        assert_eq!((reason, evidence.kind.as_str()), ("timeout", "screenshot"));
        assert!(evidence.detail.starts_with(words), "{}", evidence.detail);
        assert_eq!(verdict.evidence[1].kind, "console");
    }
}

#[test]
fn the_same_screen_proves_nothing_of_a_linux() {
    let mut bench = painted(Screen::Stop8);
    bench.request.inspection = None;
    bench.request.timeout_seconds = 6;
    let verdict = bench.test();
    assert_eq!((verdict.verdict, verdict.reason.as_str()), (Failed, "timeout"), "{verdict:?}");
}

#[test]
fn the_boot_managers_text_names_its_status() {
    let text = b"                          Windows Boot Manager\r\n\r\nWindows failed to start. A recent hardware or software change might be the\r\n\
        cause.\r\n\r\n    File: \\Boot\\BCD\r\n\r\n    Status: 0xc000000e\r\n\r\n    Info: The boot selection failed.\r\n";
    let verdict = windows(Bench::new(Output::Screen, text, Then::Halt)).test();
    assert_eq!(verdict.verdict, Failed, "{verdict:?}");
    let (reason, evidence) = deciding(&verdict);
    assert_eq!((reason, evidence.kind.as_str()), ("boot-manager-screen", "console"));
    let words = "0xC000000E STATUS_NO_SUCH_DEVICE: ";
    assert!(evidence.detail.starts_with(words), "{}", evidence.detail);
    let verdict = windows(Bench::new(Output::Screen, b"NTLDR is missing\r\n", Then::Halt)).test();
    assert_eq!((verdict.verdict, verdict.reason.as_str()), (Failed, "no-bootable-device"), "{verdict:?}");
}

#[test]
fn a_stop_on_the_serial_line_names_its_code() {
    let text = b"\r\n*** STOP: 0x0000007B (0xF78D2524,0xC0000034,0x00000000,0x00000000)\r\n";
    let verdict = windows(Bench::new(Output::Serial, text, Then::Halt)).test();
    let (reason, evidence) = deciding(&verdict);
    assert_eq!((verdict.verdict, reason), (Failed, "stop-screen"));
    assert!(evidence.detail.starts_with("0x7B INACCESSIBLE_BOOT_DEVICE: *** STOP: "), "{}", evidence.detail);
}

#[test]
fn a_repair_that_restarts_for_ever_is_a_loop() {
    let verdict = windows(Bench::new(Output::Screen, b"again\r\n", Then::Reset)).test();
    assert_eq!((verdict.verdict, verdict.reason.as_str()), (Failed, "reboot-loop"), "{verdict:?}");
}

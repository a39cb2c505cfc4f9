//! A real guest, disturbed where only the real thing can be: while its appliance starts, while it is fixed, while it boots. Each run goes
//! on where the one before was stopped.

use std::process::Command;

use vmdk2kvm_tests::{Outcome, Running, Signal, SmallDisk, binary, lab, names};

/// A word among the arguments of the appliance's hypervisor, and of the boot test's: each is preceded by a probe of KVM.
const APPLIANCE: &str = "guestfsd.sock";
const BOOT: &str = "vmdk2kvm-boot-test";

/// Runs until a stage has its hypervisor at work.
fn run_until(command: Command, stage: &str, hypervisor: &str) -> Running {
    let mut run = Running::start(command);
    run.wait_for_stage(stage);
    run.wait_until("its hypervisor runs", |run| run.process(hypervisor).is_some());
    run
}

fn is_temporary(outcome: &Outcome, code: i32) {
    assert_eq!(outcome.code, code, "{:#}\n{}", outcome.json, outcome.stderr);
    assert!(outcome.hint().contains("the same command"), "{}: {}", outcome.message(), outcome.hint());
}

#[test]
fn a_real_guest_survives_every_interruption() {
    let guest = lab("bookworm-bios");
    let source = guest.digests("sparse");
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let migrate = || {
        let mut command = Command::new(binary());
        command.args(["migrate", &guest.vmx("sparse"), "-o"]).arg(&output);
        command
    };

    let run = run_until(migrate(), "inspect", APPLIANCE);
    run.signal(Signal::INT);
    let outcome = run.end().expect(130);
    assert!(outcome.hint().starts_with("to continue where this run stopped: "), "{}", outcome.hint());

    let run = run_until(migrate(), "inspect", APPLIANCE);
    run.kill("worker-process");
    is_temporary(&run.end(), 75);

    let run = run_until(migrate(), "fix", APPLIANCE);
    run.kill(APPLIANCE);
    let outcome = run.end().expect(74);
    assert_eq!(outcome.json["error"]["stage"], "fix");

    let run = run_until(migrate(), "test", BOOT);
    run.kill(BOOT);
    let outcome = run.end();
    is_temporary(&outcome, 75);
    assert_eq!(outcome.message(), "qemu was killed while the guest booted");

    let run = run_until(migrate(), "test", BOOT);
    run.signal(Signal::TERM);
    run.end().expect(130);

    let outcome = Running::start(migrate()).end().expect(0);
    assert_eq!(["flatten", "inspect", "plan", "fix"].map(|stage| outcome.status(stage)), ["unchanged"; 4]);
    assert_eq!((&outcome.json["converged"], &outcome.json["test"]["verdict"]), (&true.into(), &"passed".into()));
    let left = names(&output);
    let result = "bookworm-bios-disk1.qcow2 bookworm-bios.xml boot/console.log boot/screenshot.png plan.json report.html report.json report.md";
    assert_eq!(left.join(" "), result);
    assert_eq!(guest.digests("sparse"), source);
}

/// By default qemu stops its guest when a write finds no room, and whoever waits for the guest waits for ever.
#[test]
fn a_disk_that_becomes_full_while_a_guest_is_fixed_ends_the_run() {
    let guest = lab("bookworm-bios");
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), 2 << 30);
    let migrate = |until: &str| {
        let mut command = Command::new(binary());
        command.args(["migrate", &guest.vmx("sparse"), "--until", until, "-o"]).arg(folder.path());
        disk.inside(&command)
    };
    // The copy is out of the way: it would notice first.
    Running::start(migrate("flatten")).end().expect(0);
    let mut run = Running::start(migrate("fix"));
    run.wait_for_stage("fix");
    disk.fill();
    let outcome = run.end().expect(73);
    // Whichever writes first finds it: the guest's hypervisor, or the host's own file beside it.
    let message = outcome.message();
    assert!(message.starts_with("the file system of ") || message.contains("No space left on device"), "{message}");
    assert!(!outcome.hint().is_empty(), "{message}");
    assert_eq!(outcome.json["error"]["stage"], "fix");
}

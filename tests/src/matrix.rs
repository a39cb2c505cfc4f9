//! What a guest of the matrix goes through: it is migrated, logged into at its static address, given a new kernel package, and restarted.

use serde_json::Value;

use crate::{LabGuest, boot, is_whole, lab, run};

/// Installs the kernel again from the lab's package, as an update would: its scripts make the initramfs and the menu anew.
const REINSTALL: &str = "dpkg --install /opt/lab/kernel/linux-image-*.deb >/root/reinstall.log 2>&1 || { cat /root/reinstall.log >&2; exit 1; }";

/// Panics unless a plan that needs no appliance is the one that an appliance came to, which a report holds. What only an appliance reads is
/// told so.
pub fn planned_without_an_appliance(guest: &LabGuest, packaging: &str, settings: &[&str], report: &Value) {
    let vmx = guest.vmx(packaging);
    let native = run(&[&["plan", &vmx, "--set", "inspect.reader=native"], settings].concat());
    if !guest.key().is_empty() {
        let native = native.expect(69);
        assert!(native.message().ends_with(" is encrypted"), "{}", native.message());
        return;
    }
    let mut done = report["changes"].clone();
    for change in done.as_array_mut().unwrap().iter_mut().filter_map(Value::as_object_mut) {
        // What came of it.
        change.retain(|member, _| !["status", "detail"].contains(&member.as_str()));
    }
    assert_eq!(native.expect(0).json["changes"], done);
}

/// Panics unless the guest comes through all of it; says how long that took.
#[expect(clippy::print_stdout, reason = "under emulation these times are worth knowing")]
pub fn lives_on(name: &str) {
    let guest = lab(name);
    let began = std::time::Instant::now();
    let before = guest.digests("sparse");
    let output = tempfile::tempdir().unwrap();
    let (vmx, key) = (guest.vmx("sparse"), guest.key());
    let mut arguments = vec!["migrate", &vmx, "-o", output.path().to_str().unwrap()];
    arguments.extend(key.iter().map(String::as_str));
    let report = run(&arguments).expect(0).json;
    assert_eq!(report["converged"], true);
    assert_eq!(report["test"]["verdict"], "passed");
    planned_without_an_appliance(&guest, "sparse", &[], &report);
    assert_eq!(guest.digests("sparse"), before, "the source changed");
    let migrated = began.elapsed().as_secs();

    let mut booted = boot(&guest, output.path());
    is_whole(&guest, &booted);
    let whole = began.elapsed().as_secs();
    booted.ssh(REINSTALL);
    let reinstalled = began.elapsed().as_secs();
    booted.reboot();
    is_whole(&guest, &booted);
    let ended = began.elapsed().as_secs();
    println!(
        "{name}: migrated after {migrated} s, whole {whole} s, kernel reinstalled {reinstalled} s, whole again {ended} s"
    );
}

/// A test for each guest, which has the guest's name with other dashes.
#[macro_export]
macro_rules! guests {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::lives_on(&stringify!($name).replace('_', "-"));
            }
        )*
    };
}

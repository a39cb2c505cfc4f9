//! What a guest of the matrix goes through: it is migrated, logged into at its static address, given a new kernel package, and restarted.

use crate::{boot, is_whole, lab, run};

/// Installs the kernel again from the lab's package, as an update would: its scripts make the initramfs and the menu anew.
const REINSTALL: &str = "dpkg --install /opt/lab/kernel/linux-image-*.deb >/root/reinstall.log 2>&1 || { cat /root/reinstall.log >&2; exit 1; }";

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

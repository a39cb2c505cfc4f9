//! What a guest of the matrix goes through: it is migrated, logged into at its static address, given a new kernel package, restarted, and cut off
//! in mid-write.

use std::process::Command;

use serde_json::Value;

use crate::{Booted, LabGuest, boot, is_whole, lab, run};

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

/// What is there when the power goes: a share of VMware's in fstab, which is on the disk for sure, and files that are written over and over.
const WRITE: &str = "sed -i '1i .host:/ /mnt/hgfs fuse.vmhgfs-fuse defaults 0 0' /etc/fstab && sync; \
                     (while cp /etc/services /root/new && mv /root/new /root/busy; do head -c 300000 /dev/urandom >/root/noise; done) \
                     </dev/null >/dev/null 2>&1 & sleep 3";

/// Why a guest that was cut off may need an appliance.
const NEEDS_APPLIANCE: [&str; 3] = [
    " is encrypted",
    " its log holds changes that have to be replayed, as after a power cut",
    " cannot be read without an appliance: it was being written to",
];

/// Panics unless both plans, one made without an appliance, want the same of the same guest.
pub fn same_plans(native: &Value, appliance: &Value) {
    for part in ["changes", "machine", "findings"] {
        assert_eq!(native[part], appliance[part], "{part}");
    }
    // What is known of a clean filesystem only: the space that is left.
    let inspection = |plan: &Value| {
        let mut inspection = plan["inspection"].clone();
        for mount in inspection["mounts"].as_array_mut().unwrap().iter_mut().filter_map(Value::as_object_mut) {
            mount.retain(|member, _| !["free_bytes", "free_inodes", "used_bytes"].contains(&member.as_str()));
        }
        inspection
    };
    assert_eq!(inspection(native), inspection(appliance));
}

/// Panics unless the guest's disks, cut off while it writes, have the same plan both ways, or it is said why they need an appliance.
fn is_cut_off(guest: &LabGuest, booted: &mut Booted) -> String {
    booted.ssh(WRITE);
    let folder = tempfile::tempdir().unwrap();
    for (number, overlay) in booted.cut().iter().enumerate() {
        let disk = if number == 0 { format!("{}.vmdk", guest.name) } else { format!("{}_{number}.vmdk", guest.name) };
        let disk = folder.path().join(disk);
        let made = Command::new("qemu-img").args(["convert", "-O", "vmdk"]).args([overlay, &disk]).status().unwrap();
        assert!(made.success());
    }
    let vmx = folder.path().join("cut.vmx");
    std::fs::copy(guest.vmx("sparse"), &vmx).unwrap();
    let plan = |reader: &str| {
        let reader = format!("inspect.reader={reader}");
        let key = guest.key();
        let key = key.iter().map(String::as_str);
        run(&["plan", vmx.to_str().unwrap(), "--set", &reader].into_iter().chain(key).collect::<Vec<_>>())
    };
    let native = plan("native");
    if native.code == 69 {
        let message = native.message();
        assert!(NEEDS_APPLIANCE.iter().any(|why| message.ends_with(why)), "{message}");
        return message.to_owned();
    }
    let native = native.expect(0).json;
    let share = |change: &Value| change["target"] == "/etc/fstab" && change["diff"].to_string().contains("-.host:/");
    assert!(native["changes"].as_array().unwrap().iter().any(share), "{:#}", native["changes"]);
    same_plans(&native, &plan("appliance").expect(0).json);
    "the same plan both ways".to_owned()
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
    let again = began.elapsed().as_secs();
    let cut = is_cut_off(&guest, &mut booted);
    let ended = began.elapsed().as_secs();
    println!(
        "{name}: migrated after {migrated} s, whole {whole} s, kernel reinstalled {reinstalled} s, whole again {again} s, cut off {ended} s: {cut}"
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

//! What about a running guest stands in the way of changing it: said before the first change, as findings.

use vmdk2kvm_linux_guest::fstab_mounts;
use vmdk2kvm_plugin_api::model::{Finding, Severity};
use vmdk2kvm_plugin_api::{Guest, Result};

use super::layout::Layout;

/// Where changes are made, beside the root.
const PLACES: [&str; 6] = ["/boot", "/boot/efi", "/efi", "/etc", "/usr", "/var"];
/// Filesystems under which the real root lies.
const LAYERED: [&str; 3] = ["overlay", "aufs", "unionfs"];

/// The findings.
pub(super) fn findings(layout: &Layout, guest: &dyn Guest) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    let block = |code: &str, message: String, hint: &str| Finding::new(code, Severity::Block, message).hint(hint);
    let counts = |place: &str| place == "/" || PLACES.contains(&place);
    if guest.stat("/run/ostree-booted")?.is_some() {
        let hint = "migrate its disks: what is changed there is not lost with the next deployment";
        found.push(block("live-ostree", "the running system is an image that ostree made".to_owned(), hint));
    }
    for mount in layout.mounts.iter().filter(|mount| counts(&mount.mountpoint)) {
        let place = &mount.mountpoint;
        if LAYERED.contains(&mount.fstype.as_str()) {
            let message =
                format!("{place} is a layer ({}) over the real one, and what is written to it is lost", mount.fstype);
            found.push(block("live-layered", message, "start the guest without the layer, or migrate its disks"));
        } else if mount.is_read_only {
            let message = format!("{place} is mounted read-only");
            found.push(block("live-read-only", message, "mount it writable in the guest, if that is meant to be"));
        }
    }
    // A change would be made in the folder under the mount point.
    for wanted in fstab_mounts(guest, &layout.disks, None)? {
        let place = wanted.mountpoint;
        if counts(&place) && !layout.mounts.is_empty() && !layout.mounts.iter().any(|mount| mount.mountpoint == place) {
            let message = format!("/etc/fstab has a filesystem for {place}, and nothing is mounted there");
            found.push(block("live-not-mounted", message, "mount it in the guest"));
        }
    }
    Ok(found)
}

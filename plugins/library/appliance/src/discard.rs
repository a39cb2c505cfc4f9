//! Giving back what the guest's filesystems do not use: the last thing that is done to them, so that what was deleted, in the guest's
//! life or by a fixer, takes no room in the images. What the overlays discard, a commit makes into holes.
//!
//! Encrypted devices pass nothing on, unless their own header allows it: the pattern of what is in use would show through.

use std::collections::BTreeSet;

use vmdk2kvm_plugin_api::{ErrorKind, Result, tracing};

use crate::guest::ApplianceGuest;

/// Shorter stretches make no hole in an image: the size of its clusters, in bytes.
const CLUSTER: u64 = 64 << 10;

/// Discards on every filesystem that is mounted, once each. One that cannot is passed over.
pub fn discard_unused(guest: &ApplianceGuest) -> Result<()> {
    let mut done = BTreeSet::new();
    for mount in guest.mounts.iter().filter(|mount| done.insert(&mount.device)) {
        match guest.files.appliance.discard(|handle| handle.trim(&mount.mountpoint, CLUSTER)) {
            Ok(()) => tracing::debug!(device = mount.device, "what it does not use was discarded"),
            // The appliance has gone, and the run cannot go on without it.
            Err(error) if matches!(error.kind, ErrorKind::Interrupted | ErrorKind::Temporary) => return Err(error),
            Err(error) => tracing::debug!(device = mount.device, %error, "what it does not use stays"),
        }
    }
    Ok(())
}

//! Changing bytes of a device which are in no file.

use vmdk2kvm_plugin_api::model::{Applied, from_hex};
use vmdk2kvm_plugin_api::{Guest, PluginError, Result};

use super::checked::changed;
use super::{done, unchanged};
use crate::guest::ApplianceGuest;
use crate::suspended::suspended;

/// Longest piece: what lies outside of files and is known to fixers is a sector or two.
const LONGEST: usize = 64 << 10;

/// Writes `new` over `old`, with nothing mounted.
pub fn edit(guest: &ApplianceGuest, target: &str, offset: u64, old: &str, new: &str) -> Result<Applied> {
    let (old, new) = (from_hex(old, "old data of a device")?, from_hex(new, "new data of a device")?);
    if old.len() != new.len() || old.is_empty() || old.len() > LONGEST {
        let lengths = format!("{} bytes cannot take the place of {}", new.len(), old.len());
        return Err(PluginError::unusable(format!("{target}: {lengths} on a device")));
    }
    if !guest.storage()?.devices.iter().any(|device| device.device == target) {
        return Err(changed(target, "has gone"));
    }
    let length = u32::try_from(old.len()).unwrap_or(u32::MAX);
    let read = || guest.files.appliance.call(|handle| handle.pread_device(target, length, offset));
    let now = read()?;
    if now == new {
        return Ok(unchanged());
    }
    if now != old {
        return Err(changed(target, &format!("holds other bytes at {offset}")));
    }
    suspended(guest, |handle| handle.pwrite_device(target, &new, offset).map(|_| ()))?;
    if read()? == new {
        Ok(done(format!("{} bytes at {offset}", new.len())))
    } else {
        Err(PluginError::io(format!("{target}: the bytes at {offset} did not take what was written")))
    }
}

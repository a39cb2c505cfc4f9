//! What the first start on the new machine needs: drivers that come with Windows for a lesser machine, disks that come online, a crash that
//! can be read.

use vmdk2kvm_plugin_api::Result;

use super::plan::Planning;
use crate::edits::number;
use crate::inspect::storage::{FALLBACK, started};

/// Every disk comes online; virtio disks count as shared, which servers keep offline.
const ONLINE_ALL: u32 = 1;

/// Has the system start from any of the buses that it has a driver for.
pub fn fallback(planning: &mut Planning<'_>) -> Result<()> {
    planning.system.concern("the system also starts from SATA and IDE");
    for bus in FALLBACK {
        let key = planning.hives.service(bus.service);
        let Some(start) = started(planning.hives, bus.service)? else { continue };
        planning.plan.drives.push(bus.word.to_owned());
        if start == 0 {
            continue;
        }
        planning.system.set(&key, "Start", number(0))?;
        planning.system.empty(&format!("{key}\\StartOverride"))?;
    }
    Ok(())
}

/// Keeps data disks online and the screen of a crash readable; the first start puts back what was there.
pub fn disks_and_crashes(planning: &mut Planning<'_>) -> Result<()> {
    planning.system.concern("all disks come online, and a crash stays on the screen, until the first start is over");
    for (key, name, wanted, default) in [
        ("Services\\partmgr\\Parameters", "SanPolicy", ONLINE_ALL, None),
        ("Control\\CrashControl", "AutoReboot", 0, Some(1)),
    ] {
        let key = planning.hives.current(key);
        let old = planning.hives.system.number(&key, name)?;
        let is_default = old.is_none() && default == Some(u64::from(wanted));
        if old == Some(u64::from(wanted)) || is_default {
            continue;
        }
        planning.put_back.push((key.clone(), name.to_owned(), old.and_then(|old| u32::try_from(old).ok())));
        planning.system.set(&key, name, number(wanted))?;
    }
    Ok(())
}

//! XP and 2003: their boot sector finds the loader by the number of heads that the old machine's BIOS counted. Where it is another one the start
//! ends with "A disk read error occurred".

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{Action, Change};

use super::plan::Planning;
use crate::boot_sector::{BootSector, HEADS, HEADS_AT, is_large};

/// Sets the number of heads that the new machine's BIOS counts, in the boot sector and in its copy.
pub fn plan(planning: &mut Planning<'_>) -> Result<()> {
    let inspection = &planning.context.inspection;
    if inspection.bootloader.as_deref() != Some("ntldr") {
        return Ok(());
    }
    let config = inspection.bootloader_config.as_deref().unwrap_or_default();
    let mountpoint = config.rsplit_once('/').map_or("", |(folder, _)| folder);
    let Some(mount) = inspection.mounts.iter().find(|mount| mount.mountpoint == mountpoint) else { return Ok(()) };
    let Some(sector) = BootSector::of(planning.guest, mountpoint)? else { return Ok(()) };
    if sector.heads == HEADS || !is_large(&inspection.disks, &mount.device) {
        return Ok(());
    }
    let change = |at: u64, what: &str| {
        let action = Action::edit_device(at + u64::from(HEADS_AT), &sector.heads.to_le_bytes(), &HEADS.to_le_bytes());
        let summary = format!("set {HEADS} heads in {what}, which has {}", sector.heads);
        let reason = "the system finds its loader by the number of heads, and a BIOS counts so many on a large disk";
        Change::new(action, &mount.device, summary, reason)
    };
    // Nothing starts from the copy.
    let changes = [change(0, "the boot sector").critical(), change(sector.copy_at, "the boot sector's copy")];
    planning.plan.changes.extend(changes);
    Ok(())
}

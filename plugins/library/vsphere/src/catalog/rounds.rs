//! What is asked of a VM that is read in rounds: that a snapshot freezes all of it, and that its changes are tracked.

use vmdk2kvm_plugin_api::model::{HoldWish, PowerState};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::{VmCatalog, tracking};
use crate::machine::Machine;

/// Refuses a VM whose rounds would be wrong. `others` are its snapshots that no run of this program made.
pub(super) fn refuse(catalog: &VmCatalog, machine: &Machine, wish: &HoldWish, others: usize) -> Result<()> {
    let vm = escape(&machine.spec.name);
    let blocked = |message: String, hint: &str| Err(PluginError::new(ErrorKind::Blocked, message).hint(hint));
    if catalog.address.snapshot.is_some() {
        let message = format!("rounds follow the current state of {vm}, and the source names a snapshot of it");
        return Err(PluginError::new(ErrorKind::Usage, message).hint("leave ?snapshot= out, or --warm"));
    }
    if machine.power == PowerState::Suspended {
        let message = format!("{vm} is suspended: its disks lack what its memory holds (vm-running)");
        return blocked(message, "resume it, then run again");
    }
    if !wish.snapshot {
        let message = format!("{vm} is read in rounds, and each needs a snapshot (vm-running)");
        return blocked(message, "allow that with --snapshot");
    }
    if let Some(disk) = machine.disks.iter().find(|disk| disk.backing.is_independent()) {
        let name = escape(&disk.disk.name);
        let message = format!("the disk {name} of {vm} is independent: no snapshot freezes it (disk-independent)");
        return blocked(
            message,
            "make it dependent in the vSphere client, or migrate the VM in one go while it is off",
        );
    }
    if machine.consolidation_needed {
        let message =
            format!("{vm} has redo logs that no snapshot needs: each round would add to them (consolidation-needed)");
        return blocked(message, "consolidate its disks in the vSphere client first");
    }
    // Tracking that is turned on says nothing of the files below a snapshot.
    if others > 0 && machine.tracking != Some(true) {
        let count = if others == 1 { "a snapshot".to_owned() } else { format!("{others} snapshots") };
        let message = format!("{vm} has {count}, and its changes are not tracked yet (snapshots-present)");
        return blocked(message, "remove its snapshots first, or migrate it in one go");
    }
    tracking::refuse_untrackable(machine, "migrate it in one go, without --warm")
}

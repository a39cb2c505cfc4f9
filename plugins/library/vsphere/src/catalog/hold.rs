//! What reading a VM needs: taken once for a run, found again by the run's id, and given back.
//!
//! A VM that runs writes to the files that are read: a snapshot makes it write elsewhere. The snapshot has the run's id in its name, so that after
//! a crash it is neither made twice nor left. Change tracking that was turned on is marked by the same id in the VM's own settings, in the same call.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::model::{Hold, HoldWish, PowerState, Release};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::{Seen, VmCatalog, files, power, rounds, tracking};
use crate::api::NewSnapshot;
use crate::collector::Object;
use crate::concerns;
use crate::datastore::SESSION_NOTE;
use crate::machine::{self, Machine, Snapshot};
use crate::request::Moref;
use crate::session::Failed;

/// What the names of our snapshots begin with.
const PREFIX: &str = "vmdk2kvm ";
/// How often removing a snapshot is tried.
const ATTEMPTS: u32 = 4;

/// What is noted of a hold beside the handle of its session.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Notes {
    /// The VM.
    pub vm: String,
    /// The snapshot that is read.
    #[serde(default)]
    pub snapshot: Option<String>,
}

impl Notes {
    /// Those of a hold.
    pub fn of(hold: &Hold) -> Result<Self> {
        serde_json::from_value(hold.notes.clone())
            .map_err(|_| PluginError::defect("the notes of a hold are not of this plugin"))
    }

    /// The VM.
    pub fn machine(&self) -> Moref {
        Moref::new("VirtualMachine", &self.vm)
    }
}

/// Whether a snapshot was made by this program.
pub(super) fn is_ours(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|run| run.len() >= 8 && run.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Takes what reading the VM needs. What was taken before something else failed is given back at once.
pub(super) fn hold(catalog: &VmCatalog, wish: &HoldWish) -> Result<Hold> {
    let seen = catalog.present()?;
    let mut hold = Hold::nothing();
    let mut notes = Notes { vm: seen.machine.moref.id.clone(), ..Notes::default() };
    let taken = take(catalog, wish, &seen, &mut hold, &mut notes);
    hold.notes = serde_json::json!(notes);
    if let Err(error) = taken {
        // Whoever was refused is believed to hold nothing: where that is not so it has to be another error.
        // Tracking that an earlier round turned on is noted by whoever asked; what this call turned on nobody knows of.
        let was_tracked = seen.machine.tracking == Some(true);
        let why = if wish.round.is_some() && was_tracked { Release::Round } else { Release::Abandoned };
        return match release(catalog, &hold, why) {
            Err(left) => Err(left.of_kind(ErrorKind::Temporary).context(&error.message)),
            Ok(()) => Err(error),
        };
    }
    hold.notes[SESSION_NOTE] = catalog.host.lend_secret(&catalog.api()?.session().lend()?)?.into();
    Ok(hold)
}

fn take(catalog: &VmCatalog, wish: &HoldWish, seen: &Seen, hold: &mut Hold, notes: &mut Notes) -> Result<()> {
    let machine = &seen.machine;
    let vm = escape(&machine.spec.name);
    catalog.check_findings(&machine.spec.name, &wish.schemes)?;
    if let Some(busy) = concerns::resting(machine).map_or_else(|| catalog.busy(machine), |busy| Ok(Some(busy)))? {
        return Err(busy.error(&machine.spec.name));
    }
    let name = format!("{PREFIX}{}", wish.run);
    let mut own = machine.snapshots.iter().find(|snapshot| snapshot.name == name).cloned();
    if wish.round.is_some() {
        let others = machine.snapshots.iter().filter(|snapshot| !is_ours(&snapshot.name)).count();
        rounds::refuse(catalog, machine, wish, others)?;
        // An earlier round's says what the machine was then.
        for left in machine.snapshots.iter().filter(|snapshot| snapshot.name == name) {
            remove(catalog, &machine.moref, left)?;
        }
        own = None;
    }
    let mut snapshot = match &own {
        Some(own) => Some(own.clone()),
        None => catalog.named_snapshot(machine)?,
    };
    let shuts_down = wish.power_off && wish.round.is_none() && machine.runs() && snapshot.is_none();
    let runs = machine.runs() && !shuts_down;
    if runs && wish.round.is_none() {
        refuse(machine, wish, snapshot.is_some())?;
    }
    if shuts_down {
        power::shut_down(catalog, machine)?;
        hold.took.push(format!("{vm} was shut down, and stays off"));
    }
    if tracking::begin(catalog, machine, wish)? {
        hold.id.clone_from(&wish.run);
        hold.took.push(format!("change tracking of {vm} was turned on"));
        hold.kept.clone_from(&hold.took);
    }
    let needs_one = (runs || wish.round.is_some()) && snapshot.is_none();
    if own.is_some() || needs_one {
        hold.id.clone_from(&wish.run);
        hold.took.push(format!("snapshot \"{name}\" of {vm}"));
    }
    if needs_one {
        let made = make(catalog, machine, &name)?;
        snapshot = Some(match wish.round {
            Some(_) => tracked(catalog, machine, made)?,
            None => made,
        });
    }
    hold.frozen = snapshot.is_some();
    let mut read = files(machine);
    if let Some(snapshot) = snapshot {
        let devices = catalog.devices(&snapshot.moref)?;
        read = files(&Machine::new(&seen.object, &seen.names, Some(&devices)));
        hold.since = tracking::change_ids(&devices);
        notes.snapshot = Some(snapshot.moref.id);
    }
    catalog.check_files(machine, &read)
}

/// Refuses a VM that writes to its disks, unless a snapshot is allowed or there.
fn refuse(machine: &Machine, wish: &HoldWish, has_snapshot: bool) -> Result<()> {
    let vm = escape(&machine.spec.name);
    let blocked = |message: String| PluginError::new(ErrorKind::Blocked, message);
    if machine.power == PowerState::Suspended && !has_snapshot {
        return Err(blocked(format!("{vm} is suspended: its disks lack what its memory holds (vm-running)"))
            .hint("resume it and shut it down, or name a snapshot of it by ?snapshot="));
    }
    if !wish.snapshot && !has_snapshot {
        return Err(blocked(format!("{vm} runs, and reading its disks needs a snapshot (vm-running)"))
            .hint("allow that with --snapshot, or a shut-down with --power-off"));
    }
    let independent = machine.disks.iter().find(|disk| disk.backing.is_independent());
    independent.map_or(Ok(()), |disk| {
        let name = escape(&disk.disk.name);
        Err(blocked(format!(
            "{vm} runs, and its disk {name} is independent: no snapshot freezes it (disk-independent)"
        ))
        .hint("allow a shut-down with --power-off"))
    })
}

/// Makes a snapshot. What is not sure to have been made is looked for first.
fn make(catalog: &VmCatalog, machine: &Machine, name: &str) -> Result<Snapshot> {
    let what = format!("making a snapshot of {}", escape(&machine.spec.name));
    let description = "made by vmdk2kvm to read the disks; it removes it when they have been read";
    let api = catalog.api()?;
    let make = |quiesce| api.make_snapshot(&catalog.host, &machine.moref, &NewSnapshot { name, description, quiesce });
    let mut made = make(catalog.options.quiesce);
    if let (true, Err(Failed::Fault(fault))) = (catalog.options.quiesce, &made) {
        if !fault.is_gone() {
            let why = if fault.kind.is_empty() { &fault.text } else { &fault.kind };
            catalog.host.warn(format!(
                "{}: its filesystems could not be quiesced ({}): the snapshot is crash-consistent",
                escape(&machine.spec.name),
                escape(why)
            ));
            made = make(false);
        }
    }
    match made {
        Ok(moref) => match moref {
            Some(moref) => Ok(Snapshot { moref, name: name.to_owned() }),
            None => find(catalog, &machine.moref, name)?
                .ok_or_else(|| PluginError::io(format!("{what}: it was made, and is not there"))),
        },
        Err(failed) => {
            let unheard = matches!(failed, Failed::Unheard(_));
            let error = failed.error(&what, api.server());
            match find(catalog, &machine.moref, name) {
                Ok(Some(snapshot)) if unheard && error.kind != ErrorKind::Interrupted => Ok(snapshot),
                _ => Err(error),
            }
        }
    }
}

/// A snapshot whose disks say since when their changes are known. A machine that runs is tracked from its next stun on: that of a snapshot that is made and
/// removed again.
fn tracked(catalog: &VmCatalog, machine: &Machine, made: Snapshot) -> Result<Snapshot> {
    let known = tracking::change_ids(&catalog.devices(&made.moref)?);
    if machine.disks.iter().all(|disk| known.contains_key(&disk.key.to_string())) {
        return Ok(made);
    }
    remove(catalog, &machine.moref, &made)?;
    make(catalog, machine, &made.name)
}

/// The snapshot of this name.
fn find(catalog: &VmCatalog, vm: &Moref, name: &str) -> Result<Option<Snapshot>> {
    let object = catalog.api()?.read(vm, &["snapshot"], "looking for the snapshot")?;
    Ok(all(&object).into_iter().find(|snapshot| snapshot.name == name))
}

fn all(vm: &Object) -> Vec<Snapshot> {
    vm.get("snapshot").map(machine::snapshots).unwrap_or_default()
}

/// Gives back what a run took: what is gone already is no error.
pub(super) fn release(catalog: &VmCatalog, hold: &Hold, why: Release) -> Result<()> {
    if hold.is_nothing() {
        return Ok(());
    }
    let notes = Notes::of(hold)?;
    let vm = notes.machine();
    let name = format!("{PREFIX}{}", hold.id);
    let api = catalog.api()?;
    let object = match api.try_read(&vm, &["snapshot"]) {
        Err(Failed::Fault(fault)) if fault.is_gone() => return Ok(()),
        object => object.map_err(|failed| failed.error("looking for the snapshot", api.server()))?,
    };
    // One that somebody gave a name of his own is his.
    let is_noted = |found: &Snapshot| notes.snapshot.as_ref() == Some(&found.moref.id) && is_ours(&found.name);
    for snapshot in all(&object).iter().filter(|found| found.name == name || is_noted(found)) {
        remove(catalog, &vm, snapshot)?;
    }
    if why == Release::Round { Ok(()) } else { tracking::end(catalog, &vm, &hold.id) }
}

fn is_there(catalog: &VmCatalog, vm: &Moref, snapshot: &Snapshot) -> Result<bool> {
    let object = catalog.api()?.read(vm, &["snapshot"], "looking for the snapshot")?;
    Ok(all(&object).iter().any(|found| found.moref == snapshot.moref))
}

fn remove(catalog: &VmCatalog, vm: &Moref, snapshot: &Snapshot) -> Result<()> {
    let what = format!("removing the snapshot \"{}\"", escape(&snapshot.name));
    let api = catalog.api()?;
    for attempt in 1.. {
        let failed = match api.remove_snapshot(vm, &snapshot.moref) {
            Ok(_) => break,
            Err(Failed::Fault(fault)) if fault.is_gone() => break,
            Err(failed) => failed.error(&what, api.server()),
        };
        // Whatever the answer says: is it there?
        if matches!(is_there(catalog, vm, snapshot), Ok(false)) {
            break;
        }
        if attempt == ATTEMPTS || failed.kind == ErrorKind::Interrupted {
            return Err(
                failed.hint("it is tried again by `vmdk2kvm release`; it can also be removed in the vSphere client")
            );
        }
        std::thread::sleep(Duration::from_secs(1 << attempt));
    }
    let after = api.read(vm, &["runtime.consolidationNeeded"], "looking at the VM")?;
    if after.is_on("runtime.consolidationNeeded") == Some(true) {
        catalog.host.warn(format!(
            "the VM {} at {} needs its disks consolidated: the snapshot is gone, and its redo logs are not (consolidation-needed)",
            vm.id,
            api.server()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_run_are_ours() {
        for (name, ours) in [
            ("vmdk2kvm 0123456789abcdef", true),
            ("vmdk2kvm before", false),
            ("vmdk2kvm 12", false),
            ("before", false),
            ("VMDK2KVM 0123456789abcdef", false),
        ] {
            assert_eq!(is_ours(name), ours, "{name}");
        }
    }
}

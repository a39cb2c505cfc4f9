//! What reading a VM needs: taken once for a run, found again by the run's id, and given back.
//!
//! A VM that runs writes to the files that are read: a snapshot makes it write elsewhere. The snapshot has the run's id in its name, so that after
//! a crash it is neither made twice nor left. Change tracking that was turned on is marked by the same id in the VM's own settings, in the same call.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::model::{Hold, HoldWish, PowerState};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};
use vmdk2kvm_vsphere::collector::Object;
use vmdk2kvm_vsphere::datastore::SESSION_NOTE;
use vmdk2kvm_vsphere::machine::{Machine, Snapshot};
use vmdk2kvm_vsphere::request::{Elements, Moref, Request};
use vmdk2kvm_vsphere::session::Failed;
use vmdk2kvm_vsphere::{collector, machine, task};

use crate::catalog::{Seen, SoapCatalog, files};
use crate::{power, tracking};

/// What the names of our snapshots begin with.
const PREFIX: &str = "vmdk2kvm ";
/// How often removing a snapshot is tried.
const ATTEMPTS: u32 = 4;

/// What is noted of a hold beside the handle of its session.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Notes {
    /// The VM.
    pub vm: String,
    /// The snapshot that is read.
    #[serde(default)]
    pub snapshot: Option<String>,
    /// Of each disk by its key the word since which later changes can be asked for.
    #[serde(default)]
    pub change_ids: std::collections::BTreeMap<String, String>,
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
pub(crate) fn is_ours(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|run| run.len() >= 8 && run.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Takes what reading the VM needs. What was taken before something else failed is given back at once.
pub(crate) fn hold(catalog: &SoapCatalog, wish: &HoldWish) -> Result<Hold> {
    let seen = catalog.present()?;
    let mut hold = Hold::nothing();
    let mut notes = Notes { vm: seen.machine.moref.id.clone(), ..Notes::default() };
    let taken = take(catalog, wish, &seen, &mut hold, &mut notes);
    hold.notes = serde_json::json!(notes);
    if let Err(error) = taken {
        // Whoever was refused is believed to hold nothing: where that is not so it has to be another error.
        return match release(catalog, &hold) {
            Err(left) => Err(left.of_kind(ErrorKind::Temporary).context(&error.message)),
            Ok(()) => Err(error),
        };
    }
    hold.notes[SESSION_NOTE] = catalog.host.lend_secret(&catalog.session()?.lend()?)?.into();
    Ok(hold)
}

fn take(catalog: &SoapCatalog, wish: &HoldWish, seen: &Seen, hold: &mut Hold, notes: &mut Notes) -> Result<()> {
    let machine = &seen.machine;
    let vm = escape(&machine.spec.name);
    let name = format!("{PREFIX}{}", wish.run);
    let own = machine.snapshots.iter().find(|snapshot| snapshot.name == name).cloned();
    let mut snapshot = match &own {
        Some(own) => Some(own.clone()),
        None => catalog.named_snapshot(machine)?,
    };
    let shuts_down = wish.power_off && machine.runs() && snapshot.is_none();
    let runs = machine.runs() && !shuts_down;
    if runs {
        refuse(machine, wish, snapshot.is_some())?;
    }
    if shuts_down {
        power::shut_down(catalog, machine)?;
        hold.took.push(format!("{vm} was shut down, and stays off"));
    }
    if tracking::begin(catalog, machine, wish)? {
        hold.id.clone_from(&wish.run);
        hold.took.push(format!("change tracking of {vm} was turned on"));
    }
    if own.is_some() || (runs && snapshot.is_none()) {
        hold.id.clone_from(&wish.run);
        hold.took.push(format!("snapshot \"{name}\" of {vm}"));
    }
    if runs && snapshot.is_none() {
        snapshot = Some(make(catalog, machine, &name)?);
    }
    hold.frozen = snapshot.is_some();
    let mut read = files(machine);
    if let Some(snapshot) = snapshot {
        let devices = catalog.devices(&snapshot.moref)?;
        read = files(&Machine::new(&seen.object, &seen.names, Some(&devices)));
        notes.change_ids = tracking::change_ids(&devices);
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
fn make(catalog: &SoapCatalog, machine: &Machine, name: &str) -> Result<Snapshot> {
    let what = format!("making a snapshot of {}", escape(&machine.spec.name));
    let request = |quiesce| {
        let arguments = Elements::new()
            .text("name", name)
            .text("description", "made by vmdk2kvm to read the disks; it removes it when they have been read")
            .switch("memory", false)
            .switch("quiesce", quiesce);
        Request::new("CreateSnapshot_Task", &machine.moref, arguments)
    };
    let session = catalog.session()?;
    let mut made = task::run(session, Some(&catalog.host), &request(catalog.settings.quiesce), &what);
    if let (true, Err(Failed::Fault(fault))) = (catalog.settings.quiesce, &made) {
        if !fault.is_gone() {
            let why = if fault.kind.is_empty() { &fault.text } else { &fault.kind };
            catalog.host.warn(format!(
                "{}: its filesystems could not be brought to rest ({}): the snapshot is as after a power cut",
                escape(&machine.spec.name),
                escape(why)
            ));
            made = task::run(session, Some(&catalog.host), &request(false), &what);
        }
    }
    match made {
        Ok(result) => match Moref::of(&result) {
            Some(moref) => Ok(Snapshot { moref, name: name.to_owned() }),
            None => find(catalog, &machine.moref, name)?
                .ok_or_else(|| PluginError::io(format!("{what}: it was made, and is not there"))),
        },
        Err(failed) => {
            let unheard = matches!(failed, Failed::Unheard(_));
            let error = session.error(failed, &what);
            match find(catalog, &machine.moref, name) {
                Ok(Some(snapshot)) if unheard && error.kind != ErrorKind::Interrupted => Ok(snapshot),
                _ => Err(error),
            }
        }
    }
}

/// The snapshot of this name.
fn find(catalog: &SoapCatalog, vm: &Moref, name: &str) -> Result<Option<Snapshot>> {
    let object = collector::read(catalog.session()?, vm, &["snapshot"], "looking for the snapshot")?;
    Ok(named(&object, name))
}

fn named(vm: &Object, name: &str) -> Option<Snapshot> {
    let all = vm.get("snapshot").map(machine::snapshots).unwrap_or_default();
    all.into_iter().find(|snapshot| snapshot.name == name)
}

/// Gives back what a run took: what is gone already is no error.
pub(crate) fn release(catalog: &SoapCatalog, hold: &Hold) -> Result<()> {
    if hold.is_nothing() {
        return Ok(());
    }
    let vm = Notes::of(hold)?.machine();
    let name = format!("{PREFIX}{}", hold.id);
    let session = catalog.session()?;
    let object = match collector::try_read(session, &vm, &["snapshot"]) {
        Err(Failed::Fault(fault)) if fault.is_gone() => return Ok(()),
        object => object.map_err(|failed| session.error(failed, "looking for the snapshot"))?,
    };
    let found = named(&object, &name);
    if let Some(snapshot) = found {
        remove(catalog, &vm, &snapshot)?;
    }
    tracking::end(catalog, &vm, &hold.id)
}

fn remove(catalog: &SoapCatalog, vm: &Moref, snapshot: &Snapshot) -> Result<()> {
    let what = format!("removing the snapshot \"{}\"", escape(&snapshot.name));
    let session = catalog.session()?;
    let arguments = Elements::new().switch("removeChildren", false).switch("consolidate", true);
    let request = Request::new("RemoveSnapshot_Task", &snapshot.moref, arguments);
    for attempt in 1.. {
        let failed = match task::run(session, None, &request, &what) {
            Ok(_) => break,
            Err(Failed::Fault(fault)) if fault.is_gone() => break,
            Err(failed) => session.error(failed, &what),
        };
        // Whatever the answer says: is it there?
        if matches!(find(catalog, vm, &snapshot.name), Ok(None)) {
            break;
        }
        if attempt == ATTEMPTS || failed.kind == ErrorKind::Interrupted {
            return Err(
                failed.hint("it is tried again by `vmdk2kvm release`; it can also be removed in the vSphere client")
            );
        }
        std::thread::sleep(Duration::from_secs(1 << attempt));
    }
    let after = collector::read(session, vm, &["runtime.consolidationNeeded"], "looking at the VM")?;
    if after.is_on("runtime.consolidationNeeded") == Some(true) {
        catalog.host.warn(format!(
            "the VM {} at {} needs its disks consolidated: the snapshot is gone, and its redo logs are not (consolidation-needed)",
            vm.id,
            session.server()
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

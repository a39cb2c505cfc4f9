//! What reading a VM needs: a snapshot, taken once for a run by `vim-cmd`, found again by the run's id in its name, and given back.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::model::{Hold, HoldWish, PowerState, PowerWish};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::catalog::{ShellCatalog, order_failed};
use super::machine::{self, Machine, Registered};
use super::place::Place;
use super::shell::quote;
use super::snapshots::{PREFIX, Snapshot};
use super::vim;

/// How long making or removing a snapshot may take: a disk that was written to meanwhile is merged.
const PATIENCE: Duration = Duration::from_secs(1800);
/// How long a guest may take to shut down.
const SHUT_DOWN: Duration = Duration::from_secs(300);
/// How often it is looked whether something is done.
const LOOK: Duration = Duration::from_secs(1);
/// How often removing a snapshot is tried.
const ATTEMPTS: u32 = 3;
/// How long a snapshot that is still there after the host was told to remove it is waited for, before the host is told again.
const REMOVED: Duration = Duration::from_secs(600);

/// What is noted of a hold.
#[derive(Debug, Serialize, Deserialize)]
struct Notes {
    /// The VM.
    vmx: String,
}

/// Takes what reading the VM needs. What was taken before something else failed is given back at once.
pub fn hold(catalog: &ShellCatalog, wish: &HoldWish) -> Result<Hold> {
    let registered = catalog.chosen()?;
    let name = format!("{PREFIX}{}", wish.run);
    let choose =
        |all: &[Snapshot]| Ok(all.iter().find(|it| it.name == name).cloned().map_or(catalog.named(all)?, Some));
    let machine = Machine::read(&catalog.server, &registered, &choose)?;
    catalog.check_findings(&machine.spec.name)?;
    let vm = escape(&machine.spec.name).into_owned();
    let own = machine.snapshots.iter().any(|snapshot| snapshot.name == name);
    let has_snapshot = choose(&machine.snapshots)?.is_some();
    let mut hold = Hold::nothing();
    hold.notes = serde_json::json!(Notes { vmx: registered.vmx.path().to_owned() });
    let shuts_down = wish.power_off && machine.runs() && !has_snapshot;
    if shuts_down {
        power(catalog, &registered, PowerWish::ShutDown)?;
        hold.took.push(format!("{vm} was shut down, and stays off"));
    }
    let makes = machine.runs() && !shuts_down && !has_snapshot;
    if machine.runs() && !shuts_down {
        refuse(&machine, wish, has_snapshot)?;
    }
    hold.frozen = has_snapshot || makes;
    if own || makes {
        hold.id.clone_from(&wish.run);
        hold.took.push(format!("snapshot \"{name}\" of {vm}"));
    }
    let taken = if makes {
        make(catalog, &registered, &name)
            .and_then(|()| catalog.check_files(&Machine::read(&catalog.server, &registered, &choose)?))
    } else {
        catalog.check_files(&machine)
    };
    match taken {
        Ok(()) => Ok(hold),
        // Whoever was refused is believed to hold nothing: where that is not so it has to be another error.
        Err(error) => match release(catalog, &hold) {
            Err(left) => Err(left.of_kind(ErrorKind::Temporary).context(&error.message)),
            Ok(()) => Err(error),
        },
    }
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
    match &machine.independent {
        Some(disk) => Err(blocked(format!(
            "{vm} runs, and its disk {} is independent: no snapshot freezes it (disk-independent)",
            escape(disk)
        ))
        .hint("allow a shut-down with --power-off")),
        None => Ok(()),
    }
}

fn id_of(registered: &Registered) -> Result<u32> {
    registered.id.ok_or_else(|| {
        PluginError::unusable(format!("{} is in no list of the host, which has no power over it", registered.vmx))
            .hint("register it with the host, or use the host that runs it")
    })
}

/// Makes a snapshot. Its being there counts, not what the host says: the command may return before, or not be heard.
fn make(catalog: &ShellCatalog, registered: &Registered, name: &str) -> Result<()> {
    let doing = format!("making a snapshot of {}", escape(&registered.name));
    let why = "made by vmdk2kvm to read the disks; it removes it when they have been read";
    // Without memory, and with the guest as it is: asking it to rest needs its tools.
    let command = format!("vim-cmd vmsvc/snapshot.create {} {} {} 0 0", id_of(registered)?, quote(name), quote(why));
    let answer = catalog.server.order(&command, vim::LONGEST);
    let began = Instant::now();
    loop {
        if find(catalog, &registered.vmx, name)?.is_some() {
            return Ok(());
        }
        match &answer {
            Ok((_, ended)) if !ended.is_good() => return Err(order_failed(&doing, &ended.reason())),
            Err(error) if began.elapsed() > LOOK * 10 => return Err(error.clone()),
            _ if began.elapsed() > PATIENCE => {
                let late = format!("{doing}: the host has not made it after {} s", PATIENCE.as_secs());
                return Err(PluginError::new(ErrorKind::Temporary, late).hint("run the same command again later"));
            }
            _ => pause(catalog)?,
        }
    }
}

fn pause(catalog: &ShellCatalog) -> Result<()> {
    std::thread::sleep(LOOK);
    catalog.server.host().check_cancelled()
}

/// The snapshot of this name.
fn find(catalog: &ShellCatalog, vmx: &Place, name: &str) -> Result<Option<Snapshot>> {
    Ok(machine::snapshots(&catalog.server, vmx)?.into_iter().find(|snapshot| snapshot.name == name))
}

/// Gives back what a run took: what is gone already is no error.
pub fn release(catalog: &ShellCatalog, hold: &Hold) -> Result<()> {
    if hold.is_nothing() {
        return Ok(());
    }
    let notes: Notes = serde_json::from_value(hold.notes.clone())
        .map_err(|_| PluginError::defect("the notes of a hold are not of this plugin"))?;
    let (vmx, name) = (Place::parse(&notes.vmx)?, format!("{PREFIX}{}", hold.id));
    let Some(snapshot) = find(catalog, &vmx, &name)? else { return Ok(()) };
    let registered = catalog.at(&vmx)?;
    let doing = format!("removing the snapshot \"{}\"", escape(&name));
    let command = format!("vim-cmd vmsvc/snapshot.remove {} {} 0", id_of(&registered)?, snapshot.id);
    let mut failed = None;
    for _ in 0..ATTEMPTS {
        match catalog.server.order(&command, vim::LONGEST) {
            Ok((_, ended)) if ended.is_good() => {}
            Ok((_, ended)) => failed = Some(order_failed(&doing, &ended.reason())),
            Err(error) => failed = Some(error),
        }
        let began = Instant::now();
        loop {
            if find(catalog, &vmx, &name)?.is_none() {
                return Ok(());
            }
            if failed.is_some() || began.elapsed() > REMOVED {
                break;
            }
            // A run that was stopped gives back all the same.
            std::thread::sleep(LOOK);
        }
        std::thread::sleep(LOOK);
    }
    let late = || PluginError::new(ErrorKind::Temporary, format!("{doing}: it is still there"));
    Err(failed
        .unwrap_or_else(late)
        .hint("it is tried again by `vmdk2kvm release`; it can also be removed in the host's client"))
}

/// Asks for or tells the VM's power state.
pub fn power(catalog: &ShellCatalog, registered: &Registered, wish: PowerWish) -> Result<PowerState> {
    let id = id_of(registered)?;
    let (verb, wanted) = match wish {
        PowerWish::ShutDown => ("shutdown", PowerState::Off),
        PowerWish::On => ("on", PowerState::On),
        _ => return machine::power(&catalog.server, id),
    };
    if machine::power(&catalog.server, id)? == wanted {
        return Ok(wanted);
    }
    let doing = format!("switching the power of {}", escape(&registered.name));
    let (_, ended) = catalog.server.order(&format!("vim-cmd vmsvc/power.{verb} {id}"), vim::LONGEST)?;
    if !ended.is_good() {
        return Err(order_failed(&doing, &ended.reason())
            .hint("VMware's tools have to run in the guest; or shut it down from within"));
    }
    let began = Instant::now();
    while machine::power(&catalog.server, id)? != wanted {
        if began.elapsed() > SHUT_DOWN {
            let late = format!("{doing}: the guest has not done it after {} s", SHUT_DOWN.as_secs());
            return Err(PluginError::new(ErrorKind::Temporary, late).hint("shut it down from within, then run again"));
        }
        pause(catalog)?;
    }
    Ok(wanted)
}

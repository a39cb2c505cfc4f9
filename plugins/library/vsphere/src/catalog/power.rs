//! The VM's power state, for a cut-over.

use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::model::{PowerState, PowerWish};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::VmCatalog;
use crate::machine::{self, Machine};
use crate::request::{Elements, Request};
use crate::session::Failed;
use crate::task;

/// How long a guest may take to shut down.
const PATIENCE: Duration = Duration::from_secs(300);

/// Does what is asked, and tells the state.
pub(super) fn switch(catalog: &VmCatalog, machine: &Machine, wish: PowerWish) -> Result<PowerState> {
    match wish {
        PowerWish::ShutDown if machine.runs() => shut_down(catalog, machine)?,
        PowerWish::Ask if machine.runs() => {
            let what = format!("asking the guest of {} to shut down", escape(&machine.spec.name));
            let api = catalog.api()?;
            ask(catalog, machine)?.map_err(|failed| failed.error(&what, api.server()))?;
        }
        PowerWish::Off if machine.runs() => switch_off(catalog, machine)?,
        PowerWish::On if machine.power != PowerState::On => {
            let what = format!("switching {} on", escape(&machine.spec.name));
            let api = catalog.api()?;
            api.power_on(&catalog.host, &machine.moref).map_err(|failed| failed.error(&what, api.server()))?;
        }
        _ => return Ok(machine.power),
    }
    state(catalog, machine)
}

fn state(catalog: &VmCatalog, machine: &Machine) -> Result<PowerState> {
    let object = catalog.api()?.read(&machine.moref, &["runtime.powerState"], "asking for the power state")?;
    Ok(machine::power(&object))
}

/// Switches the VM off as a power cut does.
fn switch_off(catalog: &VmCatalog, machine: &Machine) -> Result<()> {
    let what = format!("switching {} off", escape(&machine.spec.name));
    let session = catalog.api()?.session();
    let request = Request::new("PowerOffVM_Task", &machine.moref, Elements::new());
    match task::run(session, Some(&catalog.host), &request, &what) {
        // Whatever the answer says: is it off?
        Err(failed) if state(catalog, machine)? != PowerState::Off => Err(session.error(failed, &what)),
        _ => Ok(()),
    }
}

/// Asks the guest to shut down. A VM that cannot be asked is an error; what the server said of the question is the answer.
fn ask(catalog: &VmCatalog, machine: &Machine) -> Result<Result<(), Failed>> {
    let vm = escape(&machine.spec.name);
    let blocked = |why: &str| PluginError::new(ErrorKind::Blocked, format!("{vm} cannot be asked to shut down: {why}"));
    if machine.power == PowerState::Suspended {
        return Err(blocked("it is suspended").hint("resume it first"));
    }
    if !machine.tools_run {
        return Err(blocked("VMware's tools do not run in its guest (tools-absent)")
            .hint("shut it down from within, then run the same command again"));
    }
    Ok(catalog.api()?.shut_down(&machine.moref))
}

/// Asks the guest to shut down, and waits until it is off.
pub(super) fn shut_down(catalog: &VmCatalog, machine: &Machine) -> Result<()> {
    let vm = escape(&machine.spec.name);
    let api = catalog.api()?;
    let asked = ask(catalog, machine)?;
    // Whether it was heard shows in what becomes of it.
    let unheard =
        asked.err().map(|failed| failed.error(&format!("asking the guest of {vm} to shut down"), api.server()));
    let began = Instant::now();
    loop {
        if state(catalog, machine)? == PowerState::Off {
            return Ok(());
        }
        match &unheard {
            Some(error) => return Err(error.clone()),
            None if began.elapsed() > PATIENCE => {
                let late = format!("{vm} was asked to shut down and still runs after {} s", PATIENCE.as_secs());
                return Err(PluginError::new(ErrorKind::Temporary, late)
                    .hint("look at its console, then run the same command again"));
            }
            None => catalog.host.check_cancelled()?,
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

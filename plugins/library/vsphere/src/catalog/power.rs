//! The VM's power state, for a cut-over.

use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::model::{PowerState, PowerWish};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::VmCatalog;
use crate::machine::{self, Machine};

/// How long a guest may take to shut down.
const PATIENCE: Duration = Duration::from_secs(300);

/// Does what is asked, and tells the state.
pub(super) fn switch(catalog: &VmCatalog, machine: &Machine, wish: PowerWish) -> Result<PowerState> {
    match wish {
        PowerWish::ShutDown if machine.runs() => shut_down(catalog, machine)?,
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

/// Asks the guest to shut down, and waits until it is off.
pub(super) fn shut_down(catalog: &VmCatalog, machine: &Machine) -> Result<()> {
    let vm = escape(&machine.spec.name);
    let blocked = |why: &str| PluginError::new(ErrorKind::Blocked, format!("{vm} cannot be asked to shut down: {why}"));
    if machine.power == PowerState::Suspended {
        return Err(blocked("it is suspended").hint("resume it first"));
    }
    if !machine.tools_run {
        return Err(blocked("VMware's tools do not run in its guest (tools-absent)")
            .hint("shut it down from within, then run the same command again"));
    }
    let api = catalog.api()?;
    let asked = api.shut_down(&machine.moref);
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

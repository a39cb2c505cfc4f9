//! The source's machine is shut down for a cut-over, and never switched on.

use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::model::{PowerState, PowerWish};
use vmdk2kvm_plugin_api::{Catalog, ErrorKind, PluginError, Result};

use crate::events::escape;
use crate::pipeline::run::Run;

/// How often it is looked whether the machine is off.
const LOOK: Duration = Duration::from_secs(1);

/// Asks the guest to shut down and waits until the machine is off; switches it off where that does not help and the user allows it.
pub(super) fn shut_down(run: &Run<'_>, catalog: &dyn Catalog, vm: &str) -> Result<()> {
    if catalog.power(PowerWish::Tell)? == PowerState::Off {
        return Ok(());
    }
    run.services.step("shut down");
    let Err(error) = ask(run, catalog, vm) else { return Ok(()) };
    if error.kind == ErrorKind::Interrupted {
        return Err(error);
    }
    if !run.job.settings.source.power_off {
        let hint = error.hint.as_ref().map_or_else(String::new, |hint| format!("{hint}; "));
        return Err(error.hint(format!("{hint}or have it switched off as by a power cut: --power-off")));
    }
    run.services.warn(format!("{}: the machine is switched off as by a power cut", error.message));
    match catalog.power(PowerWish::Off)? {
        PowerState::Off => Ok(()),
        state => Err(PluginError::io(format!("{} was switched off, and is {state:?}", escape(vm)))
            .hint("switch it off at its source, then run the same command again")),
    }
}

fn ask(run: &Run<'_>, catalog: &dyn Catalog, vm: &str) -> Result<()> {
    let patience = Duration::from_secs(run.job.settings.warm.shutdown_seconds);
    let mut state = catalog.power(PowerWish::Ask)?;
    let began = Instant::now();
    while state != PowerState::Off {
        run.check_cancelled()?;
        if began.elapsed() > patience {
            let late = format!("{} was asked to shut down and still runs after {} s", escape(vm), patience.as_secs());
            return Err(PluginError::new(ErrorKind::Temporary, late)
                .hint("look at its console, then run the same command again"));
        }
        std::thread::sleep(LOOK.min(patience));
        state = catalog.power(PowerWish::Tell)?;
    }
    Ok(())
}

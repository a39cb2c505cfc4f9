//! Pairs the ways to a disk with the plugins that carry them: the first way, as the catalog lists them, that an installed plugin carries and
//! can open. The host compares words and knows none.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::chain;
use super::disk::{ChosenWay, Disk};
use super::fetch::Fetched;
use super::run::Run;

/// Opens a disk by its best way.
pub(super) fn open(run: &Run<'_>, fetched: &Fetched, index: usize) -> Result<Disk> {
    let disk = &fetched.vm.disks[index];
    let mut refused: Vec<String> = Vec::new();
    for way in &disk.ways {
        for carrier in run.registry.carriers(run.job.plugins.transport.as_deref(), way)? {
            let transport = carrier.stage.transport(&fetched.link(index, way));
            let opened = transport.and_then(|transport| {
                let chosen =
                    ChosenWay { way: way.clone(), plugin: carrier.label.clone(), transport: Arc::from(transport) };
                chain::open(run, index, &disk.name, chosen)
            });
            match opened {
                // Nothing was copied yet: the next one may.
                Err(error) if error.kind == ErrorKind::Cannot => {
                    refused.push(format!("{} by {}: {}", way.scheme, carrier.label, error.message));
                }
                opened => return opened,
            }
        }
        if !refused.iter().any(|reason| reason.starts_with(&way.scheme)) {
            refused.push(format!("{}: no plugin carries it", way.scheme));
        }
    }
    let message = format!("{}: none of its ways can be read ({})", disk.name, refused.join("; "));
    let hint = match &run.job.plugins.transport {
        Some(name) => format!("`{name}` is the one that was asked for: leave --transport out, or install it"),
        None => "install a plugin that carries one of them; `vmdk2kvm plugin list` shows what is there".to_owned(),
    };
    Err(PluginError::missing(message).hint(hint))
}

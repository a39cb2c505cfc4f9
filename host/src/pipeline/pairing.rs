//! Pairs the ways to a disk with the plugins that carry them: the first way, as the catalog lists them, that an installed plugin carries and
//! can open. The host compares words and knows none.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::chain;
use super::disk::{ChosenWay, Disk};
use super::fetch::Fetched;
use super::output::Output;
use super::run::Run;
use super::stated::Stated;
use super::stream;

/// Opens a disk by its best way. `output` takes what can only be streamed.
pub(super) fn open(run: &Run<'_>, fetched: &Fetched, output: Option<&Output>, index: usize) -> Result<Disk> {
    let disk = &fetched.vm.disks[index];
    let (mut refused, mut only_streamed): (Vec<String>, bool) = (Vec::new(), false);
    for way in &disk.ways {
        let carriers = run.registry.carriers(run.job.settings.plugins.transport.as_deref(), way)?;
        if carriers.is_empty() {
            refused.push(format!("{}: no plugin carries it", way.scheme));
        }
        for carrier in carriers {
            let link = fetched.link(index, way);
            let opened = match (way.stream, output) {
                (false, _) => carrier.stage.transport(&link).map(|transport| (way.clone(), transport)),
                (true, Some(output)) => stream::bring(run, output, &link, &carrier),
                (true, None) => {
                    only_streamed = true;
                    Err(PluginError::cannot("reading it without copying it: it is a stream"))
                }
            };
            let opened = opened.and_then(|(way, transport)| {
                let (plugin, refused) = (carrier.label.clone(), refused.clone());
                let transport = Arc::new(Stated::new(transport, output.map(|output| output.kept.clone())));
                chain::open(run, index, &disk.name, ChosenWay { way, plugin, transport, refused })
            });
            match opened {
                // Nothing was copied yet: the next one may.
                Err(error) if error.kind == ErrorKind::Cannot => {
                    refused.push(format!("{} by {}: {}", way.scheme, carrier.label, error.message));
                }
                opened => return opened,
            }
        }
    }
    if only_streamed {
        let word = run.job.command.as_str();
        let message = format!("{}: it can only be read as a stream, and `{word}` copies nothing", disk.name);
        return Err(PluginError::missing(format!("{message} ({})", refused.join("; ")))
            .hint("`vmdk2kvm migrate` brings the stream into its work folder and goes on from there"));
    }
    let message = format!("{}: none of its ways can be read ({})", disk.name, refused.join("; "));
    let hint = match &run.job.settings.plugins.transport {
        Some(name) => format!("`{name}` is the one that was asked for: leave --transport out, or install it"),
        None => "install a plugin that carries one of them; `vmdk2kvm plugin list` shows what is there".to_owned(),
    };
    Err(PluginError::missing(message).hint(hint))
}

//! Pairs the ways to a disk with the plugins that carry them: the first way, as the catalog lists them, that an
//! installed plugin carries and can open. The host compares words and knows none.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::chain;
use super::disk::{ChosenWay, Disk};
use super::fetch::Fetched;
use super::output::Output;
use super::run::Run;
use super::stated::Stated;
use super::stream;
use crate::plugins::Carriers;

/// Opens a disk by its best way. `output` takes what can only be streamed.
pub(super) fn open(run: &Run<'_>, fetched: &Fetched, output: Option<&Output>, index: usize) -> Result<Disk> {
    let disk = &fetched.vm.disks[index];
    let (mut refused, mut only_streamed) = (Refused::default(), false);
    for way in &disk.ways {
        let Carriers { carriers, refusals } =
            run.registry.carriers(run.job.settings.plugins.transport.as_deref(), way)?;
        if carriers.is_empty() && refusals.is_empty() {
            refused.ways.push(format!("{}: no plugin carries it", way.scheme));
        }
        for error in refusals {
            let label = error.plugin.clone().unwrap_or_default();
            refused.add(&way.scheme, &label, error);
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
                let (plugin, refused) = (carrier.label.clone(), refused.ways.clone());
                let transport = Arc::new(Stated::new(transport, output.map(|output| output.kept.clone())));
                chain::open(run, index, &disk.name, ChosenWay { way, plugin, transport, refused })
            });
            match opened {
                // Nothing was copied yet: the next one may.
                Err(error) if error.kind == ErrorKind::Cannot => refused.add(&way.scheme, &carrier.label, error),
                opened => return opened,
            }
        }
    }
    let Refused { ways, advice } = refused;
    let ways = ways.join("; ");
    if only_streamed {
        let word = run.job.command.as_str();
        let message = format!("{}: it can only be read as a stream, and `{word}` copies nothing", disk.name);
        return Err(PluginError::missing(format!("{message} ({ways})"))
            .hint("`vmdk2kvm migrate` brings the stream into its work folder and goes on from there"));
    }
    let message = format!("{}: none of its ways can be read ({ways})", disk.name);
    let hint = match (advice, &run.job.settings.plugins.transport) {
        (Some(advice), _) => advice,
        (None, Some(name)) => format!("`{name}` is the one that was asked for: leave --transport out, or install it"),
        (None, None) => {
            "install a plugin that carries one of them; `vmdk2kvm plugin list` shows what is there".to_owned()
        }
    };
    Err(PluginError::missing(message).hint(hint))
}

/// The ways that could not be taken.
#[derive(Default)]
struct Refused {
    /// Each with the reason.
    ways: Vec<String>,
    /// What the last plugin that had some advised.
    advice: Option<String>,
}

impl Refused {
    fn add(&mut self, scheme: &str, label: &str, error: PluginError) {
        self.ways.push(format!("{scheme} by {label}: {}", error.message));
        self.advice = error.hint.or(self.advice.take());
    }
}

/// By which schemes a VM's disks will be read, as far as that is known before one is opened: of each disk that
/// of the first way that a plugin here carries.
pub(super) fn schemes(run: &Run<'_>, fetched: &Fetched) -> Vec<String> {
    let mut schemes: Vec<String> = Vec::new();
    // Nothing was found that depends on who reads: nobody has to be asked yet.
    if fetched.vm.findings.is_empty() {
        return schemes;
    }
    for disk in &fetched.vm.disks {
        for way in &disk.ways {
            if schemes.contains(&way.scheme) {
                break;
            }
            let found = run.registry.carriers(run.job.settings.plugins.transport.as_deref(), way);
            // What fails here is told when the disk is opened.
            if found.is_ok_and(|found| !found.carriers.is_empty()) {
                schemes.push(way.scheme.clone());
                break;
            }
        }
    }
    schemes
}

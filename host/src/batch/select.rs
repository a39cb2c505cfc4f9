//! Which VMs of a list a command is about.

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::request::Which;
use super::rows::Batch;
use crate::config::nearest::nearest;

/// Their places in the list, in its order.
pub(super) fn select(batch: &Batch, which: &Which) -> Result<Vec<usize>> {
    let count = batch.vms.len();
    let usage = |message: String| PluginError::new(ErrorKind::Usage, message);
    match which {
        Which::All => Ok((0..count).collect()),
        Which::Index(index) if *index < count => Ok(vec![*index]),
        Which::Index(index) => Err(usage(format!("--index {index}: the list has {count} VMs, counted from 0"))),
        Which::Only(names) => {
            let known = || batch.vms.iter().map(|vm| vm.name.as_str());
            if let Some(unknown) = names.iter().find(|name| !known().any(|known| known == *name)) {
                let error = usage(format!("--only {}: the list has no VM of this name", escape(unknown)));
                return Err(match nearest(unknown, known()) {
                    Some(meant) => error.hint(format!("did you mean {meant}?")),
                    None => error.hint("a VM's name here is that of its folder"),
                });
            }
            Ok((0..count).filter(|index| names.contains(&batch.vms[*index].name)).collect())
        }
    }
}

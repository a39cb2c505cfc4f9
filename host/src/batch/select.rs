//! Which VMs of a list a command is about.

use std::collections::HashSet;

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::request::Which;
use super::rows::{Batch, Vm};
use crate::config::nearest::nearest;

/// Their places in the list, in its order.
pub(super) fn select(batch: &Batch, which: &Which) -> Result<Vec<usize>> {
    let count = batch.vms.len();
    let usage = |message: String| PluginError::new(ErrorKind::Usage, message);
    match which {
        Which::All => Ok((0..count).collect()),
        Which::Index(index) if *index < count => Ok(vec![*index]),
        Which::Index(index) => Err(usage(format!("--index {index}: the list has {count} VMs, counted from 0"))),
        Which::Only { names, groups } => {
            let known: HashSet<&str> = batch.vms.iter().map(|vm| vm.name.as_str()).collect();
            if let Some(unknown) = names.iter().find(|name| !known.contains(name.as_str())) {
                let error = usage(format!("--only {}: the list has no VM of this name", escape(unknown)));
                return Err(match nearest(unknown, known) {
                    Some(meant) => error.hint(format!("did you mean {meant}?")),
                    None => error.hint("a VM's name here is that of its folder"),
                });
            }
            let known: HashSet<&str> = batch.vms.iter().filter_map(|vm| vm.group.as_deref()).collect();
            if let Some(unknown) = groups.iter().find(|group| !known.contains(group.as_str())) {
                let error = usage(format!("--group {}: the list has no VM of this group", escape(unknown)));
                return Err(match nearest(unknown, known) {
                    Some(meant) => error.hint(format!("did you mean {}?", escape(meant))),
                    None => error.hint("a VM's group is what its row has as `group`"),
                });
            }
            let is_of = |vm: &Vm| names.contains(&vm.name) || vm.group.as_ref().is_some_and(|of| groups.contains(of));
            Ok((0..count).filter(|index| is_of(&batch.vms[*index])).collect())
        }
    }
}

/// Those among them that are migrated in rounds, for their cut-over. One that is named and is not is refused; of a group, or of all, it is left out.
pub(super) fn in_rounds(batch: &Batch, which: &Which, selected: Vec<usize>) -> Result<Vec<usize>> {
    let refused = |message: String| {
        Err(PluginError::new(ErrorKind::Usage, message)
            .hint("set `warm.enabled = true` in a row to migrate its VM in rounds"))
    };
    let is_named = |vm: &Vm| match which {
        Which::All => false,
        Which::Index(_) => true,
        Which::Only { names, .. } => names.contains(&vm.name),
    };
    if let Some(cold) = selected.iter().map(|index| &batch.vms[*index]).find(|vm| !vm.warm && is_named(vm)) {
        return refused(format!("{} is not migrated in rounds, and has no cut-over", cold.name));
    }
    let warm: Vec<usize> = selected.into_iter().filter(|index| batch.vms[*index].warm).collect();
    if warm.is_empty() { refused("none of these VMs is migrated in rounds".to_owned()) } else { Ok(warm) }
}

//! The chain: from the topmost link through its parents to the base, verified.
//!
//! A child names its parent's file as a hint and its content id as the proof. The capacity may have grown between the two;
//! it cannot have shrunk. Reads nothing of the data.

use std::collections::HashSet;

use vmdk2kvm_plugin_api::model::{ChainLink, ChainReport};
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::descriptor::Parent;
use crate::fault::{CLONE_FIRST, shown, unusable};
use crate::link::{Link, Opener, with_hint};

/// The longest chain accepted. VMware supports 32 snapshots and cannot open more than 255 links.
pub const LONGEST_CHAIN: usize = 255;

/// Opens the chain whose topmost link is `object`; topmost first.
pub fn open(opener: &Opener, object: &str) -> Result<Vec<Link>> {
    let mut number = 0;
    let mut seen = HashSet::from([object.to_owned()]);
    let mut links = vec![opener.open(object, &mut number)?];
    while let Some(child) = links.last() {
        let Some(parent) = &child.descriptor.parent else { break };
        if links.len() == LONGEST_CHAIN {
            return Err(unusable(object, format_args!("its chain of snapshots has more than {LONGEST_CHAIN} links"))
                .hint(CLONE_FIRST));
        }
        let found = opener.files.resolve(&child.object, &parent.name).map_err(|error| missing(child, parent, error))?;
        if !seen.insert(found.clone()) {
            return Err(unusable(
                &child.object,
                format_args!("its parent {} is already part of the chain: the chain is a loop", shown(&found)),
            )
            .hint("correct the lines parentFileNameHint in the descriptors"));
        }
        let link = opener.open(&found, &mut number).map_err(|error| missing(child, parent, error))?;
        verify(child, parent, &link)?;
        links.push(link);
    }
    Ok(links)
}

fn missing(child: &Link, parent: &Parent, error: PluginError) -> PluginError {
    with_hint(
        error.context(format_args!("{}: its parent {}", shown(&child.object), shown(&parent.name))),
        "a snapshot is only readable together with all disks below it: put them where the descriptor's \
         parentFileNameHint says, relative to it, or correct that line",
    )
}

fn verify(child: &Link, expected: &Parent, parent: &Link) -> Result<()> {
    let name = shown(&parent.object);
    if parent.descriptor.cid != Some(expected.cid) {
        let found = parent.descriptor.cid.map_or("none".to_owned(), |cid| format!("{cid:08x}"));
        return Err(unusable(
            &child.object,
            format_args!("it was made on a parent with content id {:08x}, and {name} has {found}", expected.cid),
        )
        .hint("the parent was written to after the snapshot was taken, or is another disk: restore the one that belongs to it"));
    }
    let (above, below) = (child.descriptor.capacity, parent.descriptor.capacity);
    if above < below {
        return Err(unusable(
            &child.object,
            format_args!("its capacity of {above} bytes is smaller than the {below} bytes of its parent {name}"),
        )
        .hint("the two do not belong together: a disk with snapshots cannot be shrunk"));
    }
    Ok(())
}

/// What the host tells about the chain.
pub fn report(links: &[Link]) -> ChainReport {
    let id = |cid: Option<u32>| cid.map(|cid| format!("{cid:08x}"));
    ChainReport::new(
        links.first().map_or(0, |link| link.descriptor.capacity),
        links
            .iter()
            .map(|link| {
                ChainLink::new(
                    link.object.clone(),
                    format!("vmdk/{}", link.descriptor.create_type.as_str()),
                    link.files.clone(),
                )
                .with(|it| {
                    it.content_id = id(link.descriptor.cid);
                    it.parent_content_id = id(link.descriptor.parent_cid);
                })
            })
            .collect(),
    )
    .with(|it| {
        // A snapshot's own descriptor often has none; the disk keeps the one it was made with.
        it.serial = links.iter().find_map(|link| link.descriptor.serial.clone());
        it.warnings = links.iter().flat_map(|link| link.warnings.iter().cloned()).collect();
    })
}

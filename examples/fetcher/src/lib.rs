//! Virtual machines from a store that keeps disks in numbered pieces: `shelf:/path/of/the/machine`.
//!
//! [`catalog`] says what there is, [`transport`] moves bytes. Neither knows the other.

mod catalog;
mod transport;

use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::model::SourceRef;
use vmdk2kvm_plugin_api::{Catalog, Fetcher, Host, Plugin, Result, Transport, export_plugin};

/// The plugin, and its one fetcher.
struct Shelf;

/// The folder that a source names; `None`: the source is not ours.
fn folder(source: &SourceRef) -> Option<PathBuf> {
    source.uri.strip_prefix("shelf:").filter(|path| Path::new(path).is_absolute()).map(PathBuf::from)
}

impl Fetcher for Shelf {
    fn accepts(&self, source: &SourceRef) -> Result<u32> {
        Ok(if folder(source).is_some() { 100 } else { 0 })
    }

    fn catalog(&self, source: &SourceRef) -> Result<Option<Box<dyn Catalog>>> {
        Ok(folder(source).map(|folder| Box::new(catalog::Machine(folder)) as Box<dyn Catalog>))
    }

    fn transport(&self, source: &SourceRef) -> Result<Option<Box<dyn Transport>>> {
        Ok(folder(source).map(|folder| Box::new(transport::Pieces(folder)) as Box<dyn Transport>))
    }
}

impl Plugin for Shelf {
    fn new(_: Host) -> Result<Self> {
        Ok(Self)
    }

    fn fetcher(&self) -> Option<Box<dyn Fetcher>> {
        Some(Box::new(Self))
    }
}

export_plugin! {
    plugin: Shelf,
    name: "shelf",
    summary: "Virtual machines from a store that keeps disks in numbered pieces",
    kinds: ["fetcher"],
    capabilities: ["shelf"],
}

//! Virtual machines from a store that keeps disks in numbered pieces: `shelf:/path/of/the/machine`.
//!
//! [`catalog`] says what there is, [`transport`] moves bytes. Neither knows the other.

mod catalog;
mod transport;

use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::model::{Link, SourceRef, Way};
use vmdk2kvm_plugin_api::{Catalog, Fetcher, Host, Plugin, PluginError, Result, Transport, export_plugin};

/// Of its sources, and of the ways to their disks.
const SCHEME: &str = "shelf";

/// The plugin, and its one fetcher.
struct Shelf;

/// The folder that a source names; `None`: the source is not ours.
fn folder(source: &SourceRef) -> Option<PathBuf> {
    let path = source.uri.strip_prefix(SCHEME)?.strip_prefix(':')?;
    Path::new(path).is_absolute().then(|| PathBuf::from(path))
}

fn named(source: &SourceRef) -> Result<PathBuf> {
    folder(source).ok_or_else(|| PluginError::unusable(format!("{} is not {SCHEME}:/path", source.uri)))
}

impl Fetcher for Shelf {
    fn accepts(&self, source: &SourceRef) -> Result<u32> {
        Ok(if folder(source).is_some() { 100 } else { 0 })
    }

    fn carries(&self, way: &Way) -> Result<u32> {
        Ok(if way.scheme == SCHEME { 100 } else { 0 })
    }

    fn catalog(&self, source: &SourceRef) -> Result<Box<dyn Catalog>> {
        Ok(Box::new(catalog::Machine(named(source)?)))
    }

    fn transport(&self, link: &Link) -> Result<Box<dyn Transport>> {
        Ok(Box::new(transport::Pieces(named(&link.source)?)))
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

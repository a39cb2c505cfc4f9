//! The plugin, wherever it runs.

use vmdk2kvm_plugin_api::model::{Link, SourceRef, Way};
use vmdk2kvm_plugin_api::{Catalog, Fetcher, Host, Plugin, Result, Transport};

use crate::disk;

/// The plugin.
#[derive(Clone)]
pub struct FarDisk {
    host: Host,
}

impl Plugin for FarDisk {
    fn new(host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn fetcher(&self) -> Option<Box<dyn Fetcher>> {
        Some(Box::new(self.clone()))
    }
}

impl Fetcher for FarDisk {
    fn accepts(&self, source: &SourceRef) -> Result<u32> {
        Ok(if source.uri.starts_with("far:") { 100 } else { 0 })
    }

    fn carries(&self, way: &Way) -> Result<u32> {
        Ok(if way.scheme == disk::SCHEME { 100 } else { 0 })
    }

    fn catalog(&self, source: &SourceRef) -> Result<Box<dyn Catalog>> {
        Ok(Box::new(disk::FarSource::new(&self.host, source)))
    }

    fn transport(&self, link: &Link) -> Result<Box<dyn Transport>> {
        Ok(Box::new(disk::FarSource::new(&self.host, &link.source)))
    }
}

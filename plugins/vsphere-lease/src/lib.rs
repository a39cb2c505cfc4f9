//! Disks by export leases (HttpNfcLease): streams, decoded while they arrive into files of the work folder.
//!
//! [`lease`] takes a lease, keeps it alive and ends it, whatever happens; [`address`] is where its streams are; [`stream`] reads one; [`inflate`] inflates and writes its
//! grains; [`delivery`] brings a disk, and again where it broke. The session is the catalog's, which lends it.

pub mod address;
pub mod delivery;
pub mod inflate;
pub mod lease;
pub mod stream;

use vmdk2kvm_plugin_api::model::{Delivered, Link, SourceRef, Way};
use vmdk2kvm_plugin_api::{Fetcher, Host, Plugin, Result};
use vmdk2kvm_vsphere::ways;

/// The plugin.
#[derive(Clone)]
pub struct VsphereLease {
    host: Host,
}

impl Plugin for VsphereLease {
    fn new(host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn fetcher(&self) -> Option<Box<dyn Fetcher>> {
        Some(Box::new(self.clone()))
    }
}

impl Fetcher for VsphereLease {
    fn accepts(&self, _: &SourceRef) -> Result<u32> {
        Ok(0)
    }

    fn carries(&self, way: &Way) -> Result<u32> {
        Ok(if way.scheme == ways::LEASE && way.stream { 50 } else { 0 })
    }

    fn deliver(&self, link: &Link, folder: &str) -> Result<Delivered> {
        delivery::deliver(&self.host, link, folder.as_ref())
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: VsphereLease,
    name: "vsphere-lease",
    summary: "Brings disks of a vCenter or an ESXi host by export leases",
    kinds: ["fetcher"],
    capabilities: ["nfc-lease"],
}

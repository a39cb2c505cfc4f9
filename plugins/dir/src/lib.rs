//! A plain directory as a guest: a chroot, an unpacked root filesystem, a tree made by a test.
//!
//! Owns the source `dir:/path` ([`source`]) and the guest over it ([`guest`]). What a Linux system is and what it needs on KVM
//! is the library crate `vmdk2kvm-linux-guest`.

pub mod guest;
pub mod source;

mod apply;
mod tree;

use vmdk2kvm_linux_guest::{DiskLayout, inspect};
use vmdk2kvm_plugin_api::model::{OpenGuest, SourceRef};
use vmdk2kvm_plugin_api::{Catalog, Fetcher, Host, Inspector, Opened, Plugin, Result};

use guest::DirGuest;
use source::DirSource;

/// The plugin.
#[derive(Clone, Copy)]
pub struct Dir;

impl Plugin for Dir {
    fn new(_: Host) -> Result<Self> {
        Ok(Self)
    }

    fn fetcher(&self) -> Option<Box<dyn Fetcher>> {
        Some(Box::new(*self))
    }

    fn inspector(&self) -> Option<Box<dyn Inspector>> {
        Some(Box::new(*self))
    }
}

/// A path without `dir:` may hold disks, which is another plugin's business.
fn is_ours(source: &SourceRef) -> bool {
    source.uri.starts_with("dir:")
}

impl Fetcher for Dir {
    fn accepts(&self, source: &SourceRef) -> Result<u32> {
        Ok(if is_ours(source) { 100 } else { 0 })
    }

    fn catalog(&self, source: &SourceRef) -> Result<Box<dyn Catalog>> {
        Ok(Box::new(DirSource::new(source)?))
    }
}

impl Inspector for Dir {
    fn accepts(&self, request: &OpenGuest) -> Result<u32> {
        Ok(if is_ours(&request.source) && request.disks.is_empty() { 100 } else { 0 })
    }

    fn open(&self, request: &OpenGuest) -> Result<Opened> {
        let guest = DirGuest::open(source::path_of(&request.source.uri)?, request.writable)?;
        let layout = DiskLayout { firmware: Some(request.vm.firmware), ..DiskLayout::default() };
        let inspection = inspect(&guest, &layout)?;
        Ok(Opened::new(guest, inspection))
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: Dir,
    name: "dir",
    summary: "A plain directory as a guest: chroots and unpacked root filesystems",
    kinds: ["fetcher", "inspector"],
    guests: ["linux"],
    capabilities: ["dir"],
    libraries: [],
    programs: [("chroot", "coreutils", "coreutils")],
    settings: [],
}

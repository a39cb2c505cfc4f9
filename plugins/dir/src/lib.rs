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
use vmdk2kvm_plugin_api::{Catalog, Fetcher, Host, Inspector, Opened, Plugin, PluginError, Result, Transport};

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

impl Fetcher for Dir {
    fn accepts(&self, source: &SourceRef) -> Result<u32> {
        // A path without `dir:` may hold disks, which is another fetcher's business.
        Ok(if source.uri.starts_with("dir:") { 100 } else { 0 })
    }

    fn catalog(&self, source: &SourceRef) -> Result<Option<Box<dyn Catalog>>> {
        Ok(Some(Box::new(DirSource::new(source)?)))
    }

    fn transport(&self, _: &SourceRef) -> Result<Option<Box<dyn Transport>>> {
        Ok(None)
    }
}

impl Inspector for Dir {
    fn accepts(&self, request: &OpenGuest) -> Result<u32> {
        let ours = request.vm.origin.as_ref().is_some_and(|origin| origin.fetcher == "dir");
        Ok(if ours && request.disks.is_empty() { 100 } else { 0 })
    }

    fn open(&self, request: &OpenGuest) -> Result<Opened> {
        let origin =
            request.vm.origin.as_ref().ok_or_else(|| PluginError::defect("the VM says nothing of its origin"))?;
        let guest = DirGuest::open(source::path_of(&origin.uri)?, request.writable)?;
        let layout = DiskLayout { firmware: Some(request.vm.firmware), ..DiskLayout::default() };
        let inspection = inspect(&guest, &layout)?;
        Ok(Opened { guest: Box::new(guest), inspection })
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
    programs: [("chroot", "coreutils")],
    settings: [],
}

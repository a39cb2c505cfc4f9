//! Windows guests: opened offline in a libguestfs appliance, and given the drivers and settings that they need on KVM.
//!
//! Owns the settings table. The appliance is the library crate `vmdk2kvm-appliance`; all that is known of Windows is in
//! `vmdk2kvm-windows-guest`.

mod settings;

use std::sync::Arc;

use vmdk2kvm_appliance::Settings;
use vmdk2kvm_offline_guest::glance;
use vmdk2kvm_plugin_api::model::OpenGuest;
use vmdk2kvm_plugin_api::{BlockSource, Fixer, Host, Inspector, Opened, Plugin, Result};
use vmdk2kvm_windows_guest::{FixSettings, Found, WindowsFixer, may_hold_windows};

/// How well it suits disks that a Windows may be on: better than an inspector that takes any.
const SUITS: u32 = 80;

/// The plugin.
#[derive(Clone)]
struct WindowsVirtio {
    host: Host,
    appliance: Settings,
    fixes: FixSettings,
}

impl Plugin for WindowsVirtio {
    fn new(host: Host) -> Result<Self> {
        let (appliance, fixes) = settings::read(&host)?;
        Ok(Self { host, appliance, fixes })
    }

    fn inspector(&self) -> Option<Box<dyn Inspector>> {
        Some(Box::new(self.clone()))
    }

    fn fixers(&self) -> Vec<Box<dyn Fixer>> {
        vec![Box::new(WindowsFixer::new(self.fixes.clone()))]
    }
}

impl Inspector for WindowsVirtio {
    fn accepts(&self, request: &OpenGuest) -> Result<u32> {
        // Without a look at the disks it is the last one to be asked.
        Ok(u32::from(!request.disks.is_empty()))
    }

    fn accepts_disks(&self, request: &OpenGuest, disks: Vec<Arc<dyn BlockSource>>) -> Result<u32> {
        Ok(if !request.disks.is_empty() && may_hold_windows(&glance(&disks)?) { SUITS } else { 0 })
    }

    fn open(&self, request: &OpenGuest) -> Result<Opened> {
        let (mut mounts, volumes) = vmdk2kvm_appliance::open(request, &self.appliance, &self.host)?;
        let found = Found::mount(&mut mounts, volumes, request, &self.host)?;
        self.host.progress("inspect", 0, 0);
        let guest = mounts.into_guest(&found.volumes);
        let inspection = found.inspect(&guest, request)?;
        Ok(Opened::new(guest, inspection))
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: WindowsVirtio,
    name: "windows-virtio",
    summary: "Windows guests opened offline in a libguestfs appliance, with the drivers and settings that they need on KVM",
    kinds: ["inspector", "fixer"],
    guests: ["windows"],
    capabilities: ["images", "ntfs"],
    libraries: [("libguestfs.so.0", "libguestfs0", "libguestfs")],
    programs: [("qemu-system-x86_64", "qemu-system-x86", "qemu-system-x86-core"), ("qemu-img", "qemu-utils", "qemu-img"), ("supermin", "supermin", "supermin")],
    settings: [
        ("virtio_win", "string", "", "drivers: an ISO or a folder of virtio-win; empty: where packages of distributions put it"),
        ("driver_packages", "string", "whole", "whole: boot drivers as Windows itself installs them; minimal: what the start needs"),
        ("remove_vmware_tools", "boolean", "true", "whether VMware Tools are removed"),
        ("guest_agent", "string", "virtio-win", "leave, virtio-win (the installer beside the drivers), or the path of an .msi"),
        ("first_boot", "strings", "[]", "scripts (.cmd, .bat, .ps1) that the guest runs once, at its first start; absolute paths"),
        ("accel", "string", "auto", "auto (by a real probe), kvm or tcg"),
        ("memory_mib", "integer", "1024", "memory of the appliance in MiB, at least 512"),
        ("quick_start", "boolean", "true", "under emulation start an unpacked copy of the appliance that is up sooner"),
        ("command_timeout_seconds", "integer", "900", "longest time for one program of the guest"),
        ("discard_unused", "boolean", "true", "whether what filesystems do not use is discarded from the images after changes"),
    ],
    flags: [("virtio-win", "virtio_win")],
}

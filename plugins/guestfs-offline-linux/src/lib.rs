//! Inspects Linux guests offline: all disks of a VM in one libguestfs appliance, read and changed through it.
//!
//! The appliance and the guest over it are the library crate `vmdk2kvm-appliance`; which filesystem is the root, what is mounted on it and what
//! the guest then is says `vmdk2kvm-offline-guest`, whoever reads the disks.

pub mod open;

use vmdk2kvm_appliance::Settings;
use vmdk2kvm_plugin_api::model::OpenGuest;
use vmdk2kvm_plugin_api::{Host, Inspector, Opened, Plugin, Result};

/// The plugin.
#[derive(Clone)]
pub struct GuestfsOfflineLinux {
    host: Host,
    settings: Settings,
}

impl Plugin for GuestfsOfflineLinux {
    fn new(host: Host) -> Result<Self> {
        let settings = Settings::read(&host)?;
        Ok(Self { host, settings })
    }

    fn inspector(&self) -> Option<Box<dyn Inspector>> {
        Some(Box::new(self.clone()))
    }
}

impl Inspector for GuestfsOfflineLinux {
    fn accepts(&self, request: &OpenGuest) -> Result<u32> {
        // Any set of images: what is on them is only known when they are open.
        Ok(if request.disks.is_empty() { 0 } else { 50 })
    }

    fn open(&self, request: &OpenGuest) -> Result<Opened> {
        open::open(request, &self.settings, &self.host)
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: GuestfsOfflineLinux,
    name: "guestfs-offline-linux",
    summary: "Linux guests opened offline in a libguestfs appliance",
    kinds: ["inspector"],
    guests: ["linux"],
    capabilities: ["images", "luks", "lvm", "md", "btrfs"],
    libraries: [("libguestfs.so.0", "libguestfs0", "libguestfs")],
    programs: [("qemu-system-x86_64", "qemu-system-x86", "qemu-system-x86-core"), ("qemu-img", "qemu-utils", "qemu-img"), ("supermin", "supermin", "supermin")],
    settings: [
        ("accel", "string", "auto", "auto (by a real probe), kvm or tcg"),
        ("memory_mib", "integer", "1024", "memory of the appliance in MiB, at least 512"),
        ("quick_start", "boolean", "true", "under emulation start an unpacked copy of the appliance that is up sooner"),
        ("command_timeout_seconds", "integer", "900", "longest time for one program of the guest"),
        ("discard_unused", "boolean", "true", "whether what filesystems do not use is discarded from the images after changes"),
    ],
    secrets: ["key:*"],
}

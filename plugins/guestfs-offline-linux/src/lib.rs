//! Opens Linux guests offline: all disks of a VM in one libguestfs appliance, read, inspected and changed through it.
//!
//! Owns the appliance ([`appliance`], [`binding`]), what the disks hold ([`layout`], [`volumes`], [`root`]), and the [`Guest`]
//! over it. What a Linux system is and what it needs on KVM is the library crate `vmdk2kvm-linux-guest`; its fixers are handed
//! out here, so that one plugin brings both.
//!
//! [`Guest`]: vmdk2kvm_plugin_api::Guest

mod accel;
pub mod appliance;
mod apply;
pub mod binding;
mod cache;
mod discard;
pub mod files;
pub mod guest;
pub mod layout;
mod lvm_text;
pub mod open;
mod path;
mod private_dir;
mod quickstart;
pub mod root;
mod settings;
mod storage;
mod suspended;
pub mod volumes;
mod watch;

use vmdk2kvm_linux_guest::FixSettings;
use vmdk2kvm_plugin_api::model::OpenGuest;
use vmdk2kvm_plugin_api::{Fixer, Host, Inspector, Opened, Plugin, Result};

pub use settings::{AccelSetting, Settings};

/// The plugin.
#[derive(Clone)]
pub struct GuestfsOfflineLinux {
    host: Host,
    settings: Settings,
    fixes: FixSettings,
}

impl Plugin for GuestfsOfflineLinux {
    fn new(host: Host) -> Result<Self> {
        let (settings, fixes) = Settings::read(&host)?;
        Ok(Self { host, settings, fixes })
    }

    fn inspector(&self) -> Option<Box<dyn Inspector>> {
        Some(Box::new(self.clone()))
    }

    fn fixers(&self) -> Vec<Box<dyn Fixer>> {
        vmdk2kvm_linux_guest::fixers(&self.fixes)
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
    summary: "Linux guests opened offline in a libguestfs appliance, and the fixes they need on KVM",
    kinds: ["inspector", "fixer"],
    guests: ["linux"],
    capabilities: ["images", "luks", "lvm", "md", "btrfs"],
    libraries: [("libguestfs.so.0", "libguestfs0")],
    programs: [("qemu-system-x86_64", "qemu-system-x86"), ("qemu-img", "qemu-utils"), ("supermin", "supermin")],
    settings: [
        ("accel", "string", "auto", "auto (by a real probe), kvm or tcg"),
        ("memory_mib", "integer", "1024", "memory of the appliance in MiB, at least 512"),
        ("quick_start", "boolean", "true", "under emulation start an unpacked copy of the appliance that is up sooner"),
        ("command_timeout_seconds", "integer", "900", "longest time for one program of the guest"),
        ("discard_unused", "boolean", "true", "whether what filesystems do not use is discarded from the images after changes"),
        ("skip_fixers", "strings", "[]", "fixers that are left out, by the names that a plan shows"),
        ("initramfs", "string", "auto", "how an initramfs gets its drivers: auto, append or rebuild"),
        ("remove_vmware_tools", "boolean", "true", "whether VMware Tools are removed"),
        ("keep_cloud_init_instance", "boolean", "true", "whether cloud-init is kept from taking the VM for a new one"),
        ("first_boot", "strings", "[]", "scripts that the guest runs once, at its first boot; absolute paths"),
        ("units", "strings", "[]", "units of systemd that the guest gets, enabled as they say; absolute paths"),
        ("guest_agent", "string", "leave", "leave, first-boot (from the guest's repositories), or the path of a .deb or .rpm"),
    ],
}

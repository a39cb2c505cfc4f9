//! What a Linux guest says about itself and what it needs on KVM, over the [`vmdk2kvm_plugin_api::Guest`] trait alone.
//!
//! Owns all Linux knowledge: [`inspect()`] reads a guest, [`fstab_mounts`] says what it mounts where, [`fixers`] plan what has to
//! change, [`initramfs`] reads and extends boot archives, [`program`] says how the guest's own programs are called. Does no I/O
//! of its own (but for the files of the user that settings name) and knows no appliance: the plugins that open guests bring the files.
#![warn(missing_docs)]

mod careful;
mod devices;
mod fix;
#[cfg(test)]
mod fixture;
mod grub;
pub mod initramfs;
mod inspect;
mod kernel_image;
mod kernel_version;
mod modules;
pub mod program;
mod space;
mod textfile;
mod udev_rule;

pub use devices::logical_volume;
pub use fix::{FILESYSTEM_SLACK, FixSettings, GuestAgent, InitramfsMode, crypttab_devices, fixers, md_arrays};
pub use inspect::{DiskLayout, fstab_mounts, inspect};

//! The fixers: one file per concern, each of which parses, decides and renders. They read a guest and write nothing.

mod clocks;
mod cloud_init;
mod cmdline;
mod crypttab;
mod driver_bans;
mod first_boot;
mod fstab;
mod grow;
mod initramfs;
mod lvm;
mod md;
mod mount_units;
mod network;
mod other_tools;
#[cfg(test)]
mod properties;
mod resume;
mod settings;
#[cfg(test)]
mod stays;
mod sweep;
mod uefi_fallback;
mod vmware_tools;

pub(crate) use cmdline::{unstable_arguments, unstable_in_line};
pub use crypttab::crypttab_devices;
pub(crate) use fstab::entries;
pub use grow::FILESYSTEM_SLACK;
pub(crate) use grow::{Grow, with_room};
pub use md::md_arrays;
pub use settings::{FixSettings, GuestAgent, InitramfsMode, fixers};
pub(crate) use uefi_fallback::has_fallback_loader;

//! The disks of a VM, opened offline in a libguestfs appliance, and the [`Guest`] on them.
//!
//! Owns the appliance and its binding, the files of what is mounted in it, and the carrying out of changes. Does not decide what the
//! guest is: that is `vmdk2kvm-offline-guest`, to which [`Mounts`] and the disks in the appliance are what it looks at.
//!
//! [`Guest`]: vmdk2kvm_plugin_api::Guest
#![warn(missing_docs)]

mod appliance;
mod apply;
mod binding;
mod cache;
mod devices;
mod discard;
mod files;
mod guest;
mod mounts;
mod quickstart;
mod settings;
mod suspended;
mod watch;

pub use guest::ApplianceGuest;
pub use mounts::{Mounts, open};
pub use settings::{AccelSetting, Settings};

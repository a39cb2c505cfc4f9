//! The disks of a VM, opened offline in a libguestfs appliance, and the [`Guest`] on them.
//!
//! Owns the appliance and its binding, what the disks hold (partitions, arrays, containers, volumes), the files of what is mounted,
//! and the carrying out of changes. Does not decide what the guest is: a plugin calls [`open`], looks at the [`Volumes`] with
//! [`Mounts::look`], takes a root, mounts what belongs to it, and makes its inspection of what it finds.
//!
//! [`Guest`]: vmdk2kvm_plugin_api::Guest
#![warn(missing_docs)]

mod appliance;
mod apply;
mod binding;
mod cache;
mod discard;
mod files;
mod firmware;
mod glance;
mod guest;
mod layout;
mod lvm_text;
mod mounts;
mod quickstart;
mod settings;
mod storage;
mod suspended;
mod volumes;
mod watch;

pub use firmware::Capable;
pub use glance::glance;
pub use guest::ApplianceGuest;
pub use mounts::{Mounts, open};
pub use settings::{AccelSetting, Settings};
pub use volumes::{Array, Opened, Volume, Volumes};

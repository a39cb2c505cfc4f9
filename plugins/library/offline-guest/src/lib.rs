//! Disks as a guest's filesystems, whoever reads them.
//!
//! Owns what a guest on disks is: partition tables and superblocks, arrays and logical volumes by their descriptions, the choice of
//! the root, what is mounted on it, and the inspection of what is found there. Reads no filesystem: whoever does gives the block
//! devices as [`Devices`] and the files as [`Mounter`], so that the same disks give the same guest by whichever way they are read.
#![warn(missing_docs)]

mod devices;
mod filesystem;
mod firmware;
mod found;
mod glance;
mod guest;
mod layout;
mod lvm;
mod lvm_text;
mod md;
mod mounter;
mod root;
mod sealed;
mod segments;
mod sources;
mod storage;
mod volumes;
mod window;

pub use devices::Devices;
pub use filesystem::{Filesystem, Free};
pub use firmware::Capable;
pub use found::Found;
pub use glance::glance;
pub use guest::{OfflineGuest, Open, Reader, View};
pub use layout::disk_name;
pub use mounter::Mounter;
pub use sources::Sources;
pub use storage::storage;
pub use volumes::{Array, Opened, Volume, Volumes, scan};

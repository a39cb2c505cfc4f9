//! What a Windows guest says about itself and what it needs on KVM, over the [`vmdk2kvm_plugin_api::Guest`] trait alone.
//!
//! Owns all Windows knowledge. Does no I/O of its own and knows no appliance: the plugins that open guests bring the files. One exception:
//! [`virtio_win`] reads the drivers from the folder or ISO file of this machine that the user names.
#![warn(missing_docs)]

pub mod bcd;
mod boot_sector;
pub mod catalogue;
mod disks;
mod edits;
mod fix;
pub mod hive;
pub mod inf;
mod inspect;
pub mod iso;
mod network;
mod places;
mod registry;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod version;
pub mod virtio_win;

pub use disks::{Found, may_hold_windows};
pub use fix::{DriverPackages, FixSettings, WindowsFixer};
pub use registry::logs_of;

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    format!("{:x}", Sha256::digest(bytes))
}

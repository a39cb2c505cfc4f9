//! VMX: the description of a VMware virtual machine. From bytes to text ([`text`]), to keys and values ([`dictionary`]), to a
//! machine ([`machine`]) with its [`devices`], [`network`] cards and [`identity`]. Finding the disks' files is not done here.

pub mod devices;
pub mod dictionary;
pub mod identity;
pub mod machine;
pub mod network;
pub mod text;

pub use devices::VmxDisk;
pub use dictionary::Dictionary;
pub use machine::{Described, GUESSED_MEMORY, MAX_SIZE, read};

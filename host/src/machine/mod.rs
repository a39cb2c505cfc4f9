//! The new machine: decided once, from what the source says of the old one, what its disks say of the guest, and what the fixers promise of
//! it. Pure functions; nothing here talks to a hypervisor, and nobody reads a rendered text back.

mod decide;
mod mac;
mod name;

pub use decide::{Promises, decide};
pub use name::safe_name;

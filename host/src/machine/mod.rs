//! The new machine: decided once, from what the source says of the old one, what its disks say of the guest, what the fixers promise of
//! it, and what the job asks. Pure functions; nothing here talks to a hypervisor, and nobody reads a rendered text back.

mod asked;
mod compare;
mod decide;
mod facts;
mod lesser;
mod name;
mod promises;

pub use compare::{Compared, compare};
pub use decide::{Decided, ask_again, decide};
pub use facts::{cpus, facts, firmware};
pub use lesser::lesser;
pub use name::safe_name;
pub use promises::Promises;

//! A block device that takes the bytes of a disk instead of a file.
//!
//! Owns whose it is: it is claimed for the time of a run, refused when anything else uses it or something is stored on it, and known again
//! by what it is and not by its name, which may be another device's after the next start. Writing to it is the copy engine's.

mod claim;
mod identity;
mod lineage;

pub use claim::{Claim, Device};
pub use lineage::Lineage;

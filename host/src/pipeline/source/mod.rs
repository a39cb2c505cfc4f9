//! Disks that the host itself makes of others, or of nothing.

mod digested;
mod folder;
mod grown;
mod zero;

pub(super) use digested::{DigestPass, Digested, Kept};
pub(super) use folder::Folder;
pub(super) use grown::Grown;
pub(super) use zero::ZeroSource;

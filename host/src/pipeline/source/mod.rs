//! Disks that the host itself makes of others, or of nothing.

mod folder;
mod grown;
mod zero;

pub(super) use folder::Folder;
pub(super) use grown::Grown;
pub(super) use zero::ZeroSource;

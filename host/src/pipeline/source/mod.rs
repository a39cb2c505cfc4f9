//! Disks that the host itself makes of others, or of nothing.

mod grown;
mod zero;

pub(super) use grown::Grown;
pub(super) use zero::ZeroSource;

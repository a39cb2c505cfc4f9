//! VHD images of all kinds through the flattener: made by QEMU, made by hand, chained, and damaged.
//!
//! Requires: qemu-img and qemu-io (Debian: qemu-utils).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod against_qemu;
mod builder;
mod chains;
mod damaged;
mod hostile;
mod memory;

//! VDI and VHDX images through the flattener: made by QEMU and read as QEMU reads them, and damaged.
//!
//! Requires: qemu-img and qemu-io (Debian: qemu-utils).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod damaged;
mod support;
mod vdi;
mod vhdx;

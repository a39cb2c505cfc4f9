//! QCOW2 images of all kinds through the flattener: made by QEMU, made by hand, damaged, and random.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod against_qemu;
mod builder;
mod damaged;
mod files;
mod hostile;
mod properties;

//! The tests of the VMDK reader against real files: subformats, chains, hostile input, random disks.
//!
//! Requires: qemu-img and qemu-io (Debian: qemu-utils).
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod chains;
mod corpus;
mod esx;
mod exercise;
mod far;
mod hostile;
mod made;
mod mutations;
mod names;
mod random_disks;
mod subformats;
mod support;
mod trap;

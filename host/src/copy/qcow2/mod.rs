//! Writes qcow2 version 3 images, from the published specification (QEMU, `docs/interop/qcow2.txt`).
//!
//! Only what a fresh, complete image needs: 64 KiB clusters, 16-bit refcounts, no backing file, no snapshots, no compression.
//! Data clusters are allocated by several threads; tables are written when they are full or at the end, the header last, so
//! that a torn file is never taken for an image.

mod layout;
mod tables;
mod writer;

pub(super) use writer::Qcow2Image;

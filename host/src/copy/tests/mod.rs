//! The engine as a whole: images against real `qemu-img`, faults, and the cost of empty disks.

mod faults;
mod images;
mod large;
pub(super) mod sources;

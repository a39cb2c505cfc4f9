//! Fakes for tests, of this crate and of others (feature `testing`): driver packages as a virtio-win source has them. Nothing here drives a
//! device.

pub mod infs;

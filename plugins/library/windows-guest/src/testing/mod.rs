//! Fakes for tests, of this crate and of others (feature `testing`): driver packages as a virtio-win source has them. Nothing here drives a
//! device, and nobody but a test signed it. Needs `openssl` for catalogues and `xorriso` for ISO files; a missing one ends the test by its name.

mod catalogues;
mod der;
pub mod infs;
mod program;
mod source;
mod tools;

pub use catalogues::{SignedBy, catalogue, message};
pub use program::program;
pub use source::{Layout, OLDER, RECENT, Release, iso, source};
pub use tools::run;

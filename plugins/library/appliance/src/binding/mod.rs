//! The thin binding of libguestfs: all of this library's `unsafe` is here, and nothing else is.
//!
//! Knows pointers, ownership and prototypes; knows no guest. Above this folder a [`Handle`] is an ordinary Rust value.

mod api;
mod calls;
mod error;
mod growth;
mod handle;

pub use calls::FileStat;
pub use error::CallError;
pub use handle::{Drive, Handle};

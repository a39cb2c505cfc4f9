//! The client: reads an export of any NBD server as a block source.
//!
//! `socket` is a connection that never waits for ever, `handshake` agrees on what is spoken, `connection` has several requests under way at once,
//! `read` and `status` are the two requests there are, `disk` is the block source over several connections. Whatever a server sends is bounded and checked;
//! nothing it says decides how much memory is taken. Writes nothing: no command that could is known here.

mod connection;
mod disk;
mod handshake;
mod lost;
mod options;
mod read;
mod socket;
mod status;

pub use disk::RemoteDisk;
pub use options::{Limits, Options};

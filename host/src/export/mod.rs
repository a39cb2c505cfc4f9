//! The read-only export: any block source as an NBD disk on a private unix socket.
//!
//! This is how an appliance and qemu programs read a source without parsing its format: the host alone reads the source. Owns
//! the protocol (fixed newstyle handshake, structured replies, block status) and the threads behind it. Does not own the
//! socket's folder, nor what is done with the disk.

mod budget;
mod connection;
mod handshake;
mod reply;
mod server;
mod socket;
mod status;
mod wire;

#[cfg(test)]
mod tests;

pub use server::Export;

//! The read-only export: any block source as an NBD disk on a private unix socket.
//!
//! This is how an appliance and other programs read a source without parsing its format: the host alone reads the source. Owns
//! the threads that serve clients and what they may cost. Does not own the socket's folder, nor what is done with the disk.

mod budget;
mod connection;
mod export;
mod handshake;
mod reply;
mod socket;
mod status;

pub use export::Export;

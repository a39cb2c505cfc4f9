//! NBD, the network block device protocol: a read-only server for any block source, and a small client that reads what such a server has.
//!
//! The server is how an appliance and other programs read a source without parsing its format; the client reads the disks of sources `nbd://`
//! and `nbd+unix://`. Owns the protocol (fixed newstyle handshake, structured replies, block status); `wire` has its numbers, `address` its URIs,
//! `fetcher` makes a source of them. Does not own a socket's folder, nor what is done with a disk.

mod address;
mod client;
mod fetcher;
mod server;
mod wire;

#[cfg(test)]
mod tests;

pub use address::{Address, Endpoint};
pub use client::{Limits, Options, RemoteDisk};
pub use fetcher::NbdFetcher;
pub use server::Export;

//! libvirt, for the plugins that speak with it.
//!
//! [`domain`] is a machine as a document: pure functions from the model to text, with [`mark`] for what is ours and [`trial`] for a boot
//! test. [`Connection`] and what comes of it is libvirt's client library, opened when the first connection is: without it documents are
//! written all the same. [`compare`] says whether libvirt took a document as it was written.
#![warn(missing_docs)]

pub mod compare;
mod connection;
mod devices;
pub mod domain;
mod domain_handle;
mod error;
mod events;
mod functions;
mod handle;
pub mod mark;
pub mod reach;
mod storage;
mod stream;
pub mod trial;
mod xml;

pub use connection::Connection;
pub use devices::DEFAULT_NETWORK;
pub use domain_handle::Domain;
pub use error::Error;
pub use events::{Events, Stop};
pub use storage::{Pool, Volume};

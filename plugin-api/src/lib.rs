//! The contract between vmdk2kvm and its plugins: all that an author imports.
//!
//! Authors implement the ordinary Rust traits of [`stage`] and export them with [`export_plugin!`]; they write no `unsafe` and
//! see nothing of the binary interface below, which lives in [`abi`]. Everything descriptive is in [`model`].
//!
//! This crate performs no I/O.
#![warn(missing_docs)]

pub mod abi;
mod block;
mod error;
#[doc(hidden)]
pub mod export;
mod guest;
mod host;
mod manifest;
pub mod model;
mod plugin;
mod plugin_runtime;
pub mod stage;
pub mod text;

pub use block::{BlockSource, Extent, ExtentKind, Hints, check_map, read_exact_at};
pub use error::{ErrorKind, PluginError, Result};
pub use guest::{Entry, FileKind, Guest, Overlay, Stat, paths};
pub use host::{Host, HostServices, LogRecord, Progress, Slot};
pub use manifest::{Flag, Kind, MANIFEST_SECTION, Manifest, Need, Packages, Process, Setting, SettingFiles};
pub use plugin::Plugin;
pub use stage::{Catalog, Converter, Fetcher, Fixer, Flat, Flattener, Inspector, Opened, Tester, Transport};

/// The logging macros, so that an author needs no other crate for them.
pub use tracing;

/// Version of this contract.
pub const API_VERSION: &str = env!("CARGO_PKG_VERSION");

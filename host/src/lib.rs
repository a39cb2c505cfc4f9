//! The host: runs the fixed pipeline and loads every stage as a plugin.
//!
//! It knows stages, plugins, blocks and files; no format, no guest, no hypervisor.

pub mod batch;
pub mod cli;
pub mod collect;
pub mod config;
pub mod copy;
mod device;
pub mod events;
pub mod journal;
pub mod machine;
pub mod nbd;
pub mod pipeline;
pub mod plugins;
pub mod report;
pub mod scaffold;
mod shell;
mod uri;
pub mod worker;

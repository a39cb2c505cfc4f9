//! Results as text for people. Takes finished documents; decides nothing.

mod error;
mod inspection;
mod inventory;
mod plan;
mod plugins;
mod report;
mod table;

pub use error::error;
pub use inspection::inspection;
pub use inventory::inventory;
pub use plan::plan;
pub use plugins::{Need, PluginRow, PluginState, checked, doctor, manifest, plugins, scaffold, trusted, untrusted};
pub use report::report;

//! Results as text for people. Takes finished documents; decides nothing.

mod batch;
mod collected;
mod defined;
mod error;
mod findings;
mod holds;
mod inspection;
mod inventory;
mod live_fix;
mod network;
mod plan;
mod plugins;
mod report;
mod table;

pub use batch::{batch, batch_status, exported};
pub use collected::collected;
pub use defined::defined;
pub use error::error;
pub use holds::{holds, released};
pub use inspection::inspection;
pub use inventory::inventory;
pub use live_fix::live_fixed;
pub use plan::{plan, ways};
pub use plugins::{
    Ability, Need, PluginRow, PluginState, checked, doctor, manifest, plugins, scaffold, trusted, untrusted,
};
pub use report::report;

//! Arguments to requests; no logic.

mod arguments;
mod batch;
mod examples;
mod manual;
mod options;
mod parse;
mod plugin_flags;
mod plugin_page;
pub mod render;
mod reporters;
mod request;
mod resume;
mod values;

pub use batch::BatchAction;
pub use manual::{completions, manual};
pub use parse::{Stop, check_name, parse};
pub use plugin_flags::{PluginFlag, plugin_layers};
pub use plugin_page::plugin_page;
pub use reporters::{event_file, reporters, watched};
pub use request::{Action, EventsTo, Invocation, Output};
pub use resume::resume_hint;

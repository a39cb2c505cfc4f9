//! One event stream; reporters only consume it.
//!
//! The pipeline says what happens as [`Event`]s and knows nothing of bars, colours or files.

mod bars;
mod beside;
mod event;
mod layer;
mod lines;
mod ndjson;
#[cfg(test)]
pub(crate) mod paper;
mod phases;
mod show;
mod sink;
mod stage;

pub use bars::Bars;
pub use event::{ErrorDocument, Event, LogLevel, SCHEMA, StageStatus};
pub use layer::EventLayer;
pub use lines::{Lines, LogFile};
pub use ndjson::{Ndjson, from_line, safe_json};
pub use phases::{Phase, Phases};
pub use show::{bytes, duration};
pub use sink::{EventSink, Recorder, Reporter};
pub use stage::Stage;
pub use vmdk2kvm_plugin_api::text::{escape, escape_lines, is_unsafe};

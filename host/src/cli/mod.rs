//! Arguments to requests; no logic.

mod arguments;
mod manual;
mod parse;
pub mod render;
mod reporters;
mod request;
mod resume;
mod values;

pub use manual::{completions, manual};
pub use parse::{Stop, check_name, parse};
pub use reporters::reporters;
pub use request::{Action, EventsTo, Invocation, Output};
pub use resume::resume_hint;

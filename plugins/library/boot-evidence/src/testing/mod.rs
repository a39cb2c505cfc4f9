//! Pictures for tests: made here in the style of screens that are known, not captured from any system.

mod canvas;
mod screens;

pub use screens::{Screen, paint};

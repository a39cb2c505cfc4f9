//! What takes hours where processors are emulated, and so is run by `tests/run --full` alone.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod doors;
mod image;
mod installed;
mod live_guest;
mod matrix;
mod windows;

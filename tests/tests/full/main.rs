//! What takes hours where processors are emulated, and so is run by `tests/run --full` alone.

mod doors;
mod image;
mod matrix;
mod windows;

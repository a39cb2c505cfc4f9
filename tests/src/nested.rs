//! Where cargo builds what a test makes: one folder for all of them, so that what they depend on is built once.

use std::path::PathBuf;

use crate::program::target;

/// The folder, inside of the one that cargo builds the tests into.
pub fn nested_target() -> PathBuf {
    target().parent().unwrap().join("nested")
}

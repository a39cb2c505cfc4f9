//! Registry hives (`regf` files) as bytes in memory: read without a copy, replayed from their logs, checked, compared, edited, made.
//!
//! Knows no guest and no file: whoever calls has fetched the bytes and says the path in front of an error's sentence.

mod base;
mod build;
mod check;
mod differences;
mod digest;
mod edit;
mod error;
mod layout;
mod names;
mod read;
mod replay;
mod upcase;
mod value;

pub use build::{BuildError, build, empty};
pub use check::{Fault, check};
pub use differences::{Difference, Differs, differences};
pub use edit::{EditError, edit};
pub use error::HiveError;
pub use read::{Hive, Key};
pub use replay::{ReplayError, Replayed, replay};
pub use value::{Value, text_data, texts_data};

#[cfg(test)]
mod hivex_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod read_tests;
#[cfg(test)]
pub(crate) mod real_hives;

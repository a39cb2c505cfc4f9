//! Registry hives (`regf` files) as bytes in memory: read without a copy.
//!
//! Knows no guest and no file: whoever calls has fetched the bytes and says the path in front of an error's sentence.

mod base;
mod error;
mod names;
mod read;
mod upcase;
mod value;

pub use error::HiveError;
pub use read::{Hive, Key};
pub use value::{Value, text_data, texts_data};

#[cfg(test)]
mod read_tests;
#[cfg(test)]
mod real_hives;

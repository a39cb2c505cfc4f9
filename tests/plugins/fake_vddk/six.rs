//! The same fake as an older version, without the functions that came with 6.7, and with the shorter record of
//! a disk's facts.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod core;
mod fault;
mod reads;
mod rules;
mod say;

/// As which version the record of a disk's facts is made.
const IS_OLD: bool = true;

//! The Linux fixers on whole trees: guests as years on VMware leave them, and families that are no lab guests.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod families;
mod guests;
mod hostile;
mod support;

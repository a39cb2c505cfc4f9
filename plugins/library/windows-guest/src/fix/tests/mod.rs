//! Whole plans: a made or a real registry, a drive in memory, fake drivers; planned, carried out, held against the plan, planned again.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod drive;
mod heads;
mod logs;
mod minimal;
mod refusals;
mod tools;
mod versions;
mod windows;

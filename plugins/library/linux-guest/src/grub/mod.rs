//! GRUB 2's files: its script language, what a script starts, and what generators copy into it.
//!
//! Owns the grammar. What is changed in such files, and what they mean for the move, is decided elsewhere.

mod entries;
mod generator;
mod place;
mod script;
mod variables;

pub(crate) use entries::{MenuEntry, sourced, starts};
pub(crate) use generator::copied;
pub(crate) use place::place;
pub(crate) use script::{Command, Piece, Word, read, visit};
pub(crate) use variables::{Constants, assignment};

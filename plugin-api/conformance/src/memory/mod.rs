//! A guest, a disk and a source's files in memory, made of literals: what the kit tries plugins on, and what authors' tests start from.

mod files;
mod guest;
mod source;

pub use files::MemoryFiles;
pub use guest::{MemoryGuest, Node};
pub use source::MemorySource;

//! Boot archives: what is inside of one, and what to append to it.

mod compression;
mod contents;
mod cpio;
mod extension;
mod index;
mod lzop;
#[cfg(test)]
pub(crate) mod tests;

pub use compression::Compression;
pub use contents::{Contents, contents, has_driver};
pub(crate) use extension::room;
pub use extension::{ModuleSource, extension};

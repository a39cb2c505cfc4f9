//! The block copy engine: any block source to a new image file, in parallel, sparse, and digested on the way.
//!
//! Owns reading a source once, deciding what is zero, writing raw and qcow2 images, the content digest, and continuing after an
//! interruption. Does not own names: the caller passes a `.part` path and renames it when everything else about the image is right.

mod changed;
mod commit;
mod content_digest;
mod control;
mod device_image;
mod engine;
mod file_digest;
mod image;
mod image_file;
pub(crate) mod map_walk;
mod output_error;
mod qcow2;
mod raw;
mod settle;
mod sink;
mod source_digest;
mod source_file;
mod span;
mod tasks;
mod watched;
mod zero;

#[cfg(test)]
mod tests;

pub use changed::copy_changed;
pub use control::{Control, Progress};
pub use file_digest::file_sha256;
pub use image::{CopyOutcome, CopyRequest, ImageFormat, Target, copy_image, finished};
pub use source_digest::content_sha256;
pub use source_file::FileSource;
pub use watched::{PATIENCE, Watch, Watched};

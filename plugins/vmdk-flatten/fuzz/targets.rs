//! What the fuzz targets share: the disks and the driver of the plugin's tests.
//!
//! How to run one is in the plugin's README.

#[path = "../tests/vmdk/exercise.rs"]
mod exercise;
#[path = "../tests/vmdk/made/mod.rs"]
pub mod made;

pub use made::samples::Sample;

/// Presents these bytes as the file of this format.
pub fn run(sample: Sample, bytes: &[u8]) {
    let files = sample.files(bytes);
    exercise::exercise(files.iter().map(|(name, bytes)| (*name, bytes.as_slice())), files[0].0);
}

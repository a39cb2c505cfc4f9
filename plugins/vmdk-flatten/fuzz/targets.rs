//! What the fuzz targets share: the disks and the driver of the plugin's tests.
//!
//! How to run one is in the plugin's README.

#[path = "../tests/vmdk/exercise.rs"]
mod exercise;
#[path = "../tests/vmdk/made/mod.rs"]
pub mod made;

pub use made::samples::Sample;
use vmdk2kvm_vmdk_flatten::VmdkFlattener;

/// Presents these bytes as the file of this format.
pub fn run(sample: Sample, bytes: &[u8]) {
    let files = sample.files(bytes);
    let named = files.iter().map(|(name, bytes)| (*name, bytes.as_slice()));
    exercise::exercise(&VmdkFlattener::new(exercise::host()), "vmdk", named, files[0].0);
}

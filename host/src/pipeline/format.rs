//! Which format a working image has, and whether that is already the final one.

use crate::config::{Command, Job};
use crate::copy::ImageFormat;

/// The format of overlays.
pub(super) const OVERLAY: &str = "qcow2";

/// The format that needs no plugin: the bytes as the guest sees them.
pub(super) const RAW: &str = "raw";

/// Whether the images are written to again after they were copied: rounds write at random, for which raw images are made.
pub(super) fn is_in_rounds(job: &Job) -> bool {
    job.command == Command::Cutover || (job.command == Command::Migrate && job.settings.warm.enabled)
}

/// The format the copy engine writes for a job: the final one where it can.
pub(super) fn working_format(job: &Job) -> ImageFormat {
    if is_in_rounds(job) || job.settings.format.as_str() == ImageFormat::Raw.as_str() {
        ImageFormat::Raw
    } else {
        ImageFormat::Qcow2
    }
}

/// Whether the working image is not yet what was asked for.
pub(super) fn must_convert(job: &Job) -> bool {
    job.settings.compress || job.settings.format.as_str() != working_format(job).as_str()
}

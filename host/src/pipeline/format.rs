//! Which format a working image has, and whether that is already the final one.

use super::disk::Disk;
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

/// The format the copy engine writes into a file: the final one where it can.
pub(super) fn file_format(job: &Job) -> ImageFormat {
    if is_in_rounds(job) || job.settings.format.as_str() == RAW { ImageFormat::Raw } else { ImageFormat::Qcow2 }
}

/// Whether files are not yet what was asked for.
pub(super) fn converts_files(job: &Job) -> bool {
    job.settings.compress || job.settings.format.as_str() != file_format(job).as_str()
}

/// The format in which a disk is copied.
pub(super) fn working_format(job: &Job, disk: &Disk) -> &'static str {
    if disk.device.is_some() { RAW } else { file_format(job).as_str() }
}

/// The format that a disk ends in. A device holds the disk's bytes as they are.
pub(super) fn final_format(job: &Job, disk: &Disk) -> &'static str {
    if disk.device.is_some() { RAW } else { job.settings.format.as_str() }
}

/// Whether the working image of a disk is not yet what was asked for.
pub(super) fn must_convert(job: &Job, disk: &Disk) -> bool {
    disk.device.is_none() && converts_files(job)
}

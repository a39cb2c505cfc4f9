//! Digests of the finished images, for the report: of the file, and of what the guest sees, which is the same in every format.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vmdk2kvm_plugin_api::model::FlattenDisk;
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, Transport};

use super::disk::FinalDisk;
use super::format::{RAW, final_format};
use super::paths::text;
use super::run::Run;
use crate::copy::{Control, FileSource, content_sha256, file_sha256};
use crate::report::ImageRecord;

/// The records of images that are as they were copied: the copy has digested the content, and nothing is read again.
pub(super) fn of_copies(run: &Run<'_>, dir: &Path, disks: &[FinalDisk<'_>]) -> Result<Vec<ImageRecord>> {
    let record = |made: &FinalDisk<'_>| {
        let content_sha256 = made.copied.as_ref().map(|copy| copy.content_sha256.clone());
        Ok(ImageRecord { content_sha256, ..bare(run, dir, made)? })
    };
    disks.iter().map(record).collect()
}

/// Reads and digests the images.
pub(super) fn records(run: &Run<'_>, dir: &Path, disks: &[FinalDisk<'_>]) -> Result<Vec<ImageRecord>> {
    disks.iter().map(|made| record(run, dir, made)).collect()
}

fn record(run: &Run<'_>, dir: &Path, made: &FinalDisk<'_>) -> Result<ImageRecord> {
    let cancelled = || run.cancelled();
    let control = Control { cancelled: &cancelled, progress: &|_| () };
    let content_sha256 = match content(run, made)? {
        Some(source) => Some(content_sha256(source.as_ref(), &control)?),
        None => None,
    };
    let length = made.disk.device.as_ref().map(|_| made.disk.size());
    let sha256 = Some(file_sha256(&made.image, length, &control)?);
    Ok(ImageRecord { sha256, content_sha256, ..bare(run, dir, made)? })
}

fn bare(run: &Run<'_>, dir: &Path, made: &FinalDisk<'_>) -> Result<ImageRecord> {
    let (image, virtual_size) = (&made.image, made.disk.size());
    let metadata = image.metadata().map_err(|error| PluginError::from_io(image.display(), &error))?;
    let (bytes, file_bytes) = match made.disk.device {
        // Every byte of it has its place, whether it is zero or not.
        Some(_) => (virtual_size, virtual_size),
        None => (std::os::unix::fs::MetadataExt::blocks(&metadata) * 512, metadata.len()),
    };
    Ok(ImageRecord {
        path: image.strip_prefix(dir).unwrap_or(image).to_string_lossy().into_owned(),
        format: final_format(run.job, made.disk).to_owned(),
        bytes,
        file_bytes: Some(file_bytes),
        virtual_size,
        sha256: None,
        content_sha256: None,
    })
}

/// What the guest sees of an image; `None` for a format that nothing here reads.
fn content(run: &Run<'_>, made: &FinalDisk<'_>) -> Result<Option<Box<dyn BlockSource>>> {
    let (image, format) = (made.image.as_path(), final_format(run.job, made.disk));
    if made.disk.device.is_some() {
        return Ok(Some(Box::new(FileSource::open_device(image, made.disk.size())?)));
    }
    if format == RAW {
        return Ok(Some(Box::new(FileSource::open(image)?)));
    }
    let Ok(flattener) = run.registry.flattener(None, format) else { return Ok(None) };
    let disk = FlattenDisk::new(text(image)?, format);
    let files = Arc::new(OneFile(image.to_path_buf()));
    Ok(Some(flattener.stage.flatten(&disk, files)?.source))
}

/// Gives access to one file, which refers to no other.
struct OneFile(PathBuf);

impl Transport for OneFile {
    fn open(&self, _: &str) -> Result<Box<dyn BlockSource>> {
        Ok(Box::new(FileSource::open(&self.0)?))
    }
    fn resolve(&self, _: &str, name: &str) -> Result<String> {
        Err(PluginError::defect(format!("{} refers to another file: {name:?}", self.0.display())))
    }
    fn fingerprint(&self, _: &str) -> Result<String> {
        Err(PluginError::defect("a finished image has no fingerprint"))
    }
}

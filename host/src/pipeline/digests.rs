//! Digests of the finished images, for the report: of the file, and of what the guest sees, which is the same in every format.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vmdk2kvm_plugin_api::model::FlattenDisk;
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, Transport};

use super::disk::FinalDisk;
use super::paths::text;
use super::run::Run;
use crate::copy::{Control, FileSource, ImageFormat, content_sha256, file_sha256};
use crate::report::ImageRecord;

/// The records of images that are as they were copied: the copy has digested the content, and nothing is read again.
pub(super) fn of_copies(run: &Run<'_>, dir: &Path, disks: &[FinalDisk<'_>]) -> Result<Vec<ImageRecord>> {
    let record = |made: &FinalDisk<'_>| {
        let content_sha256 = made.copied.as_ref().map(|copy| copy.content_sha256.clone());
        Ok(ImageRecord { content_sha256, ..bare(run, dir, &made.image, made.disk.size())? })
    };
    disks.iter().map(record).collect()
}

/// Reads and digests the images.
pub(super) fn records(run: &Run<'_>, dir: &Path, disks: &[FinalDisk<'_>]) -> Result<Vec<ImageRecord>> {
    disks.iter().map(|made| record(run, dir, &made.image, made.disk.size())).collect()
}

fn record(run: &Run<'_>, dir: &Path, image: &Path, virtual_size: u64) -> Result<ImageRecord> {
    let cancelled = || run.cancelled();
    let control = Control { cancelled: &cancelled, progress: &|_| () };
    let content_sha256 = match content(run, image, run.job.settings.format.as_str())? {
        Some(source) => Some(content_sha256(source.as_ref(), &control)?),
        None => None,
    };
    let sha256 = Some(file_sha256(image, &control)?);
    Ok(ImageRecord { sha256, content_sha256, ..bare(run, dir, image, virtual_size)? })
}

fn bare(run: &Run<'_>, dir: &Path, image: &Path, virtual_size: u64) -> Result<ImageRecord> {
    let metadata = image.metadata().map_err(|error| PluginError::from_io(image.display(), &error))?;
    Ok(ImageRecord {
        path: image.strip_prefix(dir).unwrap_or(image).to_string_lossy().into_owned(),
        format: run.job.settings.format.as_str().to_owned(),
        bytes: std::os::unix::fs::MetadataExt::blocks(&metadata) * 512,
        file_bytes: Some(metadata.len()),
        virtual_size,
        sha256: None,
        content_sha256: None,
    })
}

/// What the guest sees of an image; `None` for a format that nothing here reads.
fn content(run: &Run<'_>, image: &Path, format: &str) -> Result<Option<Box<dyn BlockSource>>> {
    if format == ImageFormat::Raw.as_str() {
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

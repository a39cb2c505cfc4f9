//! Copies a source to a new image file: creates it, runs the pass, completes and syncs it.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result};

use super::content_digest::virtual_size;
use super::control::Control;
use super::engine::pass;
use super::image_file::ImageFile;
use super::output_error::create_error;
use super::qcow2::Qcow2Image;
use super::raw::RawImage;
use super::settle::Passed;

/// The formats that the host writes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageFormat {
    /// The disk's bytes, with holes where they are zero.
    Raw,
    /// QCOW2 version 3.
    Qcow2,
}

impl ImageFormat {
    /// The word used on the command line, in JSON, and by qemu.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// What to copy where.
#[derive(Clone, Copy)]
pub struct CopyRequest<'a> {
    /// What is read.
    pub source: &'a dyn BlockSource,
    /// The file to create, by custom with `.part` at the end: the caller renames it. It must not exist.
    pub target: &'a Path,
    /// The format to write.
    pub format: ImageFormat,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOutcome {
    /// Size of the disk in bytes: the source's, rounded up to a multiple of 512.
    pub virtual_size: u64,
    /// Data that the source's map named and that was read, in bytes.
    pub bytes_data: u64,
    /// Bytes of the 64 KiB clusters that were not all zero and were written.
    pub bytes_stored: u64,
    /// Length of the image file in bytes (of a raw image, with its holes).
    pub bytes_image: u64,
    /// The content digest: `content_sha256` of the reports (see [`super::content_sha256`]).
    pub content_sha256: String,
}

/// Copies a source to a new image, mode 0600, and syncs it. On an error or when cancelled, all threads have ended and the file is
/// removed before this returns; the error is the source's own where the source failed.
pub fn copy_image(request: &CopyRequest<'_>, control: &Control<'_>) -> Result<CopyOutcome> {
    let target = request.target;
    let file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(target)
        .map_err(|error| create_error(target, &error))?;
    let copied = write_image(request, &file, control);
    if copied.is_err() {
        // Created by this call (O_EXCL), so that nobody else's file is removed. The copy's own error is the one to report.
        let _ = std::fs::remove_file(target);
    }
    copied
}

fn write_image(request: &CopyRequest<'_>, file: &File, control: &Control<'_>) -> Result<CopyOutcome> {
    let size = virtual_size(request.source.size());
    let file = ImageFile::new(file, request.target);
    let passed: Passed = match request.format {
        ImageFormat::Raw => pass(request.source, &RawImage::create(&file, size)?, control)?,
        ImageFormat::Qcow2 => {
            let image = Qcow2Image::create(&file, size)?;
            let passed = pass(request.source, &image, control)?;
            image.finish()?;
            passed
        }
    };
    if (control.cancelled)() {
        return Err(PluginError::interrupted());
    }
    file.sync()?;
    Ok(CopyOutcome {
        virtual_size: size,
        bytes_data: passed.data,
        bytes_stored: passed.stored,
        bytes_image: file.length()?,
        content_sha256: passed.content_sha256,
    })
}

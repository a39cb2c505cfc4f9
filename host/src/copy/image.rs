//! Copies a source to a new image file: creates it, runs the pass, completes and syncs it.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result};

use super::commit::{Commit, Committer, Pace};
use super::content_digest::virtual_size;
use super::control::Control;
use super::device_image::DeviceImage;
use super::engine::{Pass, span_of};
use super::image_file::ImageFile;
use super::output_error::create_error;
use super::qcow2::Qcow2Image;
use super::raw::RawImage;
use super::settle::Settle;
use super::sink::Image;
use crate::journal::{DurableFile, Log, Records, StageKey, remove_file, sync_folder};

/// Version of the log's records: a log of another version is of another work.
const LOG_VERSION: &str = "2";

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

/// Where an image is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file, by custom with `.part` at the end: the caller renames it. What may be there is continued if it is this copy's, else replaced.
    File(PathBuf, ImageFormat),
    /// A block device, which gets the bytes as they are. It is never removed.
    Device(PathBuf),
}

impl Target {
    /// Its path.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path, _) | Self::Device(path) => path,
        }
    }

    fn format(&self) -> &'static str {
        match self {
            Self::File(_, format) => format.as_str(),
            Self::Device(_) => "device",
        }
    }

    /// Removes what cannot be continued. A device stays.
    pub fn remove(&self) -> Result<()> {
        match self {
            Self::File(path, _) => remove_file(path),
            Self::Device(_) => Ok(()),
        }
    }
}

/// What to copy where.
#[derive(Clone, Copy)]
pub struct CopyRequest<'a> {
    /// What is read.
    pub source: &'a dyn BlockSource,
    /// Where it is written.
    pub target: &'a Target,
    /// Where finished and interrupted copies are remembered.
    pub records: &'a Records,
    /// This copy's name there.
    pub name: &'a str,
    /// Digest of all that decides the image: another key is another copy.
    pub key: &'a StageKey,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyOutcome {
    /// Size of the disk in bytes: the source's, rounded up to a multiple of 512.
    pub virtual_size: u64,
    /// Data that the source's map named and that was read, in bytes.
    pub bytes_data: u64,
    /// Bytes of the 64 KiB clusters that were not all zero and were written.
    pub bytes_stored: u64,
    /// Length of the image file in bytes (of a raw image, with its holes); what is written of a device.
    pub bytes_image: u64,
    /// The content digest: `content_sha256` of the reports (see [`super::content_sha256`]).
    pub content_sha256: String,
}

/// What a former run copied, if it finished and the image is still there: it may have grown since, by what was committed onto it.
pub fn finished(request: &CopyRequest<'_>) -> Option<CopyOutcome> {
    let outcome: CopyOutcome = request.records.read(request.name, request.key)?;
    let whole = match request.target {
        Target::File(path, _) => {
            path.symlink_metadata().is_ok_and(|found| found.is_file() && found.len() >= outcome.bytes_image)
        }
        Target::Device(path) => path.metadata().is_ok_and(|found| found.file_type().is_block_device()),
    };
    whole.then_some(outcome)
}

/// Copies a source to an image, mode 0600, syncs it, and records that it is finished; or finds that a former run did. On an error or
/// when cancelled, all threads have ended before this returns; what was committed stays, and the same request continues from there. The
/// error is the source's own where the source failed.
pub fn copy_image(request: &CopyRequest<'_>, control: &Control<'_>) -> Result<CopyOutcome> {
    copy_at(Pace::default(), request, control)
}

/// The same at a pace of the caller's.
pub(super) fn copy_at(pace: Pace, request: &CopyRequest<'_>, control: &Control<'_>) -> Result<CopyOutcome> {
    if let Some(outcome) = finished(request) {
        // A run that ended just before this left it. Whoever changes the image now must not find it.
        remove_file(&request.records.log(request.name))?;
        return Ok(outcome);
    }
    let copy = Copy::open(pace, request, control)?;
    let mut copied = copy.run();
    if copy.file.has_lost() {
        // Once more from the last commit; a disk that fails again fails for good.
        copied = copy.run();
    }
    let outcome = match copied {
        Ok(outcome) => outcome,
        Err(error) => {
            copy.leave();
            return Err(error);
        }
    };
    request.records.write(request.name, request.key, &outcome)?;
    remove_file(&request.records.log(request.name))?;
    Ok(outcome)
}

/// A copy that is being made.
struct Copy<'a> {
    pace: Pace,
    request: &'a CopyRequest<'a>,
    control: &'a Control<'a>,
    file: ImageFile,
    size: u64,
    /// The key of the log.
    key: StageKey,
}

impl<'a> Copy<'a> {
    /// Opens what a former run left of this copy, or begins anew.
    fn open(pace: Pace, request: &'a CopyRequest<'a>, control: &'a Control<'a>) -> Result<Self> {
        let CopyRequest { source, target, records, name, .. } = *request;
        let size = virtual_size(source.size());
        let numbers = [size, span_of(source) as u64].map(|number| number.to_string());
        let key = StageKey::new(&[LOG_VERSION, request.key.as_str(), target.format(), &numbers[0], &numbers[1]]);
        let log = records.log(name);
        records.remove(name)?;
        let path = target.path();
        let failed = |error| create_error(path, &error);
        let is_begun = Log::read(&log, &key, |_| Ok(false))? && path.symlink_metadata().is_ok();
        if !is_begun {
            // In this order: a log never stands beside an image that it does not speak of.
            remove_file(&log)?;
            target.remove()?;
        }
        let file = match target {
            Target::Device(_) => DurableFile::open_device(path).map_err(failed)?,
            Target::File(..) if is_begun => DurableFile::open(path).map_err(failed)?,
            Target::File(..) => {
                let file = DurableFile::create(path).map_err(failed)?;
                sync_folder(path.parent().unwrap_or(Path::new("/")))?;
                file
            }
        };
        if !is_begun {
            Log::create(&log, &key, records.fence())?;
        }
        Ok(Self { pace, request, control, file: ImageFile::new(file, records.fence().clone()), size, key })
    }

    fn run(&self) -> Result<CopyOutcome> {
        match self.request.target {
            Target::File(_, ImageFormat::Raw) => self.write(&RawImage::new(&self.file, self.size)),
            Target::File(_, ImageFormat::Qcow2) => self.write(&Qcow2Image::new(&self.file, self.size)?),
            Target::Device(_) => self.write(&DeviceImage::new(&self.file, self.size, self.control.cancelled)),
        }
    }

    fn write<I: Image>(&self, image: &I) -> Result<CopyOutcome> {
        let CopyRequest { source, records, name, .. } = *self.request;
        let mut settle = Settle::new(source.size(), self.size);
        let (mut end, mut sound, length) = (0, true, self.length()?);
        let log = Log::open(&records.log(name), &self.key, records.fence(), |record| {
            let commit = Commit::decode(record, self.size).filter(|commit| commit.image_end <= length);
            let Some(commit) = commit else { return false };
            settle.restore(&commit);
            end = commit.image_end;
            sound &= commit.spans.iter().all(|span| image.restore(span));
            true
        })?;
        let (Some(log), true) = (log, sound) else {
            let path = records.log(name);
            return Err(PluginError::defect(format!("{} contradicts itself", path.display()))
                .hint(format!("remove {}, and run the command again", path.display())));
        };
        image.begin(end)?;
        settle.take_notes();
        let committer = Some(Committer::new(&self.file, log, self.pace));
        let pass = Pass { source, sink: image, control: self.control, settle, committer, workers: self.pace.workers };
        let passed = pass.run()?;
        image.finish()?;
        if (self.control.cancelled)() {
            return Err(PluginError::interrupted());
        }
        self.file.sync()?;
        Ok(CopyOutcome {
            virtual_size: self.size,
            bytes_data: passed.data,
            bytes_stored: passed.stored,
            bytes_image: self.length()?,
            content_sha256: passed.content_sha256,
        })
    }

    /// Length of the image in bytes.
    fn length(&self) -> Result<u64> {
        match self.request.target {
            Target::File(..) => self.file.length(),
            Target::Device(_) => Ok(self.size),
        }
    }

    /// After a failure: keeps what was committed; an image without a commit is of no use to anybody. The failure is what is reported.
    fn leave(&self) {
        let CopyRequest { target, records, name, .. } = *self.request;
        let log = records.log(name);
        let mut committed = false;
        let read = Log::read(&log, &self.key, |_| {
            committed = true;
            Ok(true)
        });
        if read.is_ok() && !committed && records.fence().check().is_ok() {
            let _ = remove_file(&log).and_then(|()| target.remove());
        }
    }
}

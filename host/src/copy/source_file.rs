//! A local raw file as a block source: what is a hole is asked of the file system.
//!
//! For images that the host wrote itself. Files named by a source go through a fetcher, which confines them.

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use vmdk2kvm_plugin_api::{BlockSource, Extent, ExtentKind, Hints, PluginError, Result};

/// A regular file or a block device, read as raw.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    path: PathBuf,
    size: u64,
    /// It knows of holes.
    is_sparse: bool,
}

impl FileSource {
    /// Opens a regular file for reading.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| PluginError::from_io(path.display(), &error);
        // Without O_NONBLOCK opening a FIFO would wait for a writer.
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
        let file = file.map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(
                PluginError::unusable(format!("{}: is not a regular file", path.display())).hint("name an image file")
            );
        }
        Ok(Self { file, path: path.to_owned(), size: metadata.len(), is_sparse: true })
    }

    /// Opens the first `size` bytes of a block device for reading.
    pub fn open_device(path: &Path, size: u64) -> Result<Self> {
        let file = File::open(path).map_err(|error| PluginError::from_io(path.display(), &error))?;
        Ok(Self { file, path: path.to_owned(), size, is_sparse: false })
    }

    fn check(&self, offset: u64, length: u64) -> Result<()> {
        match offset.checked_add(length) {
            Some(end) if end <= self.size => Ok(()),
            _ => Err(PluginError::defect(format!(
                "{}: a request of {length} bytes at offset {offset} leads past the end at {}",
                self.path.display(),
                self.size
            ))),
        }
    }

    /// Where the next data, or the next hole, begins; `None` when there is none.
    fn seek(&self, to: SeekFrom) -> Result<Option<u64>> {
        match rustix::fs::seek(&self.file, to) {
            Ok(at) => Ok(Some(at)),
            Err(Errno::NXIO) => Ok(None),
            Err(error) => Err(PluginError::from_io(self.path.display(), &error.into())),
        }
    }
}

impl BlockSource for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.check(offset, buffer.len() as u64)?;
        if buffer.is_empty() {
            return Ok(0);
        }
        match self.file.read_at(buffer, offset) {
            Ok(0) => Err(PluginError::unusable(format!(
                "{}: ends at offset {offset}, {} bytes were there when it was opened",
                self.path.display(),
                self.size
            ))
            .hint("let nothing write to the file while it is read, and run the command again")),
            Ok(n) => Ok(n),
            Err(error) => Err(PluginError::from_io(format!("{} at offset {offset}", self.path.display()), &error)),
        }
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        self.check(offset, length)?;
        if !self.is_sparse {
            return Ok(vec![Extent::new(offset, length, ExtentKind::Data)]);
        }
        let end = offset + length;
        let mut extents = Vec::new();
        let mut push = |from: u64, to: u64, kind| {
            if from < to {
                extents.push(Extent::new(from, to - from, kind));
            }
        };
        let mut at = offset;
        while at < end {
            let data = self.seek(SeekFrom::Data(at))?.unwrap_or(end).clamp(at, end);
            push(at, data, ExtentKind::Hole);
            let hole = if data < end { self.seek(SeekFrom::Hole(data))?.unwrap_or(end).clamp(data, end) } else { end };
            push(data, hole, ExtentKind::Data);
            at = hole.max(at + 1);
        }
        Ok(extents)
    }

    fn hints(&self) -> Hints {
        Hints::default()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use vmdk2kvm_plugin_api::ErrorKind;

    use super::*;

    #[test]
    fn holes_are_seen_and_the_end_is_respected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.raw");
        let file = File::create(&path).unwrap();
        file.set_len(64 << 20).unwrap();
        file.write_all_at(&[7; 4096], 16 << 20).unwrap();
        let source = FileSource::open(&path).unwrap();
        assert_eq!(source.size(), 64 << 20);
        let extents = source.extents(0, 64 << 20).unwrap();
        assert_eq!(extents.iter().map(|extent| extent.length).sum::<u64>(), 64 << 20);
        let data = extents.iter().find(|extent| extent.kind == ExtentKind::Data).unwrap();
        assert_eq!(data.offset, 16 << 20);
        assert!(data.length < 4 << 20);
        let past = source.read_at((64 << 20) - 1, &mut [0; 2]).unwrap_err();
        assert!(past.message.ends_with("a request of 2 bytes at offset 67108863 leads past the end at 67108864"));
        file.set_len(1 << 20).unwrap();
        let cut = source.read_at(2 << 20, &mut [0; 2]).unwrap_err();
        assert_eq!(cut.kind, ErrorKind::Unusable);
        assert!(cut.message.ends_with("ends at offset 2097152, 67108864 bytes were there when it was opened"));
    }

    #[test]
    fn a_folder_and_a_fifo_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for path in [folder.path(), &fifo] {
            let error = FileSource::open(path).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unusable);
            assert!(error.message.ends_with("is not a regular file"), "{error}");
        }
    }
}

//! A local file as a `BlockSource`.
//!
//! Owns positioned reads and the map of holes. The size is the one the file had when it was opened; a file that shrinks
//! afterwards is an error, never zeros.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use vmdk2kvm_plugin_api::{BlockSource, Extent, ExtentKind, Hints, PluginError, Result};

/// An opened regular file.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    size: u64,
    name: String,
}

impl FileSource {
    /// A source over `file`; `name` is what messages call it.
    pub fn new(file: File, name: String) -> Result<Self> {
        let size = file.metadata().map_err(|error| PluginError::from_io(&name, &error))?.len();
        Ok(Self { file, size, name })
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn check(&self, offset: u64, length: u64) -> Result<()> {
        match offset.checked_add(length) {
            Some(end) if end <= self.size => Ok(()),
            _ => Err(PluginError::unusable(format!(
                "{}: {length} bytes at offset {offset} lie past the end of the file, which has {} bytes",
                self.name, self.size
            ))),
        }
    }

    fn shrunk(&self, offset: u64) -> PluginError {
        PluginError::unusable(format!(
            "{}: the file shrank while it was read: nothing is left at offset {offset} of {} bytes",
            self.name, self.size
        ))
        .hint("make sure that the virtual machine is off and that nothing else writes to its files, then run again")
    }

    /// Where the kernel finds the next data or hole; `None` when there is none before the end of the file, and `otherwise`
    /// where the file system keeps no map of holes.
    fn seek(&self, to: SeekFrom, at: u64, otherwise: u64) -> Result<Option<u64>> {
        match rustix::fs::seek(&self.file, to) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NXIO) => Ok(None),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some(otherwise)),
            Err(error) => {
                Err(PluginError::from_io(format_args!("{} at offset {at}", self.name), &std::io::Error::from(error)))
            }
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
        loop {
            match self.file.read_at(buffer, offset) {
                Ok(0) => return Err(self.shrunk(offset)),
                Ok(read) => return Ok(read),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(PluginError::from_io(format_args!("{} at offset {offset}", self.name), &error));
                }
            }
        }
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        self.check(offset, length)?;
        let end = offset + length;
        let mut extents = Vec::new();
        let mut at = offset;
        while at < end {
            let data = self.seek(SeekFrom::Data(at), at, at)?.unwrap_or(end).min(end);
            if data > at {
                extents.push(Extent::new(at, data - at, ExtentKind::Hole));
                at = data;
                continue;
            }
            let hole = self.seek(SeekFrom::Hole(at), at, end)?.unwrap_or(end).min(end);
            let hole = if hole > at { hole } else { end };
            extents.push(Extent::new(at, hole - at, ExtentKind::Data));
            at = hole;
        }
        // Afterwards, because what lies past the end of a shorter file looks like a hole.
        let now = self.file.metadata().map_err(|error| PluginError::from_io(&self.name, &error))?.len();
        if now < end {
            return Err(self.shrunk(now));
        }
        Ok(extents)
    }

    fn hints(&self) -> Hints {
        Hints::default().with(|it| it.request = 4 << 20)
    }
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::read_exact_at;

    use super::*;

    fn source(write: impl FnOnce(&File)) -> (tempfile::NamedTempFile, FileSource) {
        let file = tempfile::NamedTempFile::new_in(std::env::temp_dir()).unwrap();
        write(file.as_file());
        let opened = File::open(file.path()).unwrap();
        (file, FileSource::new(opened, "disk.raw".into()).unwrap())
    }

    #[test]
    fn reads_and_refuses_past_the_end() {
        let (_file, source) = source(|file| file.write_all_at(b"0123456789", 0).unwrap());
        let mut buffer = [0; 4];
        read_exact_at(&source, 3, &mut buffer).unwrap();
        assert_eq!(&buffer, b"3456");
        assert_eq!(source.read_at(10, &mut []).unwrap(), 0);
        for offset in [7, 10, u64::MAX] {
            let error = source.read_at(offset, &mut buffer).unwrap_err();
            assert!(error.message.contains("past the end of the file, which has 10 bytes"), "{error}");
        }
        assert!(source.extents(u64::MAX, 2).is_err());
    }

    #[test]
    fn holes_are_mapped_exactly() {
        let (_file, source) = source(|file| {
            file.set_len(10 << 20).unwrap();
            file.write_all_at(&[1; 4096], 4 << 20).unwrap();
        });
        let extents = source.extents(1 << 20, 8 << 20).unwrap();
        let mut at = 1 << 20;
        for extent in &extents {
            assert_eq!(extent.offset, at);
            assert!(extent.length > 0);
            at += extent.length;
        }
        assert_eq!(at, 9 << 20);
        let data: u64 = extents.iter().filter(|e| e.kind == ExtentKind::Data).map(|e| e.length).sum();
        assert!((4096..=64 << 10).contains(&data) || data == 8 << 20, "{extents:?}");
    }

    #[test]
    fn a_file_that_shrank_is_an_error_and_never_zeros() {
        let (file, source) = source(|file| file.set_len(1 << 20).unwrap());
        file.as_file().set_len(4096).unwrap();
        let error = source.read_at(8192, &mut [0; 16]).unwrap_err();
        assert!(error.message.starts_with("disk.raw: the file shrank while it was read"), "{error}");
        let error = source.extents(0, 1 << 20).unwrap_err();
        assert!(error.message.contains("the file shrank"), "{error}");
    }
}

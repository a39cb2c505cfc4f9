//! The bytes of a disk on a shelf. Lists and decides nothing.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use vmdk2kvm_plugin_api::{BlockSource, Extent, ExtentKind, Hints, PluginError, Result, Transport};

use crate::catalog::Description;

/// Bytes of a piece.
const PIECE: u64 = 1 << 20;

/// The pieces of a machine's disks.
pub struct Pieces(pub PathBuf);

impl Pieces {
    fn disk(&self, object: &str) -> Result<Disk> {
        // What is not a number of a disk is refused here: an object never becomes a path as it is.
        let size = object
            .parse()
            .ok()
            .and_then(|index: usize| Description::read(&self.0).ok()?.disk_bytes.get(index).copied());
        let size =
            size.ok_or_else(|| PluginError::unusable(format!("{}: there is no disk {object:?}", self.0.display())))?;
        Ok(Disk { folder: self.0.join(format!("disk{object}")), size })
    }
}

impl Transport for Pieces {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        Ok(Box::new(self.disk(object)?))
    }

    fn resolve(&self, from: &str, name: &str) -> Result<String> {
        Err(PluginError::unusable(format!("disk {from} names {name:?}, and disks on a shelf name no others")))
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        let disk = self.disk(object)?;
        let mut print = format!("{} bytes", disk.size);
        for number in 0..disk.size.div_ceil(PIECE) {
            if let Some(piece) = disk.piece(number)? {
                let found = piece.metadata().map_err(|error| disk.failed(number, &error))?;
                print += &format!(", {number}: {} {}.{}", found.len(), found.mtime(), found.mtime_nsec());
            }
        }
        Ok(print)
    }
}

/// A disk.
struct Disk {
    folder: PathBuf,
    size: u64,
}

impl Disk {
    fn failed(&self, number: u64, error: &std::io::Error) -> PluginError {
        PluginError::from_io(self.folder.join(number.to_string()).display(), error)
    }

    /// `None`: it was never written.
    fn piece(&self, number: u64) -> Result<Option<File>> {
        match File::open(self.folder.join(number.to_string())) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(number, &error)),
        }
    }
}

impl BlockSource for Disk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size) {
            return Err(PluginError::unusable(format!("{}: a read past its end", self.folder.display())));
        }
        // Fewer bytes than asked for are allowed: up to the end of the piece.
        let (number, at) = (offset / PIECE, offset % PIECE);
        let length = buffer.len().min((PIECE - at) as usize);
        let buffer = &mut buffer[..length];
        match self.piece(number)? {
            // A piece that is too short is an error, never zeros.
            Some(file) => file.read_exact_at(buffer, at).map_err(|error| self.failed(number, &error))?,
            None => buffer.fill(0),
        }
        Ok(length)
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        let mut extents: Vec<Extent> = Vec::new();
        let (mut at, end) = (offset, offset + length);
        while at < end {
            let next = ((at / PIECE + 1) * PIECE).min(end);
            let kind = if self.piece(at / PIECE)?.is_some() { ExtentKind::Data } else { ExtentKind::Hole };
            match extents.last_mut() {
                Some(last) if last.kind == kind => last.length += next - at,
                _ => extents.push(Extent::new(at, next - at, kind)),
            }
            at = next;
        }
        Ok(extents)
    }

    fn hints(&self) -> Hints {
        Hints::default().with(|hints| {
            hints.alignment = PIECE as u32;
            hints.request = PIECE as u32;
        })
    }
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::{check_map, read_exact_at};

    use super::*;

    /// A disk of 3 MiB and a little, of which the piece in the middle and the last one are written.
    fn shelf() -> (tempfile::TempDir, Box<dyn BlockSource>) {
        let folder = tempfile::tempdir().unwrap();
        let description =
            format!("{{\"memory_mib\": 1, \"cpus\": 1, \"uefi\": false, \"disk_bytes\": [{}]}}", 3 * PIECE + 512);
        std::fs::write(folder.path().join("vm.json"), description).unwrap();
        std::fs::create_dir(folder.path().join("disk0")).unwrap();
        std::fs::write(folder.path().join("disk0/1"), vec![7; PIECE as usize]).unwrap();
        std::fs::write(folder.path().join("disk0/3"), [9; 512]).unwrap();
        let disk = Pieces(folder.path().to_owned()).open("0").unwrap();
        (folder, disk)
    }

    #[test]
    fn what_was_never_written_reads_as_zeros() {
        let (_folder, disk) = shelf();
        let mut bytes = vec![1; disk.size() as usize];
        read_exact_at(&*disk, 0, &mut bytes).unwrap();
        let count = |value: u8| bytes.iter().filter(|byte| **byte == value).count() as u64;
        assert_eq!((count(0), count(7), count(9)), (2 * PIECE, PIECE, 512));
    }

    #[test]
    fn the_map_covers_what_was_asked() {
        let (_folder, disk) = shelf();
        let map = disk.extents(100, disk.size() - 100).unwrap();
        check_map(&map, 100, disk.size() - 100).unwrap();
        assert_eq!(map.len(), 4);
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let (folder, disk) = shelf();
        assert!(disk.read_at(disk.size(), &mut [0]).is_err());
        std::fs::write(folder.path().join("disk0/1"), "short").unwrap();
        assert!(disk.read_at(PIECE + 10, &mut [0]).is_err());
        for object in ["1", "../0", ""] {
            assert!(Pieces(folder.path().to_owned()).open(object).is_err(), "{object}");
        }
    }

    #[test]
    fn the_fingerprint_changes_with_the_disk() {
        let (folder, _) = shelf();
        let print = || Pieces(folder.path().to_owned()).fingerprint("0").unwrap();
        let before = print();
        assert_eq!(before, print());
        std::fs::write(folder.path().join("disk0/0"), [1; 1 << 20]).unwrap();
        assert_ne!(before, print());
    }
}

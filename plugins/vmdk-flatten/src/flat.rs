//! Flat extents (`FLAT`, `VMFS`): the disk's bytes as they are, from an offset of a file.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{ExtentKind, Hints, Result};

use crate::fault::damaged;
use crate::files::File;
use crate::storage::{Absent, Run, RunKind, SECTOR, Storage};

/// The part of a file whose map is asked for at once, in bytes: with a hole at every second page that is 24 MiB.
const WINDOW: u64 = 4 << 30;

/// A range of a file that is a range of the disk.
pub struct FlatStorage {
    file: Arc<File>,
    start: u64,
}

impl FlatStorage {
    /// `length` bytes from byte `start` of `file`; an error when the file is shorter than that.
    pub fn open(file: Arc<File>, start: u64, length: u64) -> Result<Self> {
        if !file.holds(start, length) {
            return Err(damaged(
                file.object(),
                format_args!(
                    "the flat extent is too short: its descriptor puts {length} bytes at offset {start}, and the file has {}",
                    file.size()
                ),
            ));
        }
        Ok(Self { file, start })
    }
}

impl Storage for FlatStorage {
    fn read(&self, offset: u64, buffer: &mut [u8], _absent: &mut Absent) -> Result<()> {
        self.file.read(self.start + offset, buffer)
    }

    fn map(&self, offset: u64, length: u64, visit: &mut dyn FnMut(Run) -> Result<()>) -> Result<()> {
        let end = offset + length;
        let mut at = offset;
        while at < end {
            let part = (end - at).min(WINDOW);
            for extent in self.file.extents(self.start + at, part)? {
                let kind = match extent.kind {
                    ExtentKind::Data => RunKind::Data,
                    ExtentKind::Zero => RunKind::Zero,
                    ExtentKind::Hole => RunKind::Hole,
                };
                visit(Run { offset: extent.offset - self.start, length: extent.length, kind })?;
            }
            at += part;
        }
        Ok(())
    }

    fn unit(&self) -> u64 {
        SECTOR
    }

    fn file_hints(&self) -> Option<Hints> {
        Some(self.file.hints())
    }
}

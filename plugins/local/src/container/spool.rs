//! Unpacked data: what can only be read in order is read once into a file without a name, and from then on at any offset.
//!
//! The file is sparse where the data is zero, is never visible in a folder, and is gone when the process ends, however it ends.
//! Bounded by [`MAX_UNPACKED`] and by the free space of its file system.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use vmdk2kvm_plugin_api::{ErrorKind, Host, PluginError, Result};

use super::reader::fault;
use crate::file_source::FileSource;
use crate::names::shown_path;

/// The most that one file may become when it is unpacked, in bytes: 64 TiB, as VMware's largest disk.
pub const MAX_UNPACKED: u64 = 64 << 40;
/// Zeros are looked for in blocks of this many bytes.
const BLOCK: usize = 64 << 10;
/// Bytes between two looks at the free space.
const LOOK_EVERY: u64 = 256 << 20;
/// Free space that is left to others, in bytes.
const SPARE: u64 = 256 << 20;

/// Makes spool files in one folder.
#[derive(Clone)]
pub struct Spooler {
    folder: PathBuf,
    host: Option<Host>,
}

impl std::fmt::Debug for Spooler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spooler").field("folder", &self.folder).finish()
    }
}

impl Spooler {
    /// Spool files in `folder`; `None`: in `$TMPDIR`, else `/var/tmp`, which is on a disk where `/tmp` may be memory.
    pub fn new(folder: Option<PathBuf>, host: Option<Host>) -> Self {
        let folder = folder
            .or_else(|| std::env::var_os("TMPDIR").map(PathBuf::from).filter(|folder| folder.is_absolute()))
            .unwrap_or_else(|| PathBuf::from("/var/tmp"));
        Self { folder, host }
    }

    /// Reads `stream` to its end. `name` is what is unpacked, `expected` its unpacked size where that is known.
    pub fn spool(&self, name: &str, stream: &mut dyn Read, expected: Option<u64>) -> Result<FileSource> {
        let file = self.create().map_err(|error| self.refused(name, &error))?;
        let mut buffer = vec![0; 1 << 20];
        let (mut at, mut look) = (0_u64, 0_u64);
        loop {
            if let Some(host) = &self.host {
                host.check_cancelled()?;
                host.progress("unpack", at, expected.unwrap_or(0));
            }
            let filled = fill(stream, &mut buffer).map_err(|error| fault(name, error))?;
            if filled == 0 {
                break;
            }
            if at + filled as u64 > expected.unwrap_or(MAX_UNPACKED).min(MAX_UNPACKED) {
                return Err(too_large(name, expected));
            }
            for (number, block) in buffer[..filled].chunks(BLOCK).enumerate() {
                if block.iter().any(|byte| *byte != 0) {
                    if look <= at {
                        self.check_space(name, &file)?;
                        look = at + LOOK_EVERY;
                    }
                    let offset = at + (number * BLOCK) as u64;
                    file.write_all_at(block, offset).map_err(|error| self.refused(name, &error))?;
                }
            }
            at += filled as u64;
        }
        if expected.is_some_and(|expected| expected != at) {
            return Err(PluginError::unusable(format!(
                "{name}: it unpacks to {at} bytes, and {} were announced",
                expected.unwrap_or_default()
            ))
            .hint("copy the file again"));
        }
        file.set_len(at).map_err(|error| self.refused(name, &error))?;
        FileSource::new(file, name.to_owned())
    }

    /// A new file without a name, mode 0600.
    fn create(&self) -> std::io::Result<File> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        match rustix::fs::openat(CWD, &self.folder, flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => Ok(File::from(fd)),
            // File systems that know no nameless files: NFS, some FUSE.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => self.create_and_remove(),
            Err(error) => Err(error.into()),
        }
    }

    fn create_and_remove(&self) -> std::io::Result<File> {
        for number in 0..1000_u32 {
            let path = self.folder.join(format!(".vmdk2kvm-spool-{}-{number}", std::process::id()));
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            match rustix::fs::openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR) {
                Ok(fd) => {
                    std::fs::remove_file(&path)?;
                    return Ok(File::from(fd));
                }
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(std::io::ErrorKind::AlreadyExists.into())
    }

    fn check_space(&self, name: &str, file: &File) -> Result<()> {
        let Ok(found) = rustix::fs::fstatvfs(file) else { return Ok(()) };
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        if free < SPARE + LOOK_EVERY { Err(self.full(name)) } else { Ok(()) }
    }

    fn full(&self, name: &str) -> PluginError {
        PluginError::new(
            ErrorKind::Output,
            format!("{name}: there is no space left in {} to unpack it", shown_path(&self.folder)),
        )
        .hint("name a folder with more space: --set plugin.local.spool_dir=DIR")
    }

    fn refused(&self, name: &str, error: &std::io::Error) -> PluginError {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => self.full(name),
            _ => PluginError::new(
                ErrorKind::Output,
                format!("{name}: it cannot be unpacked into {}: {error}", shown_path(&self.folder)),
            )
            .hint("name another folder with --set plugin.local.spool_dir=DIR"),
        }
    }

    /// Where spool files are made.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn too_large(name: &str, expected: Option<u64>) -> PluginError {
    let what = match expected {
        Some(expected) => format!("{name}: it unpacks to more than the {expected} bytes that were announced"),
        None => format!("{name}: it unpacks to more than {MAX_UNPACKED} bytes, which is the limit"),
    };
    PluginError::unusable(what).hint("copy the file again")
}

/// Fills the buffer as far as the stream goes.
fn fill(stream: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use vmdk2kvm_plugin_api::{BlockSource, read_exact_at};

    use super::*;

    #[test]
    fn what_is_spooled_is_there_sparse_and_nameless() {
        let dir = tempfile::tempdir().unwrap();
        let spooler = Spooler::new(Some(dir.path().to_owned()), None);
        let mut data = vec![0; 8 << 20];
        data[5 << 20] = 9;
        data.extend(b"end");
        for expected in [None, Some(data.len() as u64)] {
            let file = spooler.spool("x", &mut data.as_slice(), expected).unwrap();
            let mut read = vec![1; data.len()];
            read_exact_at(&file, 0, &mut read).unwrap();
            assert!(read == data);
            assert!(file.file().metadata().unwrap().blocks() * 512 < 1 << 20);
        }
        assert_eq!(spooler.create_and_remove().unwrap().metadata().unwrap().nlink(), 0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(spooler.spool("x", &mut [].as_slice(), None).unwrap().size(), 0);
    }

    #[test]
    fn announced_sizes_are_held_to() {
        let spooler = Spooler::new(None, None);
        let message = |expected| spooler.spool("x", &mut [1; 10].as_slice(), Some(expected)).unwrap_err().message;
        assert_eq!(message(9), "x: it unpacks to more than the 9 bytes that were announced");
        assert_eq!(message(11), "x: it unpacks to 10 bytes, and 11 were announced");
        let nowhere = Spooler::new(Some("/dev/null".into()), None).spool("x", &mut [].as_slice(), None).unwrap_err();
        assert_eq!(nowhere.kind, ErrorKind::Output);
        assert!(nowhere.message.starts_with("x: it cannot be unpacked into /dev/null: "), "{nowhere}");
    }
}

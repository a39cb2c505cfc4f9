//! The claim on a device: from when it is opened until it is dropped, nothing else mounts it, adds it to a volume group or an array.

use std::fs::File;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::identity::{folder, identity};

/// Whoever looks at a device that has just appeared has done so by then.
const SETTLES: Duration = Duration::from_secs(10);

/// Every kind of filesystem, volume and partition table has something in the first or in the last so many bytes.
const EDGE: u64 = 1 << 20;

/// A block device.
#[derive(Debug)]
pub struct Device {
    path: PathBuf,
    size: u64,
    identity: String,
}

/// A device that is this run's until this is dropped.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    size: u64,
    file: File,
}

impl Device {
    /// The device of this path; it is not opened.
    pub fn find(path: &Path) -> Result<Self> {
        let name = path.display();
        let found = path.metadata().map_err(|error| {
            PluginError::output(format!("{name} cannot be found: {error}")).hint("name a block device of this machine")
        })?;
        if !found.file_type().is_block_device() {
            return Err(PluginError::output(format!("{name} is not a block device"))
                .hint("name one, or leave --disk-out away: then the image becomes a file in the output folder"));
        }
        let sectors = std::fs::read_to_string(folder(found.rdev()).join("size"));
        let sectors: Option<u64> = sectors.ok().and_then(|text| text.trim().parse().ok());
        let size = sectors.ok_or_else(|| PluginError::output(format!("the kernel tells no size of {name}")))? * 512;
        Ok(Self { path: path.to_owned(), size, identity: identity(found.rdev()) })
    }

    /// Claims it. An error when it is in use: mounted, swapped to, part of a volume group or an array, or locked by a program that runs a
    /// guest on it.
    pub fn claim(&self) -> Result<Claim> {
        let name = self.path.display();
        let failed = |error: std::io::Error| match error.raw_os_error() {
            Some(libc::EBUSY) => PluginError::output(format!(
                "{name} is in use: it, or a part of it, is mounted, is swap, or has a mapping"
            ))
            .hint("`lsblk` shows its user; unmount it, or name another device"),
            _ => PluginError::output(format!("{name} cannot be written: {error}"))
                .hint("name a block device that you may write to"),
        };
        let exclusively = libc::O_EXCL | libc::O_CLOEXEC;
        let file = File::options().read(true).write(true).custom_flags(exclusively).open(&self.path).map_err(failed)?;
        // As systemd.io/BLOCK_DEVICE_LOCKING has it: udev does not look at what is half written.
        let began = Instant::now();
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != Errno::WOULDBLOCK || began.elapsed() > SETTLES {
                return Err(PluginError::output(format!("{name} is locked by another program"))
                    .hint("`lsof` shows it; stop it, or name another device"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        if is_image_of_another(&file) {
            return Err(PluginError::output(format!(
                "{name} is in use: a program has locked it as the image of a guest"
            ))
            .hint("`lsof` shows it; shut the guest down, or name another device"));
        }
        Ok(Claim { path: self.path.clone(), size: self.size, file })
    }

    /// Its path as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What it is, whatever it is called.
    pub fn identity(&self) -> &str {
        &self.identity
    }
}

impl Claim {
    /// Refuses a device that something is stored on.
    pub fn refuse_stored(&self) -> Result<()> {
        let mut edge = vec![0; EDGE.min(self.size) as usize];
        for offset in [0, self.size - edge.len() as u64] {
            let name = self.path.display();
            self.file.read_exact_at(&mut edge, offset).map_err(|error| PluginError::from_io(&name, &error))?;
            if edge.iter().any(|byte| *byte != 0) {
                return Err(PluginError::new(
                    ErrorKind::Output,
                    format!("{name} is not empty: something is stored on it"),
                )
                .hint(format!(
                    "look at it with `wipefs {name}`; if it is no longer needed, allow that with --overwrite"
                )));
            }
        }
        Ok(())
    }
}

/// Whether a program has one of its bytes locked, as hypervisors do with their images.
fn is_image_of_another(file: &File) -> bool {
    use std::os::fd::AsRawFd;
    // SAFETY: a `flock` is numbers alone, and zero is a value of each.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    // All of it, from its start, which 0 means here.
    lock.l_type = libc::F_WRLCK as libc::c_short;
    // SAFETY: the descriptor is open, and the call writes no more than the structure.
    let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &mut lock) };
    asked == 0 && lock.l_type != libc::F_UNLCK as libc::c_short
}

//! Places that several engines share through a folder (`--limit-dir`), where nobody counts licences for them: `KEY.0` to `KEY.n-1`, one file
//! each, under `flock` as long as its VM is read.
//!
//! Where a lock is only kept per machine, the file says whose it is, and its time that the holder still lives: it is touched every ten seconds,
//! and taken for left behind after two minutes, or at once when its process is known to be gone.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use vmdk2kvm_plugin_api::Result;

use crate::journal::{Process, create_private_folder, output_error};
use crate::machine::safe_name;

/// A place whose holder was silent for so long is free.
const STALE: Duration = Duration::from_secs(120);
/// The longest that a holder says of itself, in bytes.
const LONGEST: u64 = 256;

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Places(PathBuf);

/// A held place; it is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    file: File,
}

impl Places {
    /// The places in `folder`, which is made when it is not there.
    pub fn in_folder(folder: &Path) -> Result<Self> {
        create_private_folder(folder)?;
        Ok(Self(folder.to_owned()))
    }

    /// Takes a place of each of these keys, or none at all.
    pub fn take(&self, keys: &[(&str, u32)]) -> Result<Option<Vec<Place>>> {
        let mut held = Vec::new();
        for (key, limit) in keys {
            match self.take_one(key, *limit)? {
                Some(place) => held.push(place),
                None => return Ok(None),
            }
        }
        Ok(Some(held))
    }

    fn take_one(&self, key: &str, limit: u32) -> Result<Option<Place>> {
        for number in 0..limit {
            let path = self.0.join(format!("{}.{number}", safe_name(&key.replace(':', "-"))));
            let failed = |error: &std::io::Error| output_error(path.display(), error);
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let mut file =
                options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(&path).map_err(|error| failed(&error))?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => continue,
                Err(error) => return Err(failed(&error.into())),
            }
            if is_held(&mut file).map_err(|error| failed(&error))? {
                continue;
            }
            let mut place = Place { file };
            place.claim().map_err(|error| failed(&error))?;
            return Ok(Some(place));
        }
        Ok(None)
    }
}

/// Whether somebody has the place although the lock was to be had.
fn is_held(file: &mut File) -> std::io::Result<bool> {
    let mut text = String::new();
    file.rewind()?;
    (&*file).take(LONGEST).read_to_string(&mut text)?;
    if text.is_empty() {
        return Ok(false);
    }
    let age = SystemTime::now().duration_since(file.metadata()?.modified()?).unwrap_or_default();
    let gone = text.trim_end().parse().is_ok_and(|process: Process| process.has_ended());
    Ok(age < STALE && !gone)
}

impl Place {
    fn claim(&mut self) -> std::io::Result<()> {
        let me = Process::of(std::process::id()).map_or_else(|| "?".to_owned(), |process| process.to_string());
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(me.as_bytes())
    }

    /// Says that the holder still lives.
    pub fn touch(&mut self) {
        // One that cannot be told is taken for gone in two minutes: the lock is what counts.
        let _ = self.file.set_modified(SystemTime::now());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_places_as_the_limit_says_and_all_keys_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::in_folder(folder.path()).unwrap();
        let first = places.take(&[("host:a", 2), ("store:x", 1)]).unwrap().unwrap();
        assert!(places.take(&[("host:a", 2), ("store:x", 1)]).unwrap().is_none());
        let second = places.take(&[("host:a", 2)]).unwrap().unwrap();
        assert!(places.take(&[("host:a", 2)]).unwrap().is_none());
        drop((first, second));
        assert_eq!(places.take(&[("host:a", 2), ("store:x", 1)]).unwrap().unwrap().len(), 2);
    }

    #[test]
    fn a_place_without_lock_is_held_as_long_as_its_holder_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::in_folder(folder.path()).unwrap();
        let path = folder.path().join("host-a.0");
        let free = || places.take(&[("host:a", 1)]).unwrap().is_some();
        std::fs::write(&path, "1 2 elsewhere").unwrap();
        assert!(!free());
        let past = SystemTime::now() - STALE - Duration::from_secs(1);
        File::options().write(true).open(&path).unwrap().set_modified(past).unwrap();
        assert!(free());
        let me = Process::of(std::process::id()).unwrap().to_string();
        let (_, rest) = me.split_once(' ').unwrap();
        std::fs::write(&path, &me).unwrap();
        assert!(!free());
        std::fs::write(&path, format!("4194304 {rest}")).unwrap();
        assert!(free(), "that process of this machine has ended");
    }
}

//! One run at a time: the output folder and the work folder are locked by `flock`, which goes with the process, however it ends.
//!
//! The output folder itself is locked, so that no file for it is left behind. In the work folder a file is, which says who holds both. What a run that
//! has lost its lock may still do is decided in `fence`.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::fence::{Fence, Holder};
use super::promote::{create_private_folder, output_error};

/// The file in a work folder that is locked, and that says which process holds it.
pub const LOCK_FILE: &str = "lock";

/// How often an output folder may vanish between its making and its locking, because another run that made it takes it away.
const ATTEMPTS: usize = 10;

/// A held lock.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Makes an output folder if it is not there, and takes its lock. `work` is where another run on it would work.
    pub fn output(folder: &Path, work: &Path) -> Result<Self> {
        let failed = |error: &std::io::Error| output_error(folder.display(), error);
        for _ in 0..ATTEMPTS {
            create_private_folder(folder)?;
            let file = File::open(folder).map_err(|error| failed(&error))?;
            // A network file system may not lock folders at all: the work folder's file is locked all the same.
            if flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
                return Err(busy(folder, work));
            }
            let locked = file.metadata().map_err(|error| failed(&error))?;
            if folder.metadata().is_ok_and(|found| (found.dev(), found.ino()) == (locked.dev(), locked.ino())) {
                return Ok(Self { _file: file });
            }
        }
        Err(PluginError::new(ErrorKind::Temporary, format!("{} is removed again and again", folder.display()))
            .hint("wait until the other run has ended"))
    }

    /// Takes the lock of a work folder, which is there; the fence tells later whether it still holds.
    pub fn work(folder: &Path) -> Result<(Self, Fence)> {
        let path = folder.join(LOCK_FILE);
        let failed = |error: &std::io::Error| output_error(path.display(), error);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(&path)
            .map_err(|error| failed(&error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(busy(folder, folder)),
            Err(error) => {
                return Err(PluginError::output(format!("{} cannot be locked: {error}", path.display()))
                    .hint("name a work folder on a local file system with --work-dir"));
            }
        }
        let fence = Fence::put_up(&path, &mut file).map_err(|error| failed(&error))?;
        Ok((Self { _file: file }, fence))
    }
}

/// The error of the second run.
fn busy(folder: &Path, work: &Path) -> PluginError {
    let who = Holder::read(&work.join(LOCK_FILE)).map_or_else(String::new, |holder| holder.shown());
    PluginError::new(ErrorKind::Temporary, format!("another run{who} is working in {}", folder.display()))
        .hint("wait until it has ended, or use another output folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let (output, work) = (folder.path().join("a/b"), folder.path().join("work"));
        std::fs::create_dir(&work).unwrap();
        let first = (Lock::output(&output, &work).unwrap(), Lock::work(&work).unwrap());
        let me = std::process::id();
        for (error, place) in
            [(Lock::output(&output, &work).unwrap_err(), &output), (Lock::work(&work).unwrap_err(), &work)]
        {
            assert_eq!(error.kind, ErrorKind::Temporary);
            assert_eq!(error.message, format!("another run (process {me}) is working in {}", place.display()));
        }
        let elsewhere = Lock::output(&output, Path::new("/nonexistent")).unwrap_err();
        assert_eq!(elsewhere.message, format!("another run is working in {}", output.display()));
        drop(first);
        Lock::output(&output, &work).unwrap();
        Lock::work(&work).unwrap();
    }

    #[test]
    fn a_run_that_lost_its_lock_finds_out() {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("work");
        let take = || Lock::work(&work).unwrap();
        std::fs::create_dir(&work).unwrap();
        let (lock, stale) = take();
        stale.check().unwrap();
        drop(lock);
        stale.check().unwrap();
        let me = std::process::id();
        let (lock, later) = take();
        later.check().unwrap();
        assert!(later.generation() > stale.generation());
        let error = stale.check().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Temporary);
        assert_eq!(error.message, format!("another run (process {me}) has taken over {}", work.display()));
        // The folder is removed under its holder, and another run makes it anew.
        std::fs::remove_dir_all(&work).unwrap();
        let error = later.check().unwrap_err();
        assert_eq!(error.message, format!("another run has taken over {}", work.display()));
        std::fs::create_dir(&work).unwrap();
        let (_, last) = take();
        drop(lock);
        last.check().unwrap();
        later.check().unwrap_err();
        // A clock that was set back, and a file that somebody has written to.
        std::fs::write(work.join(LOCK_FILE), format!("1 {}\n", u64::MAX - 1)).unwrap();
        last.check().unwrap_err();
        assert_eq!(take().1.generation(), u64::MAX);
        std::fs::write(work.join(LOCK_FILE), "1\n").unwrap();
        last.check().unwrap_err();
        take().1.check().unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_the_outputs_fault() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        for output in [file.clone(), file.join("below")] {
            let error = Lock::output(&output, folder.path()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Output, "{error}");
        }
    }
}

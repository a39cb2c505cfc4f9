//! One run at a time: the output folder and the work folder are locked by `flock`, which goes with the process, however it ends.
//!
//! The output folder itself is locked, so that no file for it is left behind. In the work folder a file is, which says who holds both. What a run that
//! has lost its lock may still do is decided in `fence`; whether a holder is waited for, in `patience`.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::fence::{Fence, Holder};
use super::patience::Patience;
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
    pub fn output(folder: &Path, work: &Path, patience: &mut Patience<'_>) -> Result<Self> {
        let failed = |error: &std::io::Error| output_error(folder.display(), error);
        for _ in 0..ATTEMPTS {
            create_private_folder(folder)?;
            let file = File::open(folder).map_err(|error| failed(&error))?;
            // A network file system may not lock folders at all: the work folder's file is locked all the same.
            while flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
                if !patience.wait(&work.join(LOCK_FILE))? {
                    return Err(busy(folder, work));
                }
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
    pub fn work(folder: &Path, patience: &mut Patience<'_>) -> Result<(Self, Fence)> {
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
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) if patience.wait(&path)? => {}
                Err(Errno::WOULDBLOCK) => return Err(busy(folder, folder)),
                Err(error) => {
                    return Err(PluginError::output(format!("{} cannot be locked: {error}", path.display()))
                        .hint("name a work folder on a local file system with --work-dir"));
                }
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
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::super::process::Process;
    use super::*;

    fn output_lock(folder: &Path, work: &Path) -> Result<Lock> {
        Lock::output(folder, work, &mut Patience::of_a_test())
    }

    fn work_lock(folder: &Path) -> Result<(Lock, Fence)> {
        Lock::work(folder, &mut Patience::of_a_test())
    }

    /// Says of a held work folder that this process started its holder.
    fn say_supervisor(work: &Path, supervisor: &Process) {
        std::fs::write(work.join(LOCK_FILE), format!("77 1 {supervisor}\n")).unwrap();
    }

    #[test]
    fn a_holder_without_supervisor_is_waited_for_and_one_with_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (output, work) = (folder.path().join("out"), folder.path().join("work"));
        std::fs::create_dir(&work).unwrap();
        let held = (output_lock(&output, &work).unwrap(), work_lock(&work).unwrap());
        let mut supervisor = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        say_supervisor(&work, &Process::of(supervisor.id()).unwrap());
        let (said, tries) = (AtomicU32::new(0), AtomicU32::new(0));
        let say = |text: String| {
            assert_eq!(text, "waiting for the end of the run before (process 77), which has lost its supervisor");
            said.fetch_add(1, Ordering::Relaxed);
        };
        let not_cancelled = || {
            tries.fetch_add(1, Ordering::Relaxed);
            false
        };
        let alive = Lock::output(&output, &work, &mut Patience::new(&not_cancelled, &say)).unwrap_err();
        assert_eq!(alive.message, format!("another run (process 77) is working in {}", output.display()));
        assert_eq!((said.load(Ordering::Relaxed), tries.load(Ordering::Relaxed)), (0, 1));

        drop(supervisor.stdin.take());
        supervisor.wait().unwrap();
        // It lets go of one lock after the other, and each only when somebody has tried in vain.
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let mut patience = Patience::new(&not_cancelled, &say);
                Lock::output(&output, &work, &mut patience)
                    .and_then(|lock| Ok((lock, Lock::work(&work, &mut patience)?)))
            });
            let tried = |times| {
                while tries.load(Ordering::Relaxed) < times {
                    std::thread::yield_now();
                }
            };
            tried(3);
            drop(held.0);
            tried(tries.load(Ordering::Relaxed) + 2);
            drop(held.1);
            waiting.join().unwrap().unwrap();
        });
        assert_eq!(said.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn waiting_ends_when_the_user_wants_to_stop() {
        let folder = tempfile::tempdir().unwrap();
        let _held = work_lock(folder.path()).unwrap();
        let mut supervisor = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        say_supervisor(folder.path(), &Process::of(supervisor.id()).unwrap());
        drop(supervisor.stdin.take());
        supervisor.wait().unwrap();
        let stop = AtomicBool::new(false);
        let (cancelled, say) = (|| stop.load(Ordering::Relaxed), |_| stop.store(true, Ordering::Relaxed));
        let error = Lock::work(folder.path(), &mut Patience::new(&cancelled, &say)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Interrupted);
    }

    #[test]
    fn the_second_is_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let (output, work) = (folder.path().join("a/b"), folder.path().join("work"));
        std::fs::create_dir(&work).unwrap();
        let first = (output_lock(&output, &work).unwrap(), work_lock(&work).unwrap());
        let me = std::process::id();
        for (error, place) in
            [(output_lock(&output, &work).unwrap_err(), &output), (work_lock(&work).unwrap_err(), &work)]
        {
            assert_eq!(error.kind, ErrorKind::Temporary);
            assert_eq!(error.message, format!("another run (process {me}) is working in {}", place.display()));
        }
        let elsewhere = output_lock(&output, Path::new("/nonexistent")).unwrap_err();
        assert_eq!(elsewhere.message, format!("another run is working in {}", output.display()));
        drop(first);
        output_lock(&output, &work).unwrap();
        work_lock(&work).unwrap();
    }

    #[test]
    fn a_run_that_lost_its_lock_finds_out() {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("work");
        let take = || work_lock(&work).unwrap();
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
            let error = output_lock(&output, folder.path()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Output, "{error}");
        }
    }
}

//! Generations: how a run finds out that another one has taken over its work folder.
//!
//! A lock by `flock` can be lost without a word: a network file system gives it away when its holder has not answered for a while, some keep no locks between
//! machines at all, and a folder that was removed and made again has another lock. So whoever takes the lock writes a generation into its file, higher than
//! any before, and looks before each change of what matters whether it is still there. A run that slept between the look and the change cannot be
//! stopped by any such number; but it appends to a log that nobody reads any more (see `log`).

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::process::Process;

/// The longest content of a lock file, in bytes.
const LONGEST: u64 = 256;

/// A run's right to a work folder. The default is the right to a folder that nobody else knows, which cannot be lost.
#[derive(Debug, Clone, Default)]
pub struct Fence {
    lock_file: Option<PathBuf>,
    generation: u64,
}

impl Fence {
    /// Takes over: writes this process, a new generation and the supervisor to the lock file, which is open and locked.
    pub(super) fn put_up(lock_file: &Path, file: &mut File) -> std::io::Result<Self> {
        let before = Holder::read(lock_file).map_or(0, |holder| holder.generation);
        // The time too, because a folder that was removed and made again knows of none before.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64);
        let generation = now.max(before.saturating_add(1));
        file.set_len(0)?;
        let supervisor =
            rustix::process::getppid().and_then(|parent| Process::of(parent.as_raw_nonzero().get() as u32));
        let supervisor = supervisor.map_or_else(String::new, |process| format!(" {process}"));
        // One write: whoever reads meanwhile finds all of it, or nothing.
        file.write_all(format!("{} {generation}{supervisor}\n", std::process::id()).as_bytes())?;
        file.sync_data()?;
        Ok(Self { lock_file: Some(lock_file.to_path_buf()), generation })
    }

    /// The number of this run: higher than that of every run before it.
    #[cfg(test)]
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The error of a run that is not the last to have taken the work folder.
    pub fn check(&self) -> Result<()> {
        let Some(lock_file) = &self.lock_file else { return Ok(()) };
        let holder = Holder::read(lock_file);
        if holder.as_ref().is_some_and(|holder| holder.generation == self.generation) {
            return Ok(());
        }
        let who = holder.map_or_else(String::new, |holder| holder.shown());
        let folder = lock_file.parent().unwrap_or(lock_file).display();
        Err(PluginError::new(ErrorKind::Temporary, format!("another run{who} has taken over {folder}"))
            .hint("let that run end; if there is none, run the same command again"))
    }
}

/// What a lock file says.
#[derive(Debug)]
pub(super) struct Holder {
    process: String,
    generation: u64,
    /// The process that started it; one that it does not know of has not ended.
    supervisor: Option<Process>,
}

impl Holder {
    /// What the file at `path` says; `None` when there is none, or when it is just being written.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let file = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path).ok()?;
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).ok()?;
        let (process, rest) = text.trim_end().split_once(' ')?;
        let (generation, supervisor) = rest.split_once(' ').unwrap_or((rest, ""));
        let supervisor = supervisor.parse().ok();
        Some(Self { process: process.to_owned(), generation: generation.parse().ok()?, supervisor })
    }

    /// Whether its supervisor has ended: then it was told to stop, by the kernel, and is on its way out.
    pub(super) fn is_abandoned(&self) -> bool {
        self.supervisor.as_ref().is_some_and(Process::has_ended)
    }

    /// For a message, behind the word "run". A courtesy: the lock, or the generation, has decided.
    pub(super) fn shown(&self) -> String {
        format!(" (process {})", crate::events::escape(&self.process))
    }
}

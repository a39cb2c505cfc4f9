//! How long a lock is waited for: not at all while its holder lives; for a while when the holder is on its way out.
//!
//! A worker ends with its supervisor, but not in the same moment: it goes on to its next safe point. Until then it holds its locks, and the same command,
//! given again at once, would be told of another run that the user knows to be dead. The lock's file names the supervisor, so this is known, not guessed.

use std::path::Path;
use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::{PluginError, Result};

use super::fence::Holder;

/// How long a worker without supervisor is waited for.
const LONGEST: Duration = Duration::from_secs(10);
/// How often the lock is tried meanwhile.
const TICK: Duration = Duration::from_millis(50);

/// The patience of one run, with all its locks.
pub struct Patience<'a> {
    /// Whether the user asked to stop.
    cancelled: &'a dyn Fn() -> bool,
    /// Told once, when the waiting begins.
    say: &'a dyn Fn(String),
    until: Option<Instant>,
}

impl<'a> Patience<'a> {
    /// For a run that can be cancelled, and that says what it waits for.
    pub fn new(cancelled: &'a dyn Fn() -> bool, say: &'a dyn Fn(String)) -> Self {
        Self { cancelled, say, until: None }
    }

    /// That of a run that nobody stops.
    #[cfg(test)]
    pub fn of_a_test() -> Self {
        Self::new(&|| false, &|_| ())
    }

    /// Called when a lock is held by another: waits a little and says `true` when it is worth another try.
    pub(super) fn wait(&mut self, lock_file: &Path) -> Result<bool> {
        if (self.cancelled)() {
            return Err(PluginError::interrupted());
        }
        let holder = Holder::read(lock_file);
        let until = match (self.until, &holder) {
            (_, Some(holder)) if !holder.is_abandoned() => return Ok(false),
            (Some(until), _) => until,
            (None, None) => return Ok(false),
            (None, Some(holder)) => {
                (self.say)(format!(
                    "waiting for the end of the run before{}, which has lost its supervisor",
                    holder.shown()
                ));
                *self.until.insert(Instant::now() + LONGEST)
            }
        };
        if Instant::now() >= until {
            return Ok(false);
        }
        std::thread::sleep(TICK);
        Ok(true)
    }
}

//! A source that is watched: whether it has stopped to answer.
//!
//! A thread that waits for a dead mount or a lost connection cannot be called back. So nobody waits for it: whoever started the copy looks here, reports,
//! and ends the process. Retrying is for the plugin that reads the source.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, Extent, Hints, PluginError, Result};

/// How long a source may take for one answer. Far beyond the time-outs of storage and protocols, which come first and say more.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// When a source last answered.
#[derive(Debug)]
pub struct Watch(Mutex<Calls>);

#[derive(Debug)]
struct Calls {
    under_way: usize,
    /// When a call last ended, or began while none was under way.
    since: Instant,
}

impl Default for Watch {
    fn default() -> Self {
        Self(Mutex::new(Calls { under_way: 0, since: Instant::now() }))
    }
}

impl Watch {
    /// The error to report if the source has owed an answer for longer than `patience`.
    pub fn stalled(&self, patience: Duration) -> Option<PluginError> {
        let calls = self.lock();
        (calls.under_way > 0 && calls.since.elapsed() > patience).then(|| {
            let message = format!("the source has not answered for {} seconds", patience.as_secs());
            PluginError::new(ErrorKind::Temporary, message).hint(
                "look at its storage or its network, and run the command again: it continues where this run stopped",
            )
        })
    }

    fn call<T>(&self, work: impl FnOnce() -> T) -> T {
        {
            let mut calls = self.lock();
            if calls.under_way == 0 {
                calls.since = Instant::now();
            }
            calls.under_way += 1;
        }
        let answer = work();
        let mut calls = self.lock();
        calls.under_way -= 1;
        calls.since = Instant::now();
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A source whose answers are watched.
pub struct Watched {
    source: Arc<dyn BlockSource>,
    watch: Arc<Watch>,
}

impl Watched {
    /// Lets `watch` see what is asked of `source`.
    pub fn new(source: Arc<dyn BlockSource>, watch: Arc<Watch>) -> Self {
        Self { source, watch }
    }
}

impl BlockSource for Watched {
    fn size(&self) -> u64 {
        self.source.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.watch.call(|| self.source.read_at(offset, buffer))
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        self.watch.call(|| self.source.extents(offset, length))
    }

    fn hints(&self) -> Hints {
        self.source.hints()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::super::tests::sources::Odd;
    use super::*;

    #[test]
    fn only_a_source_that_owes_an_answer_is_stalled() {
        let (started, has_started) = channel();
        let (release, released) = channel::<()>();
        let (started, released) = (Mutex::new(started), Mutex::new(released));
        let read = move |_: u64, buffer: &mut [u8]| {
            started.lock().unwrap().send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
            Ok(buffer.len())
        };
        let watch = Arc::new(Watch::default());
        let source = Watched::new(Arc::new(Odd { size: 512, hints: Hints::default(), read }), Arc::clone(&watch));
        assert_eq!(watch.stalled(Duration::ZERO), None);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| source.read_at(0, &mut [0; 512]));
            has_started.recv().unwrap();
            assert_eq!(watch.stalled(PATIENCE), None);
            std::thread::sleep(Duration::from_millis(1));
            let error = watch.stalled(Duration::ZERO).unwrap();
            assert_eq!(error.kind, ErrorKind::Temporary);
            assert_eq!(error.message, "the source has not answered for 0 seconds");
            release.send(()).unwrap();
            reader.join().unwrap().unwrap();
        });
        assert_eq!(watch.stalled(Duration::ZERO), None);
    }
}

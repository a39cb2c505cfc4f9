//! One process at a time changes the host's files.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// Held until it is dropped.
pub struct Lock(#[expect(dead_code, reason = "closing it gives the lock back")] File);

impl Lock {
    /// Waits for it.
    pub fn take(root: &Path) -> Self {
        let file = File::create(root.join("lock")).unwrap();
        flock(&file, FlockOperation::LockExclusive).unwrap();
        Self(file)
    }
}

//! One run at a time in a work folder, by `flock` on a file in it. The lock goes with the process, however it ends.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

/// A held lock.
#[derive(Debug)]
pub struct WorkLock {
    _file: File,
}

impl WorkLock {
    /// Takes the lock of a folder, or says who has it.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join("lock");
        let failed = |error: &std::io::Error| PluginError::from_io(path.display(), error);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(&path)
            .map_err(|error| failed(&error))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            // The holder's number is a courtesy: the lock itself has decided.
            let _ = Read::by_ref(&mut file).take(64).read_to_string(&mut holder);
            let holder = holder.trim();
            let who =
                if holder.is_empty() { String::new() } else { format!(" (process {})", crate::events::escape(holder)) };
            return Err(PluginError::new(
                ErrorKind::Temporary,
                format!("another run{who} is working in {}", folder.display()),
            )
            .hint("wait until it has ended, or use another output folder"));
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(|error| failed(&error))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = WorkLock::take(folder.path()).unwrap();
        let error = WorkLock::take(folder.path()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Temporary);
        let expected =
            format!("another run (process {}) is working in {}", std::process::id(), folder.path().display());
        assert_eq!(error.message, expected);
        drop(first);
        WorkLock::take(folder.path()).unwrap();
    }
}

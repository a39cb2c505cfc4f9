//! The same program, run again: how every other process of a run is started.

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// This program as `word`. What it starts gets `signal` when the thread that started it ends.
pub(crate) fn again(word: &str, signal: Signal) -> Command {
    let parent = rustix::process::getpid();
    let mut command = Command::new("/proc/self/exe");
    command.arg0("vmdk2kvm").arg(word);
    // SAFETY: only two async-signal-safe system calls are made.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(signal))?;
            // The parent may have died before the signal was asked for.
            if getppid() == Some(parent) { Ok(()) } else { Err(std::io::Error::from_raw_os_error(libc::ESRCH)) }
        });
    }
    command
}

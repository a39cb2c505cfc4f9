//! Children that do not outlive us: killed when dropped, and by the kernel when this process dies.

use std::io::{Error, Read, Result};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

/// Of stderr the end is kept: it says what went wrong.
const STDERR_KEPT: usize = 8 << 10;

/// A running child with its standard error.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stderr: Vec<u8>,
}

impl Process {
    /// Starts the command. Must be called from a thread that lives as long as the child is needed: the kernel sends the
    /// parent-death signal when the thread that started the child ends.
    pub fn start(command: &mut Command) -> Result<Self> {
        let parent = getpid();
        command
            // Complaints are told apart by their text.
            .env("LC_ALL", "C")
            .stderr(Stdio::piped())
            // Out of the terminal's foreground group: Ctrl-C reaches us, and we stop the child.
            .process_group(0);
        // SAFETY: between fork and exec only two async-signal-safe system calls are made, and nothing is allocated or locked.
        unsafe {
            command.pre_exec(move || {
                set_parent_process_death_signal(Some(Signal::KILL))?;
                // The parent may have died before the signal was asked for.
                if getppid() == Some(parent) { Ok(()) } else { Err(Error::from_raw_os_error(3)) }
            });
        }
        let child = command.spawn()?;
        if let Some(stderr) = &child.stderr {
            rustix::io::ioctl_fionbio(stderr.as_fd(), true)?;
        }
        Ok(Self { child, stderr: Vec::new() })
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.listen();
        let status = self.child.try_wait().ok().flatten();
        if status.is_some() {
            self.listen();
        }
        status
    }

    /// Its last complaint, without the program's name.
    pub fn complaint(&mut self) -> String {
        self.listen();
        let text = String::from_utf8_lossy(&self.stderr).into_owned();
        let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty() && !line.contains(": warning: "));
        let line = line.unwrap_or_default();
        crate::text::shown(line.split_once(": ").map_or(line, |(_, rest)| rest))
    }

    /// Takes what it has written to standard error, without waiting: a full pipe would stop it.
    fn listen(&mut self) {
        let Some(stderr) = &mut self.child.stderr else { return };
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stderr.read(&mut buffer) {
            self.stderr.extend_from_slice(&buffer[..read]);
            let excess = self.stderr.len().saturating_sub(STDERR_KEPT);
            self.stderr.drain(..excess);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! A child and its complaints.

use std::io::{Read, Result};
use std::os::fd::AsFd;
use std::process::{ChildStderr, Command, ExitStatus, Stdio};

use vmdk2kvm_child::{Child, Tail};

/// Of stderr the end is kept: it says what went wrong.
const STDERR_KEPT: usize = 8 << 10;

/// A running child with its standard error. Dropped, it is gone.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stderr: Option<ChildStderr>,
    said: Tail,
}

impl Process {
    /// Starts the command, from a thread that lives as long as the child is needed.
    pub fn start(command: &mut Command) -> Result<Self> {
        // Complaints are told apart by their text.
        let mut child = Child::start(command.env("LC_ALL", "C").stderr(Stdio::piped()))?;
        let stderr = child.stderr();
        if let Some(stderr) = &stderr {
            rustix::io::ioctl_fionbio(stderr.as_fd(), true)?;
        }
        Ok(Self { child, stderr, said: Tail::new(STDERR_KEPT) })
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.listen();
        let ended = self.child.has_ended().unwrap_or(false);
        let status = if ended { self.child.end().ok() } else { None };
        if status.is_some() {
            self.listen();
        }
        status
    }

    /// Its last complaint, without the program's name.
    pub fn complaint(&mut self) -> String {
        self.listen();
        let said = self.said.text();
        let line = said.lines().rev().map(str::trim).find(|line| !line.is_empty() && !line.contains(": warning: "));
        let line = line.unwrap_or_default();
        vmdk2kvm_boot_evidence::shown(line.split_once(": ").map_or(line, |(_, rest)| rest))
    }

    /// Takes what it has written to standard error, without waiting: a full pipe would stop it.
    fn listen(&mut self) {
        let Some(stderr) = &mut self.stderr else { return };
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stderr.read(&mut buffer) {
            self.said.push(&buffer[..read]);
        }
    }
}

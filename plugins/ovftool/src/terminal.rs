//! A terminal of a program's own: a pseudo-terminal without echo, on which a password is said that stands in no argument.

use std::fs::File;
use std::io::{Result, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Stdio;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

/// Our end of it.
pub struct Terminal {
    ours: File,
    theirs: OwnedFd,
}

impl Terminal {
    /// A new one.
    pub fn open() -> Result<Self> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = ptsname(&ours, Vec::new())?;
        let theirs = rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut modes = tcgetattr(&theirs)?;
        // What is said would come back as if the program had said it.
        modes.local_modes -= LocalModes::ECHO | LocalModes::ECHONL;
        tcsetattr(&theirs, OptionalActions::Now, &modes)?;
        Ok(Self { ours: File::from(ours), theirs })
    }

    /// The program's standard input.
    pub fn input(&self) -> Result<Stdio> {
        Ok(Stdio::from(self.theirs.try_clone()?))
    }

    /// Says a line.
    pub fn say(&mut self, line: &str) -> Result<()> {
        self.ours.write_all(line.as_bytes())?;
        self.ours.write_all(b"\n")
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ours.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_program_reads_what_is_said_and_nothing_comes_back() {
        let mut terminal = Terminal::open().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "test -t 0 && read -r line && printf '<%s>' \"$line\""]);
        let child = command.stdin(terminal.input().unwrap()).stdout(Stdio::piped()).spawn().unwrap();
        terminal.say("secret").unwrap();
        assert_eq!(child.wait_with_output().unwrap().stdout, b"<secret>");
        rustix::io::ioctl_fionbio(&terminal, true).unwrap();
        assert!(rustix::io::read(&terminal, &mut [0; 16]).is_err());
    }
}

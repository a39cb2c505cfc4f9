//! A running qemu: its serial console and its monitor, each a socket pair that nobody else can connect to.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};
use vmdk2kvm_plugin_api::{ErrorKind as Kind, PluginError, Result, tracing};

use crate::process::Process;
use crate::qmp::Qmp;

/// A machine that runs. Dropped, it is gone.
#[derive(Debug)]
pub struct Running {
    process: Process,
    monitor: Qmp,
    console: UnixStream,
}

impl Running {
    /// Starts qemu with these arguments (see [`crate::command::render`]) and waits for its monitor. `stop` is asked while
    /// waiting.
    pub fn start(program: &Path, arguments: &[String], stop: &dyn Fn() -> bool) -> Result<Self> {
        tracing::debug!("{} {}", program.display(), arguments.join(" "));
        let sockets = || UnixStream::pair().map_err(|error| PluginError::from_io("a socket pair", &error));
        let (monitor, monitor_end) = sockets()?;
        let (console, console_end) = sockets()?;
        console.set_nonblocking(true).map_err(|error| PluginError::from_io("the console's socket", &error))?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(OwnedFd::from(monitor_end)).stdout(OwnedFd::from(console_end));
        let mut process = Process::start(&mut command).map_err(|error| not_started(program, &error))?;
        // The ends in the child are copies: with ours closed, the end of qemu is the end of the streams.
        drop(command);
        match Qmp::open(monitor, stop) {
            Ok(monitor) => Ok(Self { process, monitor, console }),
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(PluginError::interrupted()),
            Err(error) => Err(explain(program, &mut process, &error)),
        }
    }

    /// What the serial console said since the last call: 0 bytes when nothing.
    pub fn console(&mut self, buffer: &mut [u8]) -> usize {
        // An error is the end of qemu, which is noticed by its process.
        self.console.read(buffer).unwrap_or_default()
    }

    /// What becomes readable when the console speaks.
    pub fn console_fd(&self) -> BorrowedFd<'_> {
        self.console.as_fd()
    }

    /// The oldest event not seen yet.
    pub fn event(&mut self) -> Option<Value> {
        self.monitor.event().ok().flatten()
    }

    /// Runs a monitor command.
    pub fn call(&mut self, command: &str, arguments: Value, stop: &dyn Fn() -> bool) -> std::io::Result<Value> {
        self.monitor.call(command, arguments, stop)
    }

    /// The guest's ports that are forwarded, each with the port of this machine that leads to it. qemu chose free ones itself.
    pub fn forwarded_ports(&mut self, stop: &dyn Fn() -> bool) -> BTreeMap<u16, u16> {
        let answer = self.call("human-monitor-command", json!({ "command-line": "info usernet" }), stop);
        answer.ok().as_ref().and_then(Value::as_str).map(forwarded_ports).unwrap_or_default()
    }

    /// Whether somebody killed qemu, most likely the kernel for want of memory: of itself it ends otherwise.
    pub fn was_killed(&mut self) -> bool {
        was_killed(&mut self.process)
    }

    /// How and with what words qemu ended by itself, if it did.
    pub fn died(&mut self) -> Option<String> {
        let status = self.process.ended()?;
        let complaint = self.process.complaint();
        Some(if complaint.is_empty() { status.to_string() } else { format!("{complaint} ({status})") })
    }
}

/// `  TCP[HOST_FORWARD]  12  127.0.0.1  37323  10.0.2.15  22  0  0`: the sixth word and the fourth.
fn forwarded_ports(table: &str) -> BTreeMap<u16, u16> {
    let rows = table.lines().filter(|line| line.contains("[HOST_FORWARD]"));
    let pair = |row: &str| {
        let words: Vec<&str> = row.split_whitespace().collect();
        Some((words.get(5)?.parse().ok()?, words.get(3)?.parse().ok()?))
    };
    rows.filter_map(pair).collect()
}

fn was_killed(process: &mut Process) -> bool {
    process.ended().is_some_and(|status| status.signal() == Some(Signal::KILL.as_raw()))
}

/// The error of a machine that somebody killed: says nothing about the guest.
pub fn killed_error() -> PluginError {
    PluginError::new(Kind::Temporary, "qemu was killed while the guest booted")
        .hint("look for an out-of-memory kill (dmesg), and run the same command again")
}

/// The error of a program that could not be started.
pub fn not_started(program: &Path, error: &std::io::Error) -> PluginError {
    let message = if error.kind() == ErrorKind::NotFound {
        format!("the program {} was not found", program.display())
    } else {
        format!("{} cannot be run: {error}", program.display())
    };
    PluginError::missing(message)
        .hint("install the package qemu-system-x86 (qemu-system-x86-core on Fedora, qemu-x86 on SUSE)")
}

/// The error of a qemu that ended before the guest began.
fn explain(program: &Path, process: &mut Process, error: &std::io::Error) -> PluginError {
    const TABLE: [(&str, Kind, &str); 4] = [
        ("lock", Kind::Temporary, "another process writes to the image: stop it and run the same command again"),
        ("memory", Kind::Temporary, "free some memory, or lower the setting memory_mib"),
        (
            "is not a valid device model",
            Kind::Missing,
            "install the package qemu-system-x86 with its modules (on Fedora and SUSE they are packages of their own)",
        ),
        ("Could not open", Kind::Unusable, "check the image with qemu-img check"),
    ];
    // Its sockets close a moment before its status is there.
    let killed = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        process.ended().is_some()
    }) && was_killed(process);
    if killed {
        return killed_error();
    }
    let complaint = process.complaint();
    let what = if complaint.is_empty() { error.to_string() } else { complaint };
    let message = format!("{} did not start the machine: {what}", program.display());
    match TABLE.iter().find(|(words, ..)| what.contains(words)) {
        Some((_, kind, hint)) => PluginError::new(*kind, message).hint(*hint),
        None => PluginError::missing(message).hint("run qemu-system-x86_64 7.0 or newer"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_forwarded_ports_are_found_in_the_table() {
        let table = "Hub -1 (n0):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  \
            TCP[HOST_FORWARD]   3       127.0.0.1 37323     192.168.7.9    22     0     0\r\n  \
            TCP[HOST_FORWARD]   4       127.0.0.1 41001     192.168.7.9  3389     0     0\r\n";
        assert_eq!(super::forwarded_ports(table), [(22, 37323), (3389, 41001)].into());
        assert!(super::forwarded_ports("none").is_empty());
    }
}

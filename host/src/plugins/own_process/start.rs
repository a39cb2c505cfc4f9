//! Starts the process, and tells how it ended.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::process::Signal;
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::PLUGIN_COMMAND;
use crate::worker::again::again;
use crate::worker::crash::{self, Crumb};

/// Longest line of what the process prints, in bytes.
const LINE_LIMIT: u64 = 4096;

/// How a process ended, and where it was when it died.
#[derive(Clone)]
pub(super) struct End {
    pub status: ExitStatus,
    pub crumb: Option<Crumb>,
}

/// Starts the process, with the channel as its standard input and the door for lanes as its standard output. Its end comes on the second value, when all that it had to say has been read.
pub(super) fn start(
    name: &str,
    variables: BTreeMap<String, String>,
    channel_end: UnixStream,
    door_end: UnixStream,
) -> Result<(u32, Receiver<End>)> {
    let (started, has_started) = channel();
    let (ended, end) = channel();
    // The process is told of the death of the thread that started it: this one lives as long as it does.
    let waiting = std::thread::Builder::new().name(format!("plugin-{name}")).spawn(move || {
        let mut child = match spawn(variables, channel_end, door_end) {
            Ok(child) => child,
            Err(error) => return drop(started.send(Err(error))),
        };
        let stderr = child.stderr.take();
        // Nobody to tell is nobody who waits.
        let _ = started.send(Ok(child.id()));
        let crumb = stderr.and_then(pass_on);
        if let Ok(status) = child.wait() {
            let _ = ended.send(End { status, crumb });
        }
    });
    let failed = |error: std::io::Error| PluginError::io(format!("its process cannot be started: {error}"));
    waiting.map_err(failed)?;
    let process = has_started.recv().unwrap_or_else(|_| Err(std::io::Error::other("its thread is gone")));
    Ok((process.map_err(failed)?, end))
}

fn spawn(variables: BTreeMap<String, String>, channel_end: UnixStream, door_end: UnixStream) -> std::io::Result<Child> {
    again(PLUGIN_COMMAND, Signal::KILL)
        .envs(variables)
        .stdin(Stdio::from(OwnedFd::from(channel_end)))
        .stdout(Stdio::from(OwnedFd::from(door_end)))
        .stderr(Stdio::piped())
        .spawn()
}

/// Passes on what the process prints, to where this process prints, and keeps its breadcrumb.
fn pass_on(stderr: impl Read) -> Option<Crumb> {
    let mut reader = BufReader::new(stderr);
    let (mut line, mut found) = (Vec::new(), None);
    while let Ok(1..) = (&mut reader).take(LINE_LIMIT).read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line));
        match crash::parse(&text) {
            Some(crumb) => found = Some(crumb),
            // The log: nobody to read it is nobody to tell.
            None => drop(std::io::stderr().write_all(&line)),
        }
        line.clear();
    }
    found
}

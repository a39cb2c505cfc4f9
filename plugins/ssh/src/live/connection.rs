//! The program `ssh`, running: bytes in, bytes out, and what it said when it ended.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vmdk2kvm_child::Child;
use vmdk2kvm_plugin_api::{Host, PluginError, Result};

use super::address::Address;
use super::refusal::{Said, refusal};

/// So much is read at a time, and so many pieces wait for us.
const PIECE: usize = 64 << 10;
const PIECES: usize = 64;
/// How often it is asked whether to stop.
const TICK: Duration = Duration::from_millis(100);
/// No line that matters is longer, in bytes.
const LINE: u64 = 8 << 10;

/// What is fixed, whatever the user's own configuration says. The rest of it counts: jump hosts, keys, agents, algorithms.
const OPTIONS: [&str; 18] = [
    // Asks nothing: there is nobody to answer.
    "BatchMode=yes",
    // Known or refused, also where the user's configuration is less strict.
    "StrictHostKeyChecking=yes",
    "NoHostAuthenticationForLocalhost=no",
    "UpdateHostKeys=no",
    // It tells the fingerprint of a key that it refuses at this level only.
    "LogLevel=DEBUG1",
    "ConnectTimeout=30",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=4",
    // One connection of our own, which ends with us and that nobody else goes through.
    "ControlMaster=no",
    "ControlPath=none",
    "ControlPersist=no",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
    "EscapeChar=none",
];

/// What came next.
#[derive(Debug)]
pub(super) enum Next {
    Bytes(Vec<u8>),
    /// Nothing within the time.
    Nothing,
    /// The other side is gone.
    End,
}

/// A connection.
pub(super) struct Connection {
    address: Address,
    host: Host,
    child: Child,
    stdin: Option<ChildStdin>,
    pieces: Receiver<Vec<u8>>,
    said: Arc<Mutex<Said>>,
    listener: Option<JoinHandle<()>>,
}

impl Connection {
    /// Starts `ssh` with a command for the other side, which is a text of ours.
    pub fn open(host: &Host, address: &Address, config: Option<&str>, command: &str) -> Result<Self> {
        let mut ssh = Command::new("ssh");
        ssh.arg("-T");
        if let Some(config) = config {
            ssh.args(["-F", config]);
        }
        for option in OPTIONS {
            ssh.args(["-o", option]);
        }
        if let Some(port) = address.port {
            ssh.args(["-p", &port.to_string()]);
        }
        if let Some(user) = &address.user {
            ssh.args(["-l", user]);
        }
        ssh.args(["--", &address.host, command]);
        // A jump host has an `ssh` of its own, which takes no option of ours and would ask at the terminal.
        ssh.env("SSH_ASKPASS_REQUIRE", "force").env("SSH_ASKPASS", "/bin/false");
        ssh.env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Child::start(&mut ssh).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => PluginError::missing("the program ssh is missing")
                .hint("install the package openssh-client (Debian) or openssh-clients (Fedora)"),
            _ => PluginError::from_io("ssh", &error),
        })?;
        let (sender, pieces) = sync_channel(PIECES);
        if let Some(mut stdout) = child.stdout() {
            std::thread::spawn(move || {
                loop {
                    let mut piece = vec![0; PIECE];
                    match stdout.read(&mut piece) {
                        Ok(length) if length > 0 => piece.truncate(length),
                        _ => return,
                    }
                    if sender.send(piece).is_err() {
                        return;
                    }
                }
            });
        }
        let said: Arc<Mutex<Said>> = Arc::default();
        let listener = child.stderr().map(|stderr| {
            let said = Arc::clone(&said);
            std::thread::spawn(move || listen(stderr, &said))
        });
        let stdin = child.stdin();
        Ok(Self { address: address.clone(), host: host.clone(), child, stdin, pieces, said, listener })
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = self.stdin.as_mut().map(|stdin| stdin.write_all(bytes).and_then(|()| stdin.flush()));
        match sent {
            Some(Ok(())) => Ok(()),
            // It is gone, and says why.
            _ => Err(self.lost()),
        }
    }

    /// What comes next within a time.
    pub fn next(&mut self, time: Duration) -> Result<Next> {
        let begin = Instant::now();
        loop {
            self.host.check_cancelled()?;
            match self.pieces.recv_timeout(TICK.min(time)) {
                Ok(piece) => return Ok(Next::Bytes(piece)),
                Err(RecvTimeoutError::Disconnected) => return Ok(Next::End),
                Err(RecvTimeoutError::Timeout) if begin.elapsed() >= time => return Ok(Next::Nothing),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// What was said on standard error until now.
    pub fn said(&self) -> Said {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it, and says why there was none.
    pub fn refusal(&mut self) -> PluginError {
        let status = self.end();
        refusal(&self.address, &self.said(), status)
    }

    /// Ends it, and says that it was lost.
    pub fn lost(&mut self) -> PluginError {
        self.end();
        let said = self.said();
        PluginError::io(format!("{}: the connection was lost: {}", self.address, said.last()))
            .hint("run the same command again: it finds out what was done")
    }

    /// The address, for messages.
    pub fn address(&self) -> &Address {
        &self.address
    }

    fn end(&mut self) -> Option<std::process::ExitStatus> {
        drop(self.stdin.take());
        // By itself it says why it ends; one that hangs is ended.
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(2) && !self.child.has_ended().unwrap_or(true) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let status = self.child.end().ok();
        if let Some(listener) = self.listener.take() {
            // It only ends when its thread panicked, and then nothing was heard.
            let _ = listener.join();
        }
        status
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.end();
    }
}

/// Hears what is said, line by line, until the end.
fn listen(stderr: impl Read, said: &Mutex<Said>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut stderr).take(LINE).read_until(b'\n', &mut line) {
            Ok(length) if length > 0 => {}
            _ => return,
        }
        let text = String::from_utf8_lossy(&line);
        said.lock().unwrap_or_else(PoisonError::into_inner).push(text.trim_end());
    }
}

//! A host as one run uses it: a few connections, which commands borrow, and which are kept alive while nobody does.
//!
//! What may be asked again is asked again on another connection, when one breaks: reading changes nothing. A budget for each host, kept by the program
//! for all processes of this machine, bounds how many commands run at once.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, Host, PluginError, Result};

use super::address::Address;
use super::connection::Connection;
use super::login::Login;
use super::place::Place;
use super::shell::{Ended, Failed, Shell, quote};
use super::trust::Trust;

/// How often what can be read again is tried.
const ATTEMPTS: u32 = 4;
/// How long it is waited before it is, the first time.
const PAUSE: Duration = Duration::from_millis(500);
/// How often connections that rest are kept alive. A host's shell ends what says nothing for ten minutes.
const ALIVE: Duration = Duration::from_secs(60);
/// Bytes of a whole unit of a range.
pub const UNIT: u64 = 1 << 20;
/// Bytes of a sector.
const SECTOR: u64 = 512;
/// Bytes of a block of a small file.
const SMALL: u64 = 64 << 10;

/// How a host is talked to.
#[derive(Debug, Clone)]
pub struct Manner {
    /// A list of known hosts, in place of the user's and the machine's.
    pub known_hosts: Option<PathBuf>,
    /// A private key.
    pub key: Option<String>,
    /// Commands at once, over all processes of this machine.
    pub sessions: u32,
    /// How long a host may say nothing.
    pub patience: Duration,
}

/// What is told of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its size in bytes.
    pub size: u64,
    /// When it was written last, in seconds since 1970, as the host writes it.
    pub modified: String,
}

/// A host.
pub struct Server {
    host: Host,
    /// The host and its user.
    pub address: Address,
    manner: Manner,
    trust: Trust,
    login: Login,
    idle: Arc<Mutex<Vec<Box<dyn Shell>>>>,
    keeper: Mutex<Option<Sender<()>>>,
}

impl Server {
    /// A host of a source. Connects with the first question.
    pub fn new(host: Host, manner: Manner, uri: &str) -> Result<Self> {
        let address = Address::parse(uri)?;
        let trust = Trust::read(&address, manner.known_hosts.as_deref(), uri)?;
        let login = Login::of(&host, manner.key.as_deref())?;
        Ok(Self { host, address, manner, trust, login, idle: Arc::default(), keeper: Mutex::default() })
    }

    /// The host that runs this plugin.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// How many commands at once are of use.
    pub fn sessions(&self) -> u32 {
        self.manner.sessions
    }

    /// Runs `work` on a connection that nobody else uses. One that broke is not used again.
    fn on_one<T>(&self, work: &mut dyn FnMut(&mut dyn Shell) -> Result<T, Failed>) -> Result<T, Failed> {
        let name = format!("esx:{} ssh", self.address.server());
        let _place = self.host.slot(&name, self.manner.sessions).map_err(Failed::Final)?;
        let resting = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut shell: Box<dyn Shell> = match resting {
            Some(shell) => shell,
            None => self.connect()?,
        };
        let done = work(shell.as_mut());
        if !matches!(done, Err(Failed::Lost(_))) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(shell);
        }
        done
    }

    fn connect(&self) -> Result<Box<dyn Shell>, Failed> {
        let opened = Connection::open(&self.host, &self.address, &self.trust, &self.login, self.manner.patience);
        let shell = opened.map_err(|error| {
            // A host that answers at all may be short of places for a moment; one that refuses will refuse again.
            if error.kind == ErrorKind::Io && !error.message.contains("host-ssh-off") {
                Failed::Lost(error)
            } else {
                Failed::Final(error)
            }
        })?;
        self.keep();
        Ok(Box::new(shell))
    }

    /// Keeps connections that rest alive from now on.
    fn keep(&self) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.is_some() {
            return;
        }
        let (stop, stopped) = channel();
        let idle = Arc::downgrade(&self.idle);
        let work = move || {
            while stopped.recv_timeout(ALIVE) == Err(RecvTimeoutError::Timeout) {
                let Some(idle) = idle.upgrade() else { return };
                let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.retain_mut(|shell| shell.keep_alive().is_ok());
            }
        };
        // Without it a connection that rested too long breaks, and another one is made.
        *keeper = std::thread::Builder::new().name("ssh-alive".to_owned()).spawn(work).ok().map(|_| stop);
    }

    /// Runs what can be run again, on another connection where one breaks.
    fn again<T>(&self, work: &mut dyn FnMut(&mut dyn Shell) -> Result<T, Failed>) -> Result<T> {
        let mut attempt = 1;
        loop {
            self.host.check_cancelled()?;
            match self.on_one(work) {
                Ok(done) => return Ok(done),
                Err(Failed::Final(error)) => return Err(error),
                Err(Failed::Lost(error)) if attempt == ATTEMPTS => return Err(error),
                Err(Failed::Lost(_)) => {
                    // Whatever broke this one may have broken those that rest.
                    self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    std::thread::sleep(PAUSE * (1 << (attempt - 1)));
                    attempt += 1;
                }
            }
        }
    }

    /// The output of a command that changes nothing, up to `limit` bytes, and how it ended.
    pub fn ask(&self, command: &str, limit: u64) -> Result<(Vec<u8>, Ended)> {
        self.again(&mut |shell| whole(shell, command, limit))
    }

    /// The same of a command that changes something: it is run once, whatever comes of it.
    pub fn order(&self, command: &str, limit: u64) -> Result<(Vec<u8>, Ended)> {
        self.on_one(&mut |shell| whole(shell, command, limit)).map_err(Failed::error)
    }

    /// What the host tells of a file; `None`: it is not there.
    pub fn look(&self, place: &Place) -> Result<Option<Told>> {
        let (output, ended) = self.ask(&stat(place), 256)?;
        if !ended.is_good() {
            let error = refused(place, &ended);
            return if error.kind == ErrorKind::Unusable { Ok(None) } else { Err(error) };
        }
        told(place, &output).map(Some)
    }

    /// A small file: what the host tells of it, and its beginning up to the limit or a little beyond. `None`: it is not there. It is one command:
    /// each one costs two round trips, and a process of a host that has little memory for them.
    pub fn small(&self, place: &Place, limit: u64) -> Result<Option<(Told, Vec<u8>)>> {
        let count = limit / SMALL + 1;
        let command = format!("{} && dd if={} bs={SMALL} skip=0 count={count}", stat(place), quote(place.path()));
        let read = self.again(&mut |shell| {
            let (mut output, ended) = whole(shell, &command, 256 + count * SMALL)?;
            if !ended.is_good() && refused(place, &ended).kind == ErrorKind::Unusable {
                return Ok(None);
            }
            let line = output.iter().position(|byte| *byte == b'\n').map_or(output.len(), |at| at + 1);
            let bytes = output.split_off(line);
            if output.is_empty() {
                complete(place, 0, 0, &ended)?;
            }
            let told = told(place, &output).map_err(Failed::Final)?;
            complete(place, told.size.min(count * SMALL), bytes.len() as u64, &ended)?;
            Ok(Some((told, bytes)))
        });
        read.map_err(|error| error.context("reading a file of the host"))
    }

    /// All of a small file that has to be there.
    pub fn read(&self, place: &Place, limit: u64) -> Result<Vec<u8>> {
        let (told, bytes) = self.small(place, limit)?.ok_or_else(|| absent(place))?;
        if told.size > limit {
            return Err(too_large(place, told.size, limit));
        }
        Ok(bytes)
    }

    /// Bytes of a file. They begin at a whole unit, and end at one or with the last sector.
    pub fn range(&self, place: &Place, offset: u64, buffer: &mut [u8]) -> Result<()> {
        debug_assert!(offset % UNIT == 0);
        let units = buffer.len() as u64 / UNIT;
        let (body, tail) = buffer.split_at_mut((units * UNIT) as usize);
        if units > 0 {
            self.blocks(place, UNIT, offset / UNIT, units, body)?;
        }
        if !tail.is_empty() {
            let (first, count) = ((offset + units * UNIT) / SECTOR, (tail.len() as u64).div_ceil(SECTOR));
            self.blocks(place, SECTOR, first, count, tail)?;
        }
        Ok(())
    }

    fn blocks(&self, place: &Place, size: u64, first: u64, count: u64, buffer: &mut [u8]) -> Result<()> {
        let command = format!("dd if={} bs={size} skip={first} count={count}", quote(place.path()));
        self.again(&mut |shell| {
            let mut stream = shell.exec(&command)?;
            let mut done = 0;
            while done < buffer.len() {
                match stream.read(&mut buffer[done..])? {
                    0 => break,
                    count => done += count,
                }
            }
            let mut more = [0];
            let over = done == buffer.len() && stream.read(&mut more)? > 0;
            let ended = stream.end()?;
            complete(place, buffer.len() as u64, done as u64 + u64::from(over), &ended)
        })
    }
}

fn stat(place: &Place) -> String {
    format!("stat -L -c '%s %Y %F' {}", quote(place.path()))
}

/// Reads the answer to it.
fn told(place: &Place, answer: &[u8]) -> Result<Told> {
    let text = String::from_utf8_lossy(answer);
    let mut words = text.trim().splitn(3, ' ');
    let size = words.next().and_then(|size| size.parse().ok());
    let (Some(size), Some(modified), Some(kind)) = (size, words.next(), words.next()) else {
        return Err(PluginError::unusable(format!(
            "{place}: the host states no size of it: '{}'",
            escape(text.trim())
        ))
        .hint("this program does not know the host's release; read it by its API: vsphere://"));
    };
    if !kind.starts_with("regular") {
        return Err(PluginError::unusable(format!("{place}: it is a {}, not a file", escape(kind)))
            .hint("raw devices and folders hold no disk that can be read here"));
    }
    Ok(Told { size, modified: modified.to_owned() })
}

/// All that a command writes.
fn whole(shell: &mut dyn Shell, command: &str, limit: u64) -> Result<(Vec<u8>, Ended), Failed> {
    let mut stream = shell.exec(command)?;
    let mut output = Vec::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        match stream.read(&mut piece)? {
            0 => break,
            count => output.extend_from_slice(&piece[..count]),
        }
        if output.len() as u64 > limit {
            let message = format!("the host answers with more than {limit} bytes");
            return Err(Failed::Final(PluginError::unusable(message).hint("run that command on the host by hand")));
        }
    }
    let ended = stream.end()?;
    Ok((output, ended))
}

/// Both must be right: how it ended, and how much came.
fn complete(place: &Place, wanted: u64, came: u64, ended: &Ended) -> Result<(), Failed> {
    if !ended.is_good() {
        let error = refused(place, ended);
        // A read that fails may succeed; what is not there, or not for us, stays so.
        return Err(if error.kind == ErrorKind::Io { Failed::Lost(error) } else { Failed::Final(error) });
    }
    if came == wanted {
        return Ok(());
    }
    let message =
        format!("{place}: {came} bytes came where {wanted} were asked for, and the host says that all went well");
    Err(Failed::Lost(
        PluginError::io(message).hint("make sure that nothing writes to it, then run the same command again"),
    ))
}

/// The error of a small file that is none.
pub fn too_large(place: &Place, size: u64, limit: u64) -> PluginError {
    PluginError::unusable(format!("{place}: it has {size} bytes; the limit is {limit}"))
        .hint("make sure that this is the right file")
}

/// The error of a file that has to be there.
pub fn absent(place: &Place) -> PluginError {
    PluginError::unusable(format!("{place}: it is not there"))
        .hint("it may have been moved meanwhile: run the command again")
}

/// The error of a command on a file that ended badly, by the words that the host's shell has for it.
pub fn refused(place: &Place, ended: &Ended) -> PluginError {
    let reason = ended.reason();
    let has = |words: &str| reason.to_ascii_lowercase().contains(words);
    if has("no such file") {
        return absent(place);
    }
    let why = format!("{place}: {}", escape(&reason));
    if has("resource busy") {
        return PluginError::new(
            ErrorKind::Temporary,
            format!("{place}: a running VM has it locked (Device or resource busy)"),
        )
        .hint("shut the VM down, or allow a snapshot with --snapshot; when it is off, look for what else has it open");
    }
    if has("permission denied") || has("not permitted") {
        return PluginError::new(ErrorKind::Auth, why)
            .hint("log in as root, or as a user with the role of an administrator");
    }
    if ended.status == Some(127) || has("not found") {
        return PluginError::missing(format!("the host lacks a command: {}", escape(&reason)))
            .hint("this program does not know the host's release; read it by its API: vsphere://");
    }
    PluginError::io(why).hint("look at the host's storage (vmkernel.log), then run the same command again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_says_has_its_kind() {
        let place = Place::parse("/vmfs/volumes/ds/a/b").unwrap();
        for (said, status, kind) in [
            ("cat: can't open 'b': No such file or directory", 1, ErrorKind::Unusable),
            ("dd: can't open 'b': Device or resource busy", 1, ErrorKind::Temporary),
            ("cat: can't open 'b': Permission denied", 1, ErrorKind::Auth),
            ("sh: stat: not found", 127, ErrorKind::Missing),
            ("dd: b: Input/output error", 1, ErrorKind::Io),
            ("", 1, ErrorKind::Io),
        ] {
            let error = refused(&place, &Ended { status: Some(status), said: said.to_owned() });
            assert!(error.kind == kind && error.hint.is_some(), "{said}: {error:?}");
        }
    }

    #[test]
    fn a_good_end_without_all_bytes_is_none() {
        let place = Place::parse("/vmfs/volumes/ds/a/b").unwrap();
        let end = |status| Ended { status, said: String::new() };
        assert!(complete(&place, 10, 10, &end(Some(0))).is_ok());
        for (came, status) in [(9, Some(0)), (11, Some(0)), (10, Some(1)), (10, None)] {
            assert!(matches!(complete(&place, 10, came, &end(status)), Err(Failed::Lost(_))), "{came} {status:?}");
        }
    }
}

//! A file of a datastore as a `BlockSource`: one request of a range for each read.
//!
//! No answer is believed before its status, its type and its range were looked at: an error page and a listing of a folder have a length, too. What
//! breaks off is read on from where it broke; what a server has no time for is asked again, less often.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::blocking::Response;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, COOKIE, LAST_MODIFIED, RANGE};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, Hints, Host, PluginError, Result};

use crate::Server;
use crate::gate::LIMIT;

/// The largest range of a request.
const REQUEST: u32 = 8 << 20;
/// How long a read is tried again.
const PATIENCE: Duration = Duration::from_secs(240);
/// The first pause before that, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(15)];

/// A file.
pub struct RemoteFile {
    pub(crate) host: Host,
    pub(crate) server: Arc<Server>,
    /// Path and query.
    pub(crate) place: String,
    /// What messages call it.
    pub(crate) name: String,
    pub(crate) size: u64,
}

/// What is told of a file with every answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its size in bytes.
    pub size: u64,
    /// When it was written last, in the server's own words.
    pub modified: String,
}

/// Why a request brought nothing.
enum Missed {
    /// Asking again may help.
    Again(PluginError),
    /// It does not.
    Final(PluginError),
}

impl RemoteFile {
    /// Asks for the file's size, by its first byte.
    pub fn look(&self) -> Result<Told> {
        self.patiently(&mut || {
            let (answer, told) = self.get(0, 1)?;
            drop(answer);
            Ok(told)
        })
    }

    /// Tries until it is done, it cannot be done, or patience ends.
    fn patiently<T>(&self, work: &mut dyn FnMut() -> Result<T, Missed>) -> Result<T> {
        let (began, mut pause) = (Instant::now(), PAUSES[0]);
        loop {
            self.host.check_cancelled()?;
            match work() {
                Ok(done) => return Ok(done),
                Err(Missed::Final(error)) => return Err(error),
                Err(Missed::Again(error)) if began.elapsed() + pause > PATIENCE => return Err(error),
                Err(Missed::Again(_)) => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(PAUSES[1]);
                }
            }
        }
    }

    /// Asks for a range. The answer's body is that range, or a beginning of it.
    fn get(&self, offset: u64, length: u64) -> Result<(Response, Told), Missed> {
        let session = &self.server.session;
        let cookie = session.cookie();
        let ask = |cookie: &str| {
            let range = format!("bytes={offset}-{}", offset + length - 1);
            let request = session.door().request(Method::GET, &self.place).header(COOKIE, cookie).header(RANGE, range);
            session.door().send(request).map_err(|error| match error.kind {
                ErrorKind::Auth => Missed::Final(error),
                _ => Missed::Again(error.context(&self.name)),
            })
        };
        let mut answer = ask(&cookie)?;
        if answer.status() == 401 {
            session.renew(&cookie).map_err(Missed::Final)?;
            answer = ask(&session.cookie())?;
        }
        let told = self.check(&answer, offset, length)?;
        self.server.gate.answered();
        Ok((answer, told))
    }

    fn check(&self, answer: &Response, offset: u64, length: u64) -> Result<Told, Missed> {
        let (name, server) = (&self.name, self.server.session.server());
        let header = |header| answer.headers().get(header).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let status = answer.status();
        let fails = |kind, why: &str, hint: &str| PluginError::new(kind, format!("{name}: {why}")).hint(hint);
        let is_page = header(CONTENT_TYPE).starts_with("text/html");
        match status.as_u16() {
            206 if is_page => {
                return Err(Missed::Final(fails(
                    ErrorKind::Unusable,
                    "the server gives a page in its place",
                    "look whether the file is there",
                )));
            }
            206 => {}
            429 | 502..=504 => {
                self.server.gate.too_many();
                let why = format!("{server} has too much to do (HTTP {status})");
                return Err(Missed::Again(fails(
                    ErrorKind::Temporary,
                    &why,
                    "run the same command again: it goes on where it was",
                )));
            }
            // The status for a file that a running VM writes to is not documented; of a VM that is off nobody has seen it.
            500 | 423 => {
                let why = format!("{server} cannot read it (HTTP {status}): a VM that runs has it open");
                return Err(Missed::Final(fails(
                    ErrorKind::Temporary,
                    &why,
                    "shut the VM down, or allow a snapshot with --snapshot",
                )));
            }
            401 | 403 => {
                let why = format!("{server} does not let this user read it (HTTP {status})");
                let hint = "the role needs Datastore > Browse and Low level file operations on its datastore (privilege-missing)";
                return Err(Missed::Final(fails(ErrorKind::Auth, &why, hint)));
            }
            404 => {
                return Err(Missed::Final(fails(
                    ErrorKind::Unusable,
                    "it is not there",
                    "it may have been moved meanwhile: run the command again",
                )));
            }
            200 => {
                let why = format!("{server} answers with a whole file where a range was asked for");
                return Err(Missed::Final(PluginError::new(ErrorKind::Cannot, format!("{name}: {why}"))));
            }
            _ => {
                let why = format!("{server} answers with HTTP {status}");
                return Err(Missed::Final(fails(
                    ErrorKind::Io,
                    &why,
                    "the server's log has more (hostd.log, vpxd.log)",
                )));
            }
        }
        let told = range(header(CONTENT_RANGE)).filter(|(first, last, size)| {
            // Less than what was asked for is an answer; more, or something else, is none.
            *first == offset && *last >= offset && *last - offset < length && *last < *size
        });
        let Some((_, _, size)) = told else {
            let why = format!(
                "{server} answers with another range than {offset}+{length}: '{}'",
                escape(header(CONTENT_RANGE))
            );
            return Err(Missed::Final(fails(ErrorKind::Unusable, &why, "look for a proxy in between")));
        };
        Ok(Told { size, modified: header(LAST_MODIFIED).to_owned() })
    }

    fn changed(&self, now: u64) -> PluginError {
        PluginError::unusable(format!(
            "{}: its size changed from {} to {now} bytes while it was read",
            self.name, self.size
        ))
        .hint("make sure that the VM is off, or allow a snapshot with --snapshot, then run again")
    }
}

impl BlockSource for RemoteFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let wanted = buffer.len().min(REQUEST as usize);
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.size);
        if end.is_none() {
            let what =
                format!("{}: {} bytes at offset {offset} lie past its end at {}", self.name, buffer.len(), self.size);
            return Err(PluginError::unusable(what));
        }
        self.patiently(&mut || {
            let _pass = self.server.gate.enter().map_err(Missed::Final)?;
            let (mut answer, told) = self.get(offset, wanted as u64)?;
            if told.size != self.size {
                return Err(Missed::Final(self.changed(told.size)));
            }
            let mut read = 0;
            while read < wanted {
                match answer.read(&mut buffer[read..wanted]) {
                    Ok(0) => break,
                    Ok(count) => read += count,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    // What came before is authentic: TLS has checked it.
                    Err(_) if read > 0 => break,
                    Err(error) => {
                        return Err(Missed::Again(self.server.session.door().broken(&error).context(&self.name)));
                    }
                }
            }
            let nothing = || PluginError::io(format!("{}: an answer at offset {offset} is empty", self.name));
            if read == 0 { Err(Missed::Again(nothing())) } else { Ok(read) }
        })
    }

    fn hints(&self) -> Hints {
        Hints::default().with(|it| {
            it.alignment = 64 << 10;
            it.request = REQUEST;
            it.parallelism = LIMIT;
        })
    }
}

/// First byte, last byte and size of a `Content-Range`.
fn range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?, size.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(range("bytes 0-99/1000"), Some((0, 99, 1000)));
        for wrong in ["", "bytes 0-99/*", "bytes */1000", "0-99/1000", "bytes 5/10", "bytes -1-2/3"] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }
}

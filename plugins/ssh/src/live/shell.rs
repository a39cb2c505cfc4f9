//! One long-lived shell of root on the other side, and what it is asked: a piece of script in, a status and bytes out.
//!
//! Every piece is a text of ours in which names stand quoted ([`quoted`]); it comes on the shell's standard input, so nothing of it is in
//! anybody's command line. The answer ends with a mark that nobody can guess, and the status.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::{ErrorKind, Host, PluginError, Result};

use super::address::Address;
use super::connection::{Connection, Next};

/// What both shells find in their environment, besides what the login left there.
const ENVIRONMENT: &str = "LC_ALL=C LANGUAGE= PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; \
                           export LC_ALL LANGUAGE PATH; umask 077; unset CDPATH ENV BASH_ENV POSIXLY_CORRECT; cd /";
/// Every login shell reads this alike, also one that is no Bourne shell.
const LOGIN: &str = "exec sh -s";
/// What sudo asks with, on a line of its own.
const PROMPT: &str = "vmdk2kvm waits for the password of sudo";
/// What the shell of root begins with.
const ROOT: &str = "vmdk2kvm is root";
/// Banners and what login scripts say, in bytes.
const GREETING: usize = 1 << 20;
/// A guest that says nothing for so long is gone, or waits for something that never comes.
const SILENCE: Duration = Duration::from_secs(120);

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: i32,
    pub bytes: Vec<u8>,
}

impl Answer {
    /// As text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// The shell.
pub(super) struct Shell {
    connection: Mutex<State>,
    address: Address,
}

struct State {
    connection: Connection,
    mark: String,
    /// Why nothing more can be asked.
    broken: Option<PluginError>,
}

impl Shell {
    /// Logs in and becomes root.
    pub fn open(host: &Host, address: &Address, config: Option<&str>) -> Result<Self> {
        let connection = Connection::open(host, address, config, LOGIN)?;
        let mut state = State { connection, mark: mark()?, broken: None };
        state.greet()?;
        let who = state.ask("id -u; command -v sudo || echo none", GREETING, SILENCE)?.text();
        let mut lines = who.lines();
        if lines.next() != Some("0") {
            let has_sudo = lines.next() != Some("none");
            become_root(&mut state, has_sudo, host)?;
        }
        state.ask(ENVIRONMENT, GREETING, SILENCE)?;
        Ok(Self { connection: Mutex::new(state), address: address.clone() })
    }

    /// Asks. More than `limit` bytes of an answer are an error, and so is a silence of two minutes.
    pub fn ask(&self, script: &str, limit: usize) -> Result<Answer> {
        self.ask_patiently(script, limit, SILENCE)
    }

    /// Asks what takes long.
    pub fn ask_patiently(&self, script: &str, limit: usize, silence: Duration) -> Result<Answer> {
        let mut state = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        // Of its own process, so that no piece leaves anything behind for the next. In brackets, so that a piece that is cut off is not run,
        // and never empty, which would be an error of grammar and the end of the shell.
        state.ask(&format!("(:\n{script}\n)"), limit, silence)
    }

    /// The address, for messages.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

impl State {
    /// Waits for the login shell, whatever it says before.
    fn greet(&mut self) -> Result<()> {
        match self.ask(":", GREETING, SILENCE) {
            Ok(_) => Ok(()),
            Err(error) if error.kind == ErrorKind::Io => Err(self.connection.refusal()),
            Err(error) => Err(error),
        }
    }

    fn ask(&mut self, script: &str, limit: usize, silence: Duration) -> Result<Answer> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let whole = format!("{script} </dev/null 2>/dev/null\nprintf '\\n%s %s\\n' {} $?\n", self.mark);
        let answer = self.connection.send(whole.as_bytes()).and_then(|()| self.answer(limit, silence));
        if let Err(error) = &answer {
            self.broken = Some(error.clone());
        }
        answer
    }

    fn answer(&mut self, limit: usize, silence: Duration) -> Result<Answer> {
        let end = format!("\n{} ", self.mark).into_bytes();
        let mut bytes: Vec<u8> = Vec::new();
        loop {
            let before = bytes.len().saturating_sub(end.len());
            match self.connection.next(silence)? {
                Next::Bytes(piece) => bytes.extend_from_slice(&piece),
                Next::Nothing => {
                    let (address, seconds) = (self.connection.address(), silence.as_secs());
                    return Err(PluginError::io(format!("{address}: the guest says nothing for {seconds} s")));
                }
                Next::End => return Err(self.connection.lost()),
            }
            if let Some(at) = find(&bytes[before..], &end).map(|at| at + before) {
                if let Some(status) = self.status(&mut bytes, at + end.len(), silence)? {
                    bytes.truncate(at);
                    return Ok(Answer { status, bytes });
                }
            }
            if bytes.len() > limit.saturating_add(end.len()) {
                let address = self.connection.address();
                return Err(PluginError::unusable(format!("{address}: an answer of more than {limit} bytes came")));
            }
        }
    }

    /// The number behind the mark, which may not have come yet.
    fn status(&mut self, bytes: &mut Vec<u8>, from: usize, silence: Duration) -> Result<Option<i32>> {
        while !bytes[from..].contains(&b'\n') {
            match self.connection.next(silence)? {
                Next::Bytes(piece) => bytes.extend_from_slice(&piece),
                Next::Nothing | Next::End => return Err(self.connection.lost()),
            }
        }
        let number = bytes[from..].split(|byte| *byte == b'\n').next().unwrap_or_default();
        Ok(std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()))
    }
}

/// Puts a shell of root in the place of the login's. A password is sent when it is asked for and at no other time: sent to a sudo that
/// wants none, it would be a command of the shell.
fn become_root(state: &mut State, has_sudo: bool, host: &Host) -> Result<()> {
    let address = state.connection.address().clone();
    let auth = |message: String| PluginError::new(ErrorKind::Auth, format!("{address}: {message}"));
    if !has_sudo {
        return Err(
            auth("the user is not root, and the guest has no sudo".to_owned()).hint("log in as root: ssh://root@HOST")
        );
    }
    let sudo = format!("exec sudo -S -p '{PROMPT}\n' -- sh -c 'echo; echo \"{ROOT}\"; exec sh -s'\n");
    state.connection.send(sudo.as_bytes())?;
    let (begin, mut heard, mut is_asked) = (Instant::now(), Vec::new(), false);
    let ready = format!("\n{ROOT}\n").into_bytes();
    loop {
        match state.connection.next(Duration::from_millis(20))? {
            Next::Bytes(piece) => heard.extend_from_slice(&piece),
            Next::Nothing => {}
            Next::End => {
                // Ending it, all that it said is heard.
                let _ = state.connection.refusal();
                return Err(refused(&auth, &state.connection.said(), is_asked));
            }
        }
        if find(&heard, &ready).is_some() {
            return Ok(());
        }
        let said = state.connection.said();
        let asked = said.lines.iter().filter(|line| line.contains(PROMPT)).count();
        if asked > 1 || (is_asked && said.has("try again")) {
            return Err(auth("sudo did not take the password".to_owned())
                .hint("give the password of the user who logs in, in the file of --password-file or in [secrets]"));
        }
        if asked == 1 && !is_asked {
            is_asked = true;
            let password = host.secret("password")?.ok_or_else(|| {
                auth("sudo wants a password, and none was given".to_owned())
                    .hint("give it with --password-file or in [secrets.password], or log in as root")
            })?;
            if password.contains(['\n', '\r', '\0']) {
                return Err(PluginError::config("the password has more than one line"));
            }
            state.connection.send(format!("{password}\n").as_bytes())?;
        }
        if begin.elapsed() > SILENCE || heard.len() > GREETING {
            return Err(auth(format!("sudo asks for something else than a password: {}", said.last()))
                .hint("log in as root, or let the user run sudo with a password or without one"));
        }
    }
}

/// Why sudo ended.
fn refused(auth: &dyn Fn(String) -> PluginError, said: &super::refusal::Said, was_asked: bool) -> PluginError {
    if said.has("must have a tty") {
        return auth("sudo wants a terminal (requiretty), and on one bytes would be changed".to_owned())
            .hint("log in as root, or write `Defaults:USER !requiretty` into a file of /etc/sudoers.d");
    }
    let own: Vec<&String> = said.lines.iter().filter(|line| !line.contains(PROMPT)).collect();
    let last = own.last().map_or("it says nothing", |line| line.as_str());
    let what = if was_asked { "sudo did not take the password" } else { "sudo does not let the user be root" };
    auth(format!("{what}: {last}")).hint("log in as root, or let the user run sh with sudo")
}

/// A text as one word of a shell.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// `set -- 'a' 'b'`: the words as the parameters of what follows.
pub(super) fn parameters<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<String> {
    let mut text = "set --".to_owned();
    for word in words {
        if word.contains('\0') {
            return Err(PluginError::unusable(format!("\"{}\" names no file of the guest", word.escape_debug())));
        }
        text.push(' ');
        text.push_str(&quoted(word));
    }
    text.push('\n');
    Ok(text)
}

/// Where the bytes of `part` are.
pub(super) fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// A word that nobody can guess.
fn mark() -> Result<String> {
    let mut bytes = [0; 16];
    let failed = |error| PluginError::from_io("/dev/urandom", &error);
    let mut source = std::fs::File::open("/dev/urandom").map_err(failed)?;
    std::io::Read::read_exact(&mut source, &mut bytes).map_err(failed)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_words_whatever_is_in_them() {
        let words = ["/a b", "it's", "$(x)`y`\\", "-n", "line\nfeed", "*", ""];
        let script = format!("{}for word do printf '%s\\0' \"$word\"; done", parameters(words).unwrap());
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), words.map(|word| format!("{word}\0")).concat());
        assert!(parameters(["a\0b"]).is_err());
    }

    #[test]
    fn parts_are_found() {
        assert_eq!((find(b"abcabd", b"abd"), find(b"ab", b"abc"), find(b"", b"a")), (Some(3), None, None));
    }
}

//! The program: where it is, and a run of it.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vmdk2kvm_child::Child;
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, Host, PluginError, Result};

use crate::output::{Output, Question};
use crate::terminal::Terminal;

/// How often it is looked whether the run was stopped.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// How long the program may say nothing, in seconds, unless told: it opens a VM's disks at the server meanwhile.
const PATIENCE: u64 = 600;
/// So much is read at a time.
const PIECE: usize = 16 << 10;

/// What the setting means.
pub fn patience(seconds: Option<u64>) -> Result<Duration> {
    let seconds = seconds.unwrap_or(PATIENCE);
    if (1..=86_400).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err(PluginError::config(format!("plugin.ovftool.patience is {seconds}, not a number of seconds from 1 to 86400"))
        .hint("600 suits a server that is busy"))
}

/// The program on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program(PathBuf);

/// Who the program says that it is.
pub struct Person {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

impl Program {
    /// The one of the setting, or the one that a folder of `PATH` has.
    pub fn find(named: Option<&str>) -> Result<Self> {
        if let Some(named) = named {
            let file = PathBuf::from(named);
            if file.is_absolute() && can_run(&file) {
                return Ok(Self(file));
            }
            let message = format!("'{}' cannot be run: it must be the whole path of a program", escape(named));
            return Err(PluginError::config(message)
                .hint("name the program ovftool in the setting `program`, or leave that out"));
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).map(|folder| folder.join("ovftool")).find(|file| can_run(file));
        found.map(Self).ok_or_else(|| {
            PluginError::missing("the program ovftool is not on this machine")
                .hint("take another way (leave --transport out), or install ovftool from Broadcom and name it by plugin.ovftool.program")
        })
    }

    /// Runs it to its end. `person` answers its questions; without one it gets none. `progress` is told the percentage.
    pub fn run(
        &self,
        host: &Host,
        arguments: &[String],
        person: Option<&Person>,
        patience: Duration,
        progress: &mut dyn FnMut(u8),
    ) -> Result<Output> {
        let broke = |error: std::io::Error| PluginError::io(format!("{}: {error}", self.0.display()));
        let mut terminal = person.map(|_| Terminal::open()).transpose().map_err(broke)?;
        let mut command = Command::new(&self.0);
        command.args(arguments).env_clear().envs(environment()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(match &terminal {
            Some(terminal) => terminal.input().map_err(broke)?,
            None => Stdio::null(),
        });
        let started = match &terminal {
            Some(_) => Child::start_on_terminal(&mut command),
            None => Child::start(&mut command),
        };
        let mut child = started.map_err(|error| {
            PluginError::missing(format!("{} cannot be started: {error}", self.0.display()))
                .hint("install ovftool again, or name it by plugin.ovftool.program")
        })?;
        drop(command);
        let (mut said, mut complained) = (child.stdout(), child.stderr());
        let streams =
            [said.as_ref().map(AsFd::as_fd), complained.as_ref().map(AsFd::as_fd), terminal.as_ref().map(AsFd::as_fd)];
        for stream in streams.into_iter().flatten() {
            rustix::io::ioctl_fionbio(stream, true).map_err(|error| broke(error.into()))?;
        }
        let (mut output, mut aside, mut last) = (Output::default(), Output::default(), Instant::now());
        let mut shown = None;
        let mut answers = Answers::default();
        loop {
            let ended = child.has_ended().map_err(broke)?;
            host.check_cancelled()?;
            let mut heard = take(&mut said, &mut output) | take(&mut complained, &mut aside);
            if let Some(terminal) = &mut terminal {
                heard |= take_from(terminal, &mut aside);
                for question in [output.question(), aside.question()].into_iter().flatten() {
                    // A person is there whenever a terminal is.
                    let Some(person) = person else { continue };
                    terminal.say(answers.to(question, person)?).map_err(broke)?;
                }
            }
            if output.percent != shown {
                shown = output.percent;
                shown.into_iter().for_each(&mut *progress);
            }
            if heard {
                last = Instant::now();
                continue;
            }
            if ended {
                break;
            }
            if last.elapsed() > patience {
                let message = format!("ovftool has said nothing for {} s, and was ended", patience.as_secs());
                return Err(PluginError::new(ErrorKind::Temporary, message)
                    .hint("run the same command again, or give it more time by plugin.ovftool.patience"));
            }
            wait(&[
                said.as_ref().map(AsFd::as_fd),
                complained.as_ref().map(AsFd::as_fd),
                terminal.as_ref().map(AsFd::as_fd),
            ]);
        }
        let status = child.end().map_err(broke)?;
        output.hear(b"\n");
        aside.hear(b"\n");
        output.errors.append(&mut aside.errors);
        output.warnings.append(&mut aside.warnings);
        judge(status.code(), output)
    }
}

/// Success is the program's status and its own word for it: it ends with 0 after an error, too.
fn judge(status: Option<i32>, output: Output) -> Result<Output> {
    if status == Some(0) && output.result == Some(true) && output.errors.is_empty() {
        return Ok(output);
    }
    let ended = status.map_or_else(|| "it was killed".to_owned(), |status| format!("it ended with status {status}"));
    let why = if output.errors.is_empty() { ended } else { output.errors.join("; ") };
    let text = why.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let message = format!("ovftool did not export the VM: {why}");
    if has(&["certificate", "thumbprint"]) {
        return Err(PluginError::new(ErrorKind::Auth, message)
            .hint("pin the server's certificate by ?thumbprint= in the source; ovftool gets the digest of the very certificate that was believed"));
    }
    if has(&["login", "password", "authenticat", "permission", "privilege"]) {
        return Err(
            PluginError::new(ErrorKind::Auth, message).hint("the user needs the privilege vApp > Export on the VM")
        );
    }
    Err(PluginError::io(message)
        .hint("run the same command again: disks that are whole are kept; ovftool keeps nothing of one that broke"))
}

/// What it was told, and how often.
#[derive(Default)]
struct Answers {
    passwords: u32,
}

impl Answers {
    fn to<'a>(&mut self, question: Question, person: &'a Person) -> Result<&'a str> {
        if question == Question::User {
            return Ok(&person.user);
        }
        self.passwords += 1;
        // It asks again when one is wrong, until there are no more.
        if self.passwords > 1 {
            let message =
                format!("the server does not let {} in: ovftool asks for the password again", escape(&person.user));
            return Err(PluginError::new(ErrorKind::Auth, message).hint("look at the file of --password-file"));
        }
        Ok(&person.password)
    }
}

/// What it finds itself and its libraries by; nothing else of ours is its business.
fn environment() -> Vec<(&'static str, std::ffi::OsString)> {
    let kept = ["PATH", "HOME", "TMPDIR"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    kept.chain([("LC_ALL", "C.UTF-8".into())]).collect()
}

fn take(stream: &mut Option<impl Read>, output: &mut Output) -> bool {
    let mut buffer = [0; PIECE];
    match stream.as_mut().map(|stream| stream.read(&mut buffer)) {
        Some(Ok(0)) => {
            *stream = None;
            false
        }
        Some(Ok(read)) => {
            output.hear(&buffer[..read]);
            true
        }
        Some(Err(_)) | None => false,
    }
}

fn take_from(terminal: &Terminal, output: &mut Output) -> bool {
    let mut buffer = [0; PIECE];
    match rustix::io::read(terminal, &mut buffer) {
        Ok(read) if read > 0 => {
            output.hear(&buffer[..read]);
            true
        }
        _ => false,
    }
}

fn wait(streams: &[Option<std::os::fd::BorrowedFd<'_>>]) {
    let mut polled: Vec<_> =
        streams.iter().flatten().map(|stream| PollFd::from_borrowed_fd(*stream, PollFlags::IN)).collect();
    if polled.is_empty() {
        std::thread::sleep(Duration::from_millis(50));
    } else {
        let _ = poll(&mut polled, Some(&TICK));
    }
}

fn can_run(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(result: Option<bool>, errors: &[&str]) -> Output {
        let mut output = Output::default();
        output.result = result;
        output.errors = errors.iter().map(|it| (*it).to_owned()).collect();
        output
    }

    #[test]
    fn all_signs_of_success_are_asked_for() {
        assert!(judge(Some(0), output(Some(true), &[])).is_ok());
        for (status, result, errors, kind, why) in [
            (Some(0), Some(false), &[][..], ErrorKind::Io, "it ended with status 0"),
            (Some(0), None, &[], ErrorKind::Io, "it ended with status 0"),
            (Some(1), Some(true), &[], ErrorKind::Io, "it ended with status 1"),
            (None, Some(true), &[], ErrorKind::Io, "it was killed"),
            (Some(0), Some(true), &["Disk gone"], ErrorKind::Io, "Disk gone"),
            (Some(1), Some(false), &["SSL thumbprint mismatch"], ErrorKind::Auth, "SSL thumbprint mismatch"),
            (Some(1), Some(false), &["Failed to login"], ErrorKind::Auth, "Failed to login"),
        ] {
            let error = judge(status, output(result, errors)).unwrap_err();
            assert_eq!((error.kind, error.message), (kind, format!("ovftool did not export the VM: {why}")));
        }
    }

    #[test]
    fn a_password_is_said_once() {
        let person = Person { user: "root".to_owned(), password: "secret".to_owned() };
        let mut answers = Answers::default();
        assert_eq!(answers.to(Question::User, &person).unwrap(), "root");
        assert_eq!(answers.to(Question::Password, &person).unwrap(), "secret");
        let error = answers.to(Question::Password, &person).unwrap_err();
        assert!(error.kind == ErrorKind::Auth && !error.message.contains("secret"), "{error}");
    }

    #[test]
    fn a_program_is_named_by_its_whole_path() {
        assert_eq!(Program::find(Some("/bin/sh")).unwrap(), Program("/bin/sh".into()));
        for wrong in ["ovftool", "/bin", "/nosuch/ovftool", "/etc/passwd"] {
            assert_eq!(Program::find(Some(wrong)).unwrap_err().kind, ErrorKind::Config, "{wrong}");
        }
        assert!(patience(Some(0)).is_err() && patience(None).unwrap() == Duration::from_secs(PATIENCE));
    }
}

//! The program: where it is, and a run of it.

use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use vmdk2kvm_child::{Failure, Limits, Stream, run};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, Host, PluginError, Result};
use vmdk2kvm_vsphere::session::Failed;

use crate::answer;
use crate::login::Credentials;

/// The most that is kept of what it says on standard error, in bytes.
const COMPLAINT: usize = 256 << 10;
/// How long an answer may take, with thousands of VMs in it.
const ANSWER: Duration = Duration::from_secs(600);
/// How long an order of a run that was stopped may go on: a task that began goes on at the server, whoever is killed here.
const GIVEN_UP: Duration = Duration::from_secs(60);

/// How long a run may take, and whom it listens to.
#[derive(Clone, Copy)]
pub enum Patience<'a> {
    /// A question: stopped at once with the run.
    Question(&'a Host),
    /// An order: it gets time to end when the run is stopped.
    Order(&'a Host),
    /// What gives back, whatever happens to the run.
    Whatever(Duration),
}

/// govc on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program(PathBuf);

impl Program {
    /// The one that a folder of `PATH` has.
    pub fn on_path() -> Option<Self> {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join("govc")).find(|file| can_run(file)).map(Self)
    }

    /// The one at a path.
    pub fn named(path: &str) -> Result<Self> {
        let file = PathBuf::from(path);
        if file.is_absolute() && can_run(&file) {
            return Ok(Self(file));
        }
        let message = format!("'{}' cannot be run: it must be the whole path of a program", escape(path));
        Err(PluginError::config(message).hint("name the program govc in the setting `program`, or leave that out"))
    }

    /// Runs a command to its end. What it prints is given to `hear` as it comes.
    pub fn run(
        &self,
        credentials: &Credentials,
        arguments: &[&str],
        patience: Patience<'_>,
        hear: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<(), Failed> {
        let mut command = Command::new(&self.0);
        command.args(arguments).env_clear().envs(credentials.environment()).current_dir(credentials.working_folder());
        let (host, time) = match patience {
            Patience::Question(host) => (Some(host), Some(ANSWER)),
            Patience::Order(host) => (Some(host), None),
            Patience::Whatever(time) => (None, Some(time)),
        };
        let refused: RefCell<Option<PluginError>> = RefCell::default();
        let stopped: RefCell<Option<Instant>> = RefCell::default();
        let stop = || {
            if refused.borrow().is_some() {
                return true;
            }
            if !host.is_some_and(Host::cancelled) {
                return false;
            }
            let since = *stopped.borrow_mut().get_or_insert_with(Instant::now);
            !matches!(patience, Patience::Order(_)) || since.elapsed() > GIVEN_UP
        };
        let mut complaint = Vec::new();
        let ended = run(&mut command, &Limits { time, stop: &stop }, |stream, bytes| match stream {
            Stream::Output if refused.borrow().is_none() => *refused.borrow_mut() = hear(bytes).err(),
            Stream::Output => {}
            Stream::Error => complaint.extend_from_slice(&bytes[..bytes.len().min(COMPLAINT - complaint.len())]),
        });
        if let Some(error) = refused.into_inner() {
            return Err(Failed::Unheard(error));
        }
        let ended = ended.map_err(|failure| Failed::Unheard(self.broke(failure)))?;
        if !ended.status.success() {
            return Err(answer::failure(&String::from_utf8_lossy(&complaint)));
        }
        // An order that ended well although the run was stopped has been carried out: that is looked for.
        if stopped.into_inner().is_some() { Err(Failed::Unheard(PluginError::interrupted())) } else { Ok(()) }
    }

    fn broke(&self, failure: Failure) -> PluginError {
        let program = self.0.display().to_string();
        let program = escape(&program);
        match failure {
            Failure::Start(error) => PluginError::missing(format!("{program} cannot be started: {error}"))
                .hint("install govc again, or leave it out with --set plugins.fetcher=vsphere-soap"),
            Failure::Streams(error) => PluginError::io(format!("{program} cannot be listened to: {error}")),
            Failure::Stopped => PluginError::interrupted(),
            Failure::Late(time) => {
                PluginError::new(ErrorKind::Temporary, format!("{program} has not ended after {} s", time.as_secs()))
                    .hint("run the same command again")
            }
        }
    }
}

fn can_run(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_named_by_its_whole_path() {
        assert_eq!(Program::named("/bin/sh").unwrap(), Program("/bin/sh".into()));
        for wrong in ["govc", "/bin", "/nosuch/govc", "/etc/passwd"] {
            let error = Program::named(wrong).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Config, "{wrong}");
            assert_eq!(error.message, format!("'{wrong}' cannot be run: it must be the whole path of a program"));
        }
    }
}

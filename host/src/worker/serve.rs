//! The worker's side: reads what to do, does it, says what happens, answers.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_plugin_api::{ErrorKind, PluginError};

use super::contain::contain;
use super::message::{Answer, Failure, Message, Work};
use super::territory::Territory;
use super::{crash, signals};
use crate::config::ContainmentMode;
use crate::events::{Event, EventSink, LogLevel, Reporter};
use crate::pipeline;
use crate::plugins::{self, SecretStore, Services};

/// Does the work that stands on standard input, with `private` as its private folder. Returns the exit code.
pub fn serve(private: &Path) -> u8 {
    let Ok(out) = take_stdout() else { return ErrorKind::Defect.exit_code() };
    let cancel = signals::install();
    crash::install();
    let out = Arc::new(Mutex::new(out));
    let events = EventSink::new(vec![Box::new(ToSupervisor(Arc::clone(&out)))]);
    let answer = Answer::from(read_work().map_err(Failure::from).and_then(|work| match work {
        Work::Run(job) => {
            let source = pipeline::job_source(&job)?;
            let territory = Territory::of_job(&job, source.as_ref(), private);
            let containment = contain(job.settings.containment.mode, &territory)?;
            let contained = containment.contained;
            let secrets = SecretStore::of_job(&job);
            let services = Services::new(events, cancel, secrets, job.settings.log.level);
            pipeline::run(&job, &services, private, containment).map_err(|failure| explain(failure, contained))
        }
        Work::Check(request) => {
            contain(ContainmentMode::Auto, &Territory::of_check(&request, private))?;
            let services = Services::new(events, cancel, SecretStore::default(), LogLevel::Off);
            plugins::check(&request, &services, private)
        }
    }));
    // The supervisor does the same: whichever of the two lives longer.
    let _ = std::fs::remove_dir_all(private);
    let code = answer.error.as_ref().map_or(0, |error| error.code);
    say(&out, &Message::Answer(Box::new(answer)));
    code
}

/// A permission that is missing may be ours to give, where it is one for a file of this machine and not a server's.
fn explain(mut failure: Failure, contained: bool) -> Failure {
    if contained && failure.error.kind == ErrorKind::Auth && names_a_file(&failure.error.message) {
        let ours = "if it is a folder that the job does not name, add it to containment.folders";
        let hint = failure.error.hint.take().map_or_else(|| ours.to_owned(), |hint| format!("{hint}; {ours}"));
        failure.error.hint = Some(hint);
    }
    failure
}

/// Whether a message is about a file or folder of this machine: `what: /its/path: why`. Who may not read it may still look whether it is there.
fn names_a_file(message: &str) -> bool {
    let parts = message.split(": ").map(|part| part.trim_matches(['\'', '`', '"']));
    parts.filter(|part| part.starts_with('/')).any(|part| Path::new(part).try_exists().unwrap_or(true))
}

/// Keeps standard output for messages; what anything else prints goes to standard error, which is the log.
fn take_stdout() -> std::io::Result<File> {
    let messages: OwnedFd = rustix::io::fcntl_dupfd_cloexec(std::io::stdout().as_fd(), 3)?;
    rustix::stdio::dup2_stdout(std::io::stderr().as_fd())?;
    Ok(File::from(messages))
}

fn read_work() -> Result<Work, PluginError> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| PluginError::from_io("the job", &error))?;
    serde_json::from_str(&text).map_err(|error| PluginError::defect(format!("the job cannot be read: {error}")))
}

struct ToSupervisor(Arc<Mutex<File>>);

impl Reporter for ToSupervisor {
    fn event(&mut self, event: &Event) {
        say(&self.0, &Message::Event(event.clone()));
    }
}

fn say(out: &Mutex<File>, message: &Message) {
    let Ok(mut line) = serde_json::to_vec(message) else { return };
    line.push(b'\n');
    // A supervisor that is gone cannot be told anything; its end has set the cancel flag already.
    let _ = out.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_permission_may_be_ours_to_give() {
        let hint = |kind, message: &str, contained| {
            let error = PluginError::new(kind, message).hint("become its owner");
            explain(Failure::from(error), contained).error.hint.unwrap_or_default()
        };
        let ours = "become its owner; if it is a folder that the job does not name, add it to containment.folders";
        let (file, told) = ("/etc/shadow: no permission to read it", "become its owner");
        assert_eq!(hint(ErrorKind::Auth, file, true), ours);
        assert_eq!(hint(ErrorKind::Auth, "opening it: '/etc/shadow': Permission denied", true), ours);
        assert_eq!(hint(ErrorKind::Auth, file, false), told);
        assert_eq!(hint(ErrorKind::Io, file, true), told);
        // A server's word, and a path in its inventory.
        assert_eq!(
            hint(ErrorKind::Auth, "logging in as root: vc refuses it with InvalidLogin: /etc is no file", true),
            told
        );
        assert_eq!(hint(ErrorKind::Auth, "vc: /DC0/vm/web: no permission to read it", true), told);
    }
}

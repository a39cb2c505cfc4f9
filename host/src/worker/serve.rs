//! The worker's side: reads a job, runs it, says what happens, answers.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_plugin_api::{ErrorKind, PluginError};

use super::message::{Answer, Message};
use super::{crash, signals};
use crate::config::Job;
use crate::events::{Event, EventSink, Reporter};
use crate::pipeline;
use crate::plugins::{SecretStore, Services};

/// Runs the job that stands on standard input, with `private` as its private folder. Returns the exit code.
pub fn serve(private: &Path) -> u8 {
    let Ok(out) = take_stdout() else { return ErrorKind::Defect.exit_code() };
    let cancel = signals::install();
    crash::install();
    let out = Arc::new(Mutex::new(out));
    let answer = match read_job() {
        Ok(job) => {
            let events = EventSink::new(vec![Box::new(ToSupervisor(Arc::clone(&out)))]);
            let secrets = SecretStore::from_keys(&job.keys);
            let services = Services::new(events, cancel, secrets, job.log_level);
            Answer::from(pipeline::run(&job, &services, private))
        }
        Err(error) => Answer::from(Err(error.into())),
    };
    // The supervisor does the same: whichever of the two lives longer.
    let _ = std::fs::remove_dir_all(private);
    let code = answer.error.as_ref().map_or(0, |error| error.code);
    say(&out, &Message::Answer(Box::new(answer)));
    code
}

/// Keeps standard output for messages; what anything else prints goes to standard error, which is the log.
fn take_stdout() -> std::io::Result<File> {
    let messages: OwnedFd = rustix::io::fcntl_dupfd_cloexec(std::io::stdout().as_fd(), 3)?;
    rustix::stdio::dup2_stdout(std::io::stderr().as_fd())?;
    Ok(File::from(messages))
}

fn read_job() -> Result<Job, PluginError> {
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

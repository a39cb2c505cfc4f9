//! Which reporters a command line asks for.

use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::{PluginError, Result};

use super::{EventsTo, Output};
use crate::config::Command;
use crate::events::{Bars, Event, Lines, LogFile, Ndjson, Reporter};

/// How often plain lines speak of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Leaves out what the command's result says once more.
struct WithoutFindings(Box<dyn Reporter>);

impl Reporter for WithoutFindings {
    fn event(&mut self, event: &Event) {
        if !matches!(event, Event::Finding(_)) {
            self.0.event(event);
        }
    }
}

/// What takes the events, when the command line names anything.
pub fn event_file(output: &Output) -> Result<Option<Box<dyn Write + Send>>> {
    Ok(match &output.events {
        None => None,
        Some(EventsTo::Stdout) => Some(Box::new(std::io::stdout())),
        Some(EventsTo::File(path)) => {
            let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
            let failed = |error| PluginError::output(format!("{}: {error}", path.display()));
            Some(Box::new(file.map_err(failed)?))
        }
    })
}

/// Whether somebody watches a terminal that can show more than lines.
pub fn watched(output: &Output) -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    std::io::stderr().is_terminal() && !dumb && !output.no_progress
}

/// The reporters of this command line; times count from `started`.
pub fn reporters(output: &Output, command: Command, started: Instant) -> Result<Vec<Box<dyn Reporter>>> {
    let failed = |path: &std::path::Path, error| PluginError::output(format!("{}: {error}", path.display()));
    let mut reporters: Vec<Box<dyn Reporter>> = Vec::new();
    if let Some(file) = event_file(output)? {
        reporters.push(Box::new(Ndjson::new(file, started)));
    }
    if let Some(path) = &output.log_file {
        reporters.push(Box::new(LogFile::open(path, started).map_err(|error| failed(path, error))?));
    }
    if !output.quiet {
        let logs = output.log_file.is_none();
        let watched: Box<dyn Reporter> = if watched(output) {
            Box::new(Bars::stderr(logs))
        } else {
            Box::new(Lines::new(std::io::stderr(), PROGRESS_INTERVAL, logs))
        };
        reporters.push(match command {
            Command::Inspect | Command::Plan | Command::Define | Command::LiveFix => Box::new(WithoutFindings(watched)),
            _ => watched,
        });
    }
    Ok(reporters)
}

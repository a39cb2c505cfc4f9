//! One call: the first line to a program, its questions about the guest, its answer, its exit.

use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::{ErrorKind, Guest, Host, PluginError, Result};

use crate::child::Child;
use crate::protocol::{self, Call, PROTOCOL, Said, Task};
use crate::settings::Program;

/// What every call of a program has in common.
pub(crate) struct Session<'a> {
    pub host: &'a Host,
    pub program: &'a Program,
    /// The time that the guest takes to answer is not the program's.
    pub timeout: Duration,
}

impl Session<'_> {
    /// Runs the program until it has answered and ended; errors say which program it is.
    pub fn call(&self, task: Task<'_>, guest: Option<&dyn Guest>) -> Result<Said> {
        let said = self.converse(task, guest).and_then(|said| match said {
            Said::Error(failure) => Err(failure.into()),
            said => Ok(said),
        });
        said.map_err(|error| match error.kind {
            ErrorKind::Interrupted => error,
            _ => error.context(format_args!("{} ({})", self.program.name, self.program.path.display())),
        })
    }

    fn converse(&self, task: Task<'_>, guest: Option<&dyn Guest>) -> Result<Said> {
        let mut until = Instant::now() + self.timeout;
        let mut child = Child::start(self.program, self.host)?;
        child.send(&protocol::line(&Call { protocol: PROTOCOL, task })?)?;
        loop {
            let Some(line) = child.line(until)? else {
                let status = child.end(until)?;
                let end = child.complaint(status).unwrap_or_else(|| "it ended without an answer".to_owned());
                return Err(PluginError::defect(end).hint(LOG));
            };
            let said = parse(&line)?;
            let asked = Instant::now();
            let Some(answer) = guest.and_then(|guest| protocol::answer(&said, guest)) else {
                let status = child.end(until)?;
                return match child.complaint(status) {
                    None => Ok(said),
                    Some(end) => Err(PluginError::defect(format!("it answered, but {end}")).hint(LOG)),
                };
            };
            child.send(&answer?)?;
            until += asked.elapsed();
        }
    }
}

/// Where to look further.
const LOG: &str = "its standard error is in the log (--log-level info)";

fn parse(line: &[u8]) -> Result<Said> {
    serde_json::from_slice(line).map_err(|error| {
        let shown: String = String::from_utf8_lossy(line).chars().take(60).collect();
        PluginError::defect(format!("the line {shown:?} is none of the protocol: {error}"))
            .hint("its standard output takes the protocol only; write what is for people to standard error")
    })
}

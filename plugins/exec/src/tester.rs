//! A program as the tester.

use std::time::Duration;

use vmdk2kvm_plugin_api::model::{TestRequest, Verdict};
use vmdk2kvm_plugin_api::{Host, PluginError, Result, Tester};

use crate::protocol::{Said, Task};
use crate::session::Session;
use crate::settings::Program;

/// A tester keeps its own time; this is for one that does not, beyond what the request allows.
const GRACE: Duration = Duration::from_secs(60);

/// The tester of the job.
pub(crate) struct Script {
    host: Host,
    program: Program,
}

impl Script {
    pub fn new(host: &Host, program: &Program) -> Self {
        Self { host: host.clone(), program: program.clone() }
    }
}

impl Tester for Script {
    fn test(&self, request: &TestRequest) -> Result<Verdict> {
        let timeout = Duration::from_secs(request.timeout_seconds) + GRACE;
        let session = Session { host: &self.host, program: &self.program, timeout };
        match session.call(Task::Test { request }, None)? {
            Said::Verdict(verdict) => Ok(verdict),
            _ => Err(PluginError::defect(format!("{}: a tester answers with a verdict", self.program.name))),
        }
    }
}

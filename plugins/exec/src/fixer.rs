//! A program as a fixer.

use vmdk2kvm_plugin_api::model::{FixerPlan, OsFamily, PlanContext};
use vmdk2kvm_plugin_api::{Fixer, Guest, Host, PluginError, Result};

use crate::protocol::{Said, Task};
use crate::session::Session;
use crate::settings;

/// A fixer of the job.
pub(crate) struct Script {
    host: Host,
    settings: settings::Fixer,
}

impl Script {
    pub fn new(host: &Host, settings: &settings::Fixer) -> Self {
        Self { host: host.clone(), settings: settings.clone() }
    }
}

impl Fixer for Script {
    fn name(&self) -> String {
        self.settings.program.name.clone()
    }

    fn guests(&self) -> Vec<OsFamily> {
        self.settings.guests.clone()
    }

    fn order(&self) -> u32 {
        self.settings.order
    }

    fn plan(&self, context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let program = &self.settings.program;
        let task = Task::Plan { fixer: &program.name, context };
        let session = Session { host: &self.host, program, timeout: self.settings.timeout };
        match session.call(task, Some(guest))? {
            Said::Plan(plan) => Ok(plan.into()),
            _ => Err(PluginError::defect(format!("{}: a fixer answers with a plan", program.name))),
        }
    }
}

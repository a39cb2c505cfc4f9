//! What is said of a worker that ended without an answer.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use vmdk2kvm_plugin_api::{ErrorKind, PluginError};

use super::crash::Crumb;
use super::message::Work;
use super::watch::Told;
use crate::events::Stage;
use crate::plugins;

/// The end of a worker, and what is known of the moment before.
pub(super) struct Death {
    pub status: ExitStatus,
    pub crumb: Option<Crumb>,
    pub stage: Option<Stage>,
    pub told: Told,
}

impl Death {
    /// The error to report.
    pub fn error(self, work: &Work) -> PluginError {
        let error = match (self.told, self.status.signal()) {
            // Before it has a handler, a worker dies of being asked to stop.
            (Told::Stop, Some(libc::SIGTERM)) => PluginError::interrupted(),
            (Told::End, _) => {
                let message = format!("interrupted; the worker did not stop{} and was ended", self.place());
                PluginError::new(ErrorKind::Interrupted, message)
            }
            // Code does not die by this signal: somebody sent it, most likely the kernel.
            (_, Some(libc::SIGKILL)) => {
                let message = format!("the worker was killed by signal 9{}", self.place());
                let hint = "look for an out-of-memory kill (dmesg), and run the same command again: it continues";
                return PluginError::new(ErrorKind::Temporary, message).hint(hint);
            }
            (_, Some(signal)) => {
                PluginError::defect(format!("the worker was killed by signal {signal}{}", self.place()))
            }
            (_, None) => {
                let code = self.status.code().unwrap_or_default();
                PluginError::defect(format!("the worker ended with status {code} and no answer{}", self.place()))
            }
        };
        let mut advice = Vec::new();
        if let Work::Run(job) = work {
            if !job.command.is_read_only() {
                advice.push("run the same command again: it continues where this run stopped".to_owned());
            }
            let plugin = self.crumb.as_ref().filter(|_| error.kind == ErrorKind::Defect);
            advice.extend(plugin.map(|crumb| plugins::leave_out(&crumb.plugin)));
        }
        let mut error = error;
        error.hint = (!advice.is_empty()).then(|| advice.join("; or "));
        error.plugin = self.crumb.map(|crumb| crumb.plugin);
        error
    }

    fn place(&self) -> String {
        match (&self.crumb, self.stage) {
            (Some(crumb), _) => format!(" inside plugin {}, {}", crumb.plugin, crumb.method),
            (None, Some(stage)) => format!(" during {stage}"),
            (None, None) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::CheckRequest;

    fn death(status: i32, crumb: Option<Crumb>, told: Told) -> PluginError {
        let death = Death { status: ExitStatus::from_raw(status), crumb, stage: Some(Stage::Fetch), told };
        let request = CheckRequest { file: "p.so".into(), sample: None, settings: Default::default() };
        death.error(&Work::Check(request))
    }

    fn crumb() -> Option<Crumb> {
        Some(Crumb { plugin: "vddk 0.3.1".into(), method: "Transport::open".into() })
    }

    #[test]
    fn a_death_is_told_with_the_plugin_and_the_method() {
        let error = death(libc::SIGSEGV, crumb(), Told::Nothing);
        assert_eq!(error.message, "the worker was killed by signal 11 inside plugin vddk 0.3.1, Transport::open");
        assert_eq!(error.plugin.as_deref(), Some("vddk 0.3.1"));
        let error = death(libc::SIGKILL, None, Told::Nothing);
        assert_eq!((error.kind, error.plugin), (ErrorKind::Temporary, None));
        assert_eq!(error.message, "the worker was killed by signal 9 during FETCH");
        let error = death(0, None, Told::Stop);
        assert_eq!(error.message, "the worker ended with status 0 and no answer during FETCH");
    }

    #[test]
    fn who_does_not_stop_is_named() {
        let error = death(libc::SIGUSR2, crumb(), Told::End);
        assert_eq!(error.kind, ErrorKind::Interrupted);
        let expected = "interrupted; the worker did not stop inside plugin vddk 0.3.1, Transport::open and was ended";
        assert_eq!(error.message, expected);
        assert_eq!(death(libc::SIGTERM, None, Told::Stop).message, "interrupted");
    }
}

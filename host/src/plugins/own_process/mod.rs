//! A plugin in a process of its own: for one whose libraries must be found by an environment that is set when a process starts, or must not
//! meet those of other plugins.
//!
//! The worker starts the same program again (`start`), with the plugin's `environment`, and the two speak by documents (`message`) over a
//! `channel`. In there, `serve` loads the plugin, `home` has it and answers calls, and `far_host` is the host as the plugin sees it. Out here,
//! `process` is the process and the calls under way, `death` what is said of its end, and `faces` are the fetcher, as the pipeline sees it.
//! Disks are read on `lanes`, through memory that both have (`window`); `handover` brings a lane into the process, `serve_lanes` answers there.
//! Whatever happens in there is an error out here that names the plugin and the call.

mod channel;
mod death;
mod environment;
mod faces;
mod far_host;
mod handover;
mod home;
mod lanes;
mod message;
mod process;
mod serve;
mod serve_lanes;
mod start;
mod window;

use std::sync::Arc;

use vmdk2kvm_plugin_api::{Fetcher, HostServices, Kind, Manifest, PluginError, Result};

use super::discovery::Candidate;

pub use serve::serve;

/// The hidden word on the command line that makes a process the home of one plugin.
pub const PLUGIN_COMMAND: &str = "plugin-process";

/// A plugin that was loaded into a process of its own. The process ends when this and all that came from it is dropped.
pub struct OwnProcess(Arc<process::Process>);

impl OwnProcess {
    /// Starts the process and loads the plugin there.
    pub fn start(
        candidate: &Candidate,
        manifest: &Manifest,
        services: Arc<dyn HostServices>,
        settings: &serde_json::Value,
    ) -> Result<Self> {
        if let Some(kind) = manifest.known_kinds().find(|kind| *kind != Kind::Fetcher) {
            let message =
                format!("it wants a process of its own and is a {}: only fetchers can have one", kind.as_str());
            return Err(PluginError::missing(message).hint("ask its author for one plugin for each"));
        }
        process::Process::start(candidate, manifest, services, settings).map(Self)
    }

    /// Its FETCH; `None` when its settings leave it out.
    pub fn fetcher(&self) -> Option<Box<dyn Fetcher>> {
        let face = || Box::new(faces::FarFetcher::new(Arc::clone(&self.0))) as Box<dyn Fetcher>;
        self.0.has_fetcher().then(face)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vmdk2kvm_plugin_api::ErrorKind;

    use super::*;
    use crate::events::{EventSink, LogLevel};
    use crate::plugins::{SearchKind, SecretStore, Services};

    #[test]
    fn only_fetchers_have_a_process_of_their_own() {
        let manifest: Manifest = serde_json::from_value(json!({"schema": 1, "name": "far", "version": "0.1.0",
            "api": "1.0.0", "summary": "x", "license": "MIT", "kinds": ["fetcher", "tester"], "process": {"own": true}}))
        .unwrap();
        let candidate = Candidate {
            path: "/nonexistent/far.so".into(),
            kind: SearchKind::Given,
            manifest: Some(manifest.clone()),
            needed: Vec::new(),
            digest: None,
            refused: None,
        };
        let services = Services::new(EventSink::default(), Arc::default(), SecretStore::default(), LogLevel::Off);
        let services = services.for_plugin(&manifest);
        let started = OwnProcess::start(&candidate, &manifest, services, &json!({}));
        let error = started.map(|_| ()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Missing);
        assert_eq!(error.message, "it wants a process of its own and is a tester: only fetchers can have one");
    }
}

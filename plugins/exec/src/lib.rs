//! Fixers and a tester that are programs of any language, speaking JSON on their standard streams.
//!
//! [`settings`] says which programs there are, [`trust`] whether they may be run, [`protocol`] what is spoken, [`child`] how a program is
//! run and bounded, [`session`] is one call from its first line to its exit, [`fixer`] and [`tester`] are the two stages.

mod child;
mod fixer;
mod protocol;
mod session;
mod settings;
mod tester;
mod trust;

use std::sync::Arc;

use vmdk2kvm_plugin_api::{Fixer, Host, Plugin, Result, Tester};

use settings::Programs;

/// The plugin: its programs and the host.
struct Exec {
    host: Host,
    programs: Arc<Programs>,
}

impl Plugin for Exec {
    fn new(host: Host) -> Result<Self> {
        let programs = Arc::new(Programs::read(&host)?);
        Ok(Self { host, programs })
    }

    fn fixers(&self) -> Vec<Box<dyn Fixer>> {
        let fixer = |fixer: &settings::Fixer| Box::new(fixer::Script::new(&self.host, fixer)) as Box<dyn Fixer>;
        self.programs.fixers.iter().map(fixer).collect()
    }

    fn tester(&self) -> Option<Box<dyn Tester>> {
        let program = self.programs.tester.as_ref()?;
        Some(Box::new(tester::Script::new(&self.host, program)))
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: Exec,
    name: "exec",
    summary: "Fixers and a tester that are programs of any language, speaking JSON on their standard streams",
    kinds: ["fixer", "tester"],
    kinds_by_settings: true,
    guests: ["linux", "windows"],
    capabilities: ["exec"],
    libraries: [],
    programs: [],
    settings: [
        ("fixers", "table", "{}", "Fixers by name: { program, arguments, guests, order, timeout_seconds }"),
        ("tester", "table", "{}", "The tester: { program, arguments }"),
    ],
}

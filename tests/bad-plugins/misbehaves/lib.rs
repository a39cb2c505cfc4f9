//! A plugin of every kind that misbehaves where and how the environment says; left alone it behaves.
//!
//! `fault` knows how to misbehave, `machine` is a virtual machine in memory (FETCH, FLATTEN, INSPECT and its guest), `result` the stages
//! after it. Every method of the contract begins by asking whether it is the one that goes wrong.
#![allow(clippy::unwrap_used, reason = "a plugin that is meant to fail may panic")]

mod fault;
mod machine;
mod result;

use std::sync::Arc;

use vmdk2kvm_plugin_api::{Converter, Fetcher, Fixer, Flattener, Host, Inspector, Plugin, Result, Tester};

use fault::Fault;
use machine::Machine;
use result::Outcome;

struct Misbehaves {
    fault: Arc<Fault>,
}

impl Plugin for Misbehaves {
    fn new(_: Host) -> Result<Self> {
        let fault: Arc<Fault> = Arc::new(Fault::of_environment());
        fault.at("Plugin::new");
        Ok(Self { fault })
    }

    fn fetcher(&self) -> Option<Box<dyn Fetcher>> {
        self.fault.at("Plugin::fetcher");
        self.fault.keeps_promise("Plugin::fetcher").then(|| Box::new(Machine::new(&self.fault)) as Box<dyn Fetcher>)
    }

    fn flattener(&self) -> Option<Box<dyn Flattener>> {
        self.fault.at("Plugin::flattener");
        Some(Box::new(Machine::new(&self.fault)))
    }

    fn inspector(&self) -> Option<Box<dyn Inspector>> {
        self.fault.at("Plugin::inspector");
        Some(Box::new(Machine::new(&self.fault)))
    }

    fn fixers(&self) -> Vec<Box<dyn Fixer>> {
        self.fault.at("Plugin::fixers");
        vec![Box::new(Outcome::new(&self.fault))]
    }

    fn converter(&self) -> Option<Box<dyn Converter>> {
        self.fault.at("Plugin::converter");
        Some(Box::new(Outcome::new(&self.fault)))
    }

    fn tester(&self) -> Option<Box<dyn Tester>> {
        self.fault.at("Plugin::tester");
        Some(Box::new(Outcome::new(&self.fault)))
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: Misbehaves,
    name: "bad",
    summary: "Misbehaves where and how the environment says",
    kinds: ["fetcher", "flattener", "inspector", "fixer", "converter", "tester"],
    guests: ["linux"],
    capabilities: ["bad"],
    libraries: [],
    programs: [],
    settings: [("spool", "string", "", "A folder that is named and not used")],
}

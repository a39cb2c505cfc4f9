//! The command `inventory`: every VM of a source, as far as its descriptions tell.

use serde_json::{Value, json};
use vmdk2kvm_plugin_api::model::Hold;

use super::fetch::{self, Described, Fetched};
use super::flatten;
use super::run::Run;
use crate::events::Stage;
use crate::worker::Failure;

/// `inventory`: every VM of the source with the capacities of its disks.
pub(super) fn inventory(run: &Run<'_>) -> Result<Value, Failure> {
    let source = fetch::source(run)?;
    let vms = run.stage(Stage::Fetch, |plugin| {
        let Described { label, catalog } = fetch::open(run, &source)?;
        *plugin = Some(label.clone());
        let mut vms = catalog.inventory()?;
        for found in &mut vms {
            let vm = fetch::complete(run, found.vm.clone(), &label, &source);
            let unknown = vm.disks.iter().any(|disk| disk.capacity_bytes == 0);
            let mut fetched = Fetched { label: label.clone(), source: source.clone(), vm, hold: Hold::nothing() };
            if unknown {
                flatten::open(run, &mut fetched, None)?;
            }
            found.vm = fetched.vm;
        }
        Ok(vms)
    })?;
    Ok(json!({ "vms": vms }))
}

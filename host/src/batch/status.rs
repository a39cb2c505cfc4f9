//! `batch status`: how far each VM is. Only reads, also while the batch runs, also on another machine that sees the same folder.

use serde::Serialize;
use vmdk2kvm_plugin_api::Result;

use super::check::check_names;
use super::record::{Records, State};
use super::request::Asked;
use super::rows::Vm;
use super::summary::{Job, Totals};

/// How far a batch is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// JOBS as given.
    pub list: String,
    /// How many VMs are in which state.
    pub totals: Totals,
    /// The VMs in the list's order.
    pub jobs: Vec<Job>,
}

/// Looks.
pub fn status(asked: &Asked) -> Result<Status> {
    let batch = check_names(asked)?;
    let records = Records::of(&batch.dir);
    let job = |vm: &Vm| {
        let record = records.read(&vm.name);
        let done = record.as_ref().is_some_and(|record| record.state == State::Done);
        Job::of(&batch, vm, record, done)
    };
    let jobs: Vec<Job> = batch.vms.iter().map(job).collect();
    Ok(Status { list: batch.label.clone(), totals: Totals::of(&jobs), jobs })
}

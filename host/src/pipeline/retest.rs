//! `test DIR`: the boot test alone, on the result of a migration.

use std::path::Path;

use serde_json::Value;
use vmdk2kvm_plugin_api::PluginError;

use super::run::Run;
use super::test::{self, Subject};
use super::{conclude, former};
use crate::config::Input;
use crate::events::Stage;
use crate::report::{Report, TestedMachine};
use crate::worker::Failure;

/// Runs the test and brings the report up to date.
pub(super) fn retest(run: &Run<'_>) -> Result<Value, Failure> {
    let Input::Result { dir } = &run.job.input else {
        return Err(PluginError::defect("`test` needs a folder").into());
    };
    again(run, dir, former::read(dir)?, run.private)
}

/// The test on a finished result, with overlays in `work`, and its verdict in the report.
pub(super) fn again(run: &Run<'_>, dir: &Path, mut report: Report, work: &Path) -> Result<Value, Failure> {
    let machine = former::machine(dir, &report)?;
    let subject = Subject { machine: &machine, inspection: report.inspection.as_ref(), dir, work };
    let mut tested = test::test(run, &subject)?;
    report.stages.retain(|record| record.name != Stage::Test);
    report.stages.extend(run.records().into_iter().filter(|record| record.name == Stage::Test));
    if let Some(lesser) = tested.lesser {
        let names: Vec<String> = report.targets.iter().map(|target| target.name.clone()).collect();
        former::render(run, dir, &mut report, &names, &lesser.machine)?;
        report.machine = Some(lesser.machine);
        report.findings.push(lesser.finding);
    }
    // A lesser machine that was delivered before stays one.
    if report.test.as_ref().is_some_and(|before| before.machine == TestedMachine::Lesser) {
        tested.record.machine = TestedMachine::Lesser;
    }
    report.test = Some(tested.record);
    crate::report::write(dir, &report)?;
    conclude::conclude(&report)
}

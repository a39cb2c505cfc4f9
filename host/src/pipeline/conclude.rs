//! How a run ends: with its report as a document, and with a failure when what it made does not boot.

use serde_json::Value;
use vmdk2kvm_plugin_api::model::VerdictKind;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::output::EVIDENCE;
use crate::events::Stage;
use crate::report::{Report, TestRecord};
use crate::worker::Failure;

/// The document of a report.
pub(super) fn document(report: &Report) -> Result<Value> {
    serde_json::to_value(report).map_err(|error| PluginError::defect(error.to_string()))
}

/// How a run with this report ends.
pub(super) fn conclude(report: &Report) -> Result<Value, Failure> {
    let document = document(report)?;
    match report.test.as_ref().and_then(failure) {
        Some(failure) => Err(Failure { result: Some(document), ..failure }),
        None => Ok(document),
    }
}

/// The failure of a run whose result does not boot.
pub(super) fn failure(test: &TestRecord) -> Option<Failure> {
    let outcome = match test.verdict.verdict {
        VerdictKind::Passed => return None,
        VerdictKind::Failed => "failed",
        // Nothing was proven, and a result of which nothing is proven is not what was asked for.
        _ => "was inconclusive",
    };
    let message = format!("migrated, but the boot test {outcome}: {}", test.verdict.reason);
    let mut error = PluginError::new(ErrorKind::TestFailed, message)
        .hint(format!("see report.html and the folder {EVIDENCE} in the output folder"));
    error.plugin = Some(test.plugin.clone());
    Some(Failure::new(Stage::Test, error))
}

//! From a command to the stages that it needs.

use std::path::Path;

use vmdk2kvm_plugin_api::ErrorKind;

use super::run::Run;
use super::{define, examine, format, inventory, live_fix, migrate, release, render, retest, warm};
use crate::config::{Command, Job};
use crate::plugins::{self, Services};
use crate::report::Containment;
use crate::worker::Failure;

/// Runs a job; the result is the command's document.
/// `private` is a folder for sockets and for what ends with the run.
pub fn run(
    job: &Job,
    services: &Services,
    private: &Path,
    containment: Containment,
) -> Result<serde_json::Value, Failure> {
    // Commands that leave images have a better place, which outlives the run.
    services.set_folders(&private.join("folders"));
    let run = Run::new(job, services, private, containment)?;
    let outcome = match job.command {
        Command::Inventory => inventory::inventory(&run),
        Command::Inspect | Command::Plan => examine::examine(&run),
        Command::Cutover => warm::cutover(&run),
        Command::Migrate if format::is_in_rounds(job) => warm::migrate(&run),
        Command::Migrate | Command::Apply | Command::Flatten | Command::Fix | Command::Convert => {
            migrate::migrate(&run)
        }
        Command::Test => retest::retest(&run),
        Command::Render => render::render(&run),
        Command::Define => define::define(&run),
        Command::Release => release::release(&run),
        Command::LiveFix => live_fix::fix(&run),
        Command::RollBack => live_fix::roll_back(&run),
    };
    outcome.map_err(|mut failure| {
        // A stage that stopped because the user asked to is not at fault, whatever error it found on its way out.
        if run.cancelled() {
            failure.error.kind = ErrorKind::Interrupted;
            failure.error.message = "interrupted".to_owned();
        }
        let error = &mut failure.error;
        if let (ErrorKind::Defect, None, Some(plugin)) = (error.kind, &error.hint, &error.plugin) {
            error.hint = Some(format!("report it to the plugin's author, or {}", plugins::leave_out(plugin)));
        }
        failure
    })
}

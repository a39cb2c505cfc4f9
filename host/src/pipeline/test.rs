//! TEST: boots a throw-away copy of the result and waits for evidence. A guest that does not come up, or of which nothing is proven, may
//! be tried once more, on a lesser machine.

use std::path::Path;

use vmdk2kvm_plugin_api::model::{
    CreateOverlay, Finding, Inspection, Machine, Severity, TestRequest, Verdict, VerdictKind,
};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, Result, Slot, Tester};

use super::format::OVERLAY;
use super::output::EVIDENCE;
use super::paths::{remove_folder, remove_if_there, text};
use super::run::Run;
use crate::events::{Event, Stage};
use crate::journal::{create_private_folder, output_error};
use crate::machine::lesser;
use crate::report::{TestRecord, TestedMachine};
use crate::worker::Failure;

/// Takes the evidence of the second boot until it is known which of the two counts.
const SECOND: &str = "boot.part";

/// What is tested.
pub(super) struct Subject<'a> {
    /// The machine with its images.
    pub machine: &'a Machine,
    pub inspection: Option<&'a Inspection>,
    /// The output folder.
    pub dir: &'a Path,
    /// Takes the overlays.
    pub work: &'a Path,
}

/// What came of it.
pub(super) struct Tested {
    pub record: TestRecord,
    /// The guest came up on this one only.
    pub lesser: Option<Lesser>,
}

/// A machine that the guest came up on, when nothing showed that of its best one.
pub(super) struct Lesser {
    pub machine: Machine,
    pub finding: Finding,
}

/// Runs the boot test.
pub(super) fn test(run: &Run<'_>, subject: &Subject<'_>) -> Result<Tested, Failure> {
    run.stage(Stage::Test, |plugin| {
        let tester = run.registry.tester(run.job.settings.test.plugin.as_deref())?;
        *plugin = Some(tester.label.clone());
        let stage = tester.stage.as_ref();
        let _place = run.job.settings.test.at_once.map(|limit| place(run, limit)).transpose()?;
        let verdict = boot(run, subject, subject.machine, stage, &subject.dir.join(EVIDENCE))?;
        let record = |verdict, machine| TestRecord { plugin: tester.label.clone(), verdict, machine };
        let second = match verdict.verdict {
            VerdictKind::Passed => None,
            _ if run.job.settings.test.fallback => second(run, subject, stage, &verdict)?,
            _ => None,
        };
        Ok(match second {
            Some((verdict, lesser)) => Tested { record: record(verdict, TestedMachine::Lesser), lesser: Some(lesser) },
            None => Tested { record: record(verdict, TestedMachine::Best), lesser: None },
        })
    })
}

/// Waits for one of so many places for guests that boot: too many at once take each other's processors until all seem to hang.
fn place(run: &Run<'_>, limit: u32) -> Result<Slot> {
    run.services.step("wait for a boot slot");
    run.services.place("boot", limit)
}

/// Tries a lesser machine; `None` when there is none, or when the guest does not come up on it either.
fn second(
    run: &Run<'_>,
    subject: &Subject<'_>,
    tester: &dyn Tester,
    first: &Verdict,
) -> Result<Option<(Verdict, Lesser)>> {
    let Some(machine) = lesser(subject.machine) else { return Ok(None) };
    run.check_cancelled()?;
    run.services.step("lesser machine");
    let (evidence, beside) = (subject.dir.join(EVIDENCE), subject.dir.join(SECOND));
    remove_folder(&beside)?;
    let verdict = boot(run, subject, &machine, tester, &beside);
    if !verdict.as_ref().is_ok_and(|verdict| verdict.verdict == VerdictKind::Passed) {
        remove_folder(&beside)?;
        return match verdict {
            Err(error) if error.kind == ErrorKind::Interrupted => Err(error),
            Err(error) => {
                // The first verdict counts all the same.
                run.services.warn(format!("the lesser machine could not be tried: {}", error.message));
                Ok(None)
            }
            Ok(verdict) => {
                let outcome = match verdict.verdict {
                    VerdictKind::Failed => "the guest does not come up on a lesser machine either",
                    _ => "the boot test on a lesser machine was inconclusive",
                };
                run.services.warn(format!("{outcome}: {}", escape(&verdict.reason)));
                Ok(None)
            }
        };
    }
    remove_folder(&evidence)?;
    std::fs::rename(&beside, &evidence).map_err(|error| output_error(evidence.display(), &error))?;
    let best = match first.verdict {
        VerdictKind::Failed => "the guest did not come up on its best machine",
        _ => "nothing shows that the guest comes up on its best machine",
    };
    let message = format!(
        "{best} ({}); it does with its disks on SATA, e1000e network cards and VGA, and that machine is delivered",
        escape(&first.reason)
    );
    let finding = Finding::new("lesser-machine", Severity::Warn, message)
        .hint("it runs slower: find out why it does not start with its paravirtual drivers");
    run.services.events().emit(Event::Finding(finding.clone()));
    verdict.map(|verdict| Some((verdict, Lesser { machine, finding })))
}

fn boot(
    run: &Run<'_>,
    subject: &Subject<'_>,
    machine: &Machine,
    tester: &dyn Tester,
    evidence: &Path,
) -> Result<Verdict> {
    create_private_folder(evidence)?;
    let overlays = Overlays::make(run, machine, subject.work)?;
    let request =
        TestRequest::new(overlays.machine.clone(), text(evidence)?, text(subject.work)?, run.private.to_string_lossy());
    tester.test(&request.with(|request| {
        request.inspection = subject.inspection.cloned();
        request.timeout_seconds = run.job.settings.test.timeout_seconds;
        request.expect = run.job.settings.test.expectation();
    }))
}

/// The machine on throw-away overlays of its images. Dropping it removes them.
struct Overlays {
    machine: Machine,
}

impl Overlays {
    fn make(run: &Run<'_>, machine: &Machine, work: &Path) -> Result<Self> {
        let converter = run.registry.converter(run.job.settings.plugins.converter.as_deref(), OVERLAY)?;
        let mut overlays = Self { machine: machine.clone() };
        // Until its overlay is made, a disk names its image, which is not to be removed.
        let images: Vec<(String, String)> =
            machine.disks.iter().map(|disk| (disk.image.clone(), disk.format.clone())).collect();
        overlays.machine.disks.iter_mut().for_each(|disk| disk.image.clear());
        for ((number, disk), (image, format)) in (1..).zip(&mut overlays.machine.disks).zip(&images) {
            let overlay = work.join(format!("test-{number}.{OVERLAY}"));
            remove_if_there(&overlay)?;
            disk.image = text(&overlay)?;
            disk.format = OVERLAY.to_owned();
            disk.block_device = false;
            converter.stage.create_overlay(&CreateOverlay::new(&disk.image, image, format, disk.size_bytes))?;
        }
        Ok(overlays)
    }
}

impl Drop for Overlays {
    fn drop(&mut self) {
        let overlays = self.machine.disks.iter().filter(|disk| !disk.image.is_empty());
        // What is left lies in the run's own folder, which the next run empties.
        overlays.for_each(|disk| _ = std::fs::remove_file(&disk.image));
    }
}

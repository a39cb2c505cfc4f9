//! `cutover DIR`: the machine is shut down, the last changes are copied, and from there on the images are what every other migration copies: the stages that
//! follow read them and not the source.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use vmdk2kvm_plugin_api::model::{Release, Severity};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::round::{Brought, Round};
use super::rounds::refuse_devices;
use super::state::{self, DiskState, Rounds};
use super::{power, samples};
use crate::config::Input;
use crate::copy::FileSource;
use crate::events::{Stage, escape};
use crate::pipeline::convert::PROMOTING;
use crate::pipeline::disk::Disk;
use crate::pipeline::fetch::{self, Described};
use crate::pipeline::format::converts_files;
use crate::pipeline::keys::Keys;
use crate::pipeline::migrate::{Migration, check_plugins};
use crate::pipeline::output::Output;
use crate::pipeline::run::Run;
use crate::pipeline::source::ZeroSource;
use crate::pipeline::{conclude, former, retest};
use crate::report::WarmRecord;
use crate::worker::Failure;

/// How to go back, once the machine is off.
const ROLLBACK: &str = "to go back, switch the machine on at its source, which is as it was when it was shut down, \
                        and do not start the new one beside it";

/// Runs the command.
pub(in crate::pipeline) fn cutover(run: &Run<'_>) -> Result<Value, Failure> {
    if let Input::Result { dir } = &run.job.input {
        return ended_before(run, dir);
    }
    refuse_devices(run.job)?;
    let source = fetch::source(run)?;
    let mut output = Output::prepare(run)?;
    run.services.set_folders(&output.folders(&source));
    let ended = end(run, &mut output);
    ended.map_err(|failure| {
        let error = output.blame_full_disk(failure.error);
        output.abandon();
        Failure { error, ..failure }
    })
}

/// A folder without rounds: what was ended before is no error.
fn ended_before(run: &Run<'_>, dir: &Path) -> Result<Value, Failure> {
    let report = former::read(dir).map_err(|_| state::none(dir))?;
    if report.warm.is_none() {
        return Err(state::none(dir).into());
    }
    if run.job.wants(Stage::Test) && report.test.as_ref().is_some_and(|test| conclude::failure(test).is_some()) {
        return retest::again(run, dir, report, run.private);
    }
    run.services.warn("nothing to do: this cut-over was finished before");
    Ok(conclude::document(&report)?)
}

fn end(run: &Run<'_>, output: &mut Output) -> Result<Value, Failure> {
    let mut rounds = Rounds::read(&output.records);
    if rounds.done.is_empty() {
        let error = state::none(&output.dir);
        return Err(error.hint("let `vmdk2kvm migrate --warm` finish its first round, then run this again").into());
    }
    check_plugins(run)?;
    check_space(run, output)?;
    let source = fetch::source(run)?;
    shut_down(run, &source)?;
    let ended = last_round(run, output, &mut rounds).and_then(|(brought, verified_bytes)| {
        let warm = WarmRecord {
            rounds: rounds.done.clone(),
            verified_bytes,
            rollback: ROLLBACK.into(),
            ..WarmRecord::default()
        };
        go_on(run, output, brought, warm)
    });
    ended.map_err(|failure| {
        let hint =
            failure.error.hint.as_ref().map_or_else(|| ROLLBACK.to_owned(), |hint| format!("{hint}; {ROLLBACK}"));
        Failure { error: failure.error.hint(hint), ..failure }
    })
}

/// The images are written once more where they get another format: whether that fits is known before the machine is shut down.
fn check_space(run: &Run<'_>, output: &Output) -> Result<()> {
    if !converts_files(run.job) {
        return Ok(());
    }
    let stored = |index: usize| {
        let part = Rounds::read(&output.records).name;
        let part = output.dir.join(format!("{part}-disk{}.part", index + 1));
        part.metadata().map_or(0, |found| std::os::unix::fs::MetadataExt::blocks(&found) * 512)
    };
    let known = (0..).take_while(|index| DiskState::read(&output.records, *index).is_some());
    // What is asked for here is room for two copies, of which one is there.
    output.check_space(run.job, known.map(stored).sum::<u64>() / 2)
}

/// Shuts the machine down, unless something is known that would stand in the way afterwards.
fn shut_down(run: &Run<'_>, source: &vmdk2kvm_plugin_api::model::SourceRef) -> Result<(), Failure> {
    run.stage(Stage::Fetch, |plugin| {
        let Described { label, catalog } = fetch::open(run, source)?;
        *plugin = Some(label);
        let vm = catalog.describe()?;
        if let Some(finding) = vm.findings.iter().find(|finding| finding.severity == Severity::Block) {
            let message = format!("{}: {} ({})", escape(&vm.name), finding.message, finding.code);
            return Err(PluginError::new(ErrorKind::Blocked, message).hint(&finding.hint));
        }
        power::shut_down(run, catalog.as_ref(), &vm.name)
    })
}

/// The last round, and a look at what all of them came to. Returns the bytes that were compared, too.
fn last_round<'a>(run: &'a Run<'a>, output: &mut Output, rounds: &mut Rounds) -> Result<(Brought<'a>, u64), Failure> {
    let round = Round { run, source: fetch::source(run)?, number: rounds.next(), last: true };
    let mut brought = round.go(rounds, output, |_, _, _| Ok(()))?;
    let mut compared = 0;
    // Images that are fixed and converted are no more what the source has.
    if !output.records.exists(PROMOTING) && !output.records.exists(crate::pipeline::convert::COMMIT_BEGAN) {
        run.services.step("verify");
        for disk in &brought.disks {
            compared += verify(run, output, disk).map_err(|error| Failure::new(Stage::Flatten, error))?;
        }
    }
    brought.held.release(Release::Round);
    Ok((brought, compared))
}

fn verify(run: &Run<'_>, output: &Output, disk: &Disk) -> Result<u64> {
    let image = FileSource::open(&output.part_file(disk.index))?;
    samples::compare(disk.source.as_ref(), &image, &|| run.cancelled())?.or_else(|at| {
        DiskState::remove(&output.records, disk.index)?;
        let message = format!("{}: its image is not what the source has at byte {at}", escape(&disk.name));
        Err(PluginError::new(ErrorKind::Temporary, message)
            .hint("run the same command again: it copies that disk in full"))
    })
}

/// Every stage behind FLATTEN, on the images.
fn go_on(run: &Run<'_>, output: &Output, brought: Brought<'_>, warm: WarmRecord) -> Result<Value, Failure> {
    let Brought { mut fetched, disks, states, held } = brought;
    // It is off, and what is read is here.
    fetched.hold.frozen = true;
    let local = |(disk, state): (Disk, &DiskState)| -> Result<Disk> {
        let image = output.part_file(disk.index);
        let source: Arc<dyn vmdk2kvm_plugin_api::BlockSource> = match image.is_file() {
            true => Arc::new(FileSource::open(&image)?),
            // It has its final name already.
            false => Arc::new(ZeroSource(disk.size())),
        };
        Ok(Disk { source, before: state.print(), ..disk })
    };
    let disks = disks.into_iter().zip(&states).map(local).collect::<Result<Vec<_>>>()?;
    let keys = Keys::new(run, &fetched.vm, &disks, None)?;
    let flattening = run.begin(Stage::Flatten, None);
    let held = Mutex::new(held);
    Migration { run, fetched, disks, saved: None, keys, output, held, warm: Some(warm) }.go(flattening)
}

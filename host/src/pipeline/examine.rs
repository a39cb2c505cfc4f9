//! The commands `inspect` and `plan`: they copy no disk and leave nothing but their result.

use serde_json::Value;
use vmdk2kvm_plugin_api::model::{GuestFingerprint, Plan, PlanContext, Release};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::attach;
use super::direct::{self, Refused};
use super::disk::Disk;
use super::fetch::Fetched;
use super::format::OVERLAY;
use super::hold::{self, Held};
use super::inspect::OpenedGuest;
use super::run::Run;
use super::{fetch, flatten, inspect, plan, resize};
use crate::events::Stage;
use crate::report::WayRecord;
use crate::worker::Failure;

/// `inspect` and `plan`.
pub(super) fn examine(run: &Run<'_>) -> Result<Value, Failure> {
    let source = fetch::source(run)?;
    let (mut fetched, mut held) = run.stage(Stage::Fetch, |plugin| {
        let (mut fetched, catalog) = fetch::fetch(run, source)?;
        *plugin = Some(fetched.label.clone());
        hold::release_looks(run, &fetched);
        let held = Held::take(run, catalog, &mut fetched, None)?;
        Ok((fetched, held))
    })?;
    let disks = run.stage(Stage::Flatten, |plugin| {
        let mut disks = flatten::open(run, &mut fetched, None)?;
        resize::grow(run, &run.job.settings.resize, &mut fetched.vm, &mut disks)?;
        *plugin = disks.iter().find_map(|disk| disk.plugin.clone());
        Ok(disks)
    })?;
    let mut document = look(run, &fetched, &disks)?;
    held.release(Release::Done);
    if let Some(plan) = &document.plan {
        resize::warn(run, &disks, plan);
    }
    add_ways(&mut document.value, &disks);
    if let Some(plan) = &document.plan {
        plan::refuse_blocked(run, &fetched.vm, plan)
            .map_err(|error| Failure { result: Some(document.value.clone()), ..Failure::new(Stage::Plan, error) })?;
    }
    Ok(document.value)
}

/// What was found in a guest, and what is planned for it where the job wants that.
struct Document {
    value: Value,
    plan: Option<Plan>,
}

/// Looks into the guest: directly where somebody can, else through an appliance, and never by halves.
fn look(run: &Run<'_>, fetched: &Fetched, disks: &[Disk]) -> Result<Document, Failure> {
    let refused = match look_directly(run, fetched, disks) {
        Ok(Some(document)) => return Ok(document),
        Ok(None) => None,
        Err(failure) => Some(Refused::of(run, failure)?),
    };
    let mut guest = open(run, fetched, disks)?;
    if let Some(refused) = refused {
        refused.note(&mut guest.opened.inspection);
    }
    inspect::tell(run, &guest.opened.inspection);
    document(run, fetched, disks, &mut guest.opened)
}

fn look_directly(run: &Run<'_>, fetched: &Fetched, disks: &[Disk]) -> Result<Option<Document>, Failure> {
    let Some(mut opened) = direct::open(run, fetched, disks)? else { return Ok(None) };
    let document = document(run, fetched, disks, &mut opened)?;
    // Until now somebody else could still have had to say what is there.
    inspect::tell(run, &opened.inspection);
    Ok(Some(document))
}

/// Asks the fixers where the job wants it, and closes the guest.
fn document(run: &Run<'_>, fetched: &Fetched, disks: &[Disk], opened: &mut OpenedGuest) -> Result<Document, Failure> {
    let inspection = opened.inspection.clone();
    if !run.job.wants(Stage::Plan) {
        opened.close().map_err(|error| Failure::new(Stage::Inspect, error))?;
        let mut value = serde_json::to_value(&inspection).map_err(|error| PluginError::defect(error.to_string()))?;
        value["vm"] = serde_json::to_value(&fetched.vm).map_err(|error| PluginError::defect(error.to_string()))?;
        return Ok(Document { value, plan: None });
    }
    let plan = run.stage(Stage::Plan, |_| {
        let fixers = run.registry.fixers(inspection.os.family, inspection.live)?;
        let source = &fetched.source;
        let fingerprint = GuestFingerprint::new(absolute(&source.uri), states(disks)?).with(|guest| {
            guest.extra_disks = source.extra_disks.iter().map(|disk| absolute(disk)).collect();
            guest.vm.clone_from(&source.vm);
        });
        let context = PlanContext::new(fetched.vm.clone(), inspection.clone());
        let context = context.with(|context| {
            context.live = inspection.live;
            context.grown = resize::grown(disks);
        });
        let planned = plan::plan(run, &fixers, &context, Some(fingerprint), opened.guest()?);
        match opened.close() {
            // Who could not read on is the reason for whatever came of it.
            Err(error) if planned.is_ok() || error.kind == ErrorKind::Cannot => Err(error),
            _ => planned,
        }
    })?;
    let value = serde_json::to_value(&plan).map_err(|error| PluginError::defect(error.to_string()))?;
    Ok(Document { value, plan: Some(plan) })
}

/// Says by which way each disk was read.
fn add_ways(document: &mut Value, disks: &[Disk]) {
    let ways: Vec<WayRecord> = disks.iter().filter_map(Disk::way_record).collect();
    document["ways"] = serde_json::json!(ways);
}

/// A path as it is found from any folder; a URI as it is.
fn absolute(uri: &str) -> String {
    let path = std::path::Path::new(uri);
    if path.exists() {
        std::path::absolute(path).map_or_else(|_| uri.to_owned(), |path| path.to_string_lossy().into_owned())
    } else {
        uri.to_owned()
    }
}

/// The state of every disk.
fn states(disks: &[Disk]) -> Result<Vec<String>> {
    disks.iter().map(Disk::fingerprint).collect()
}

/// A guest that is only looked at, and the exports it reads from.
struct Looked {
    opened: OpenedGuest,
    // Dropped after the guest: it still reads until it is closed.
    _attached: Option<attach::Attached>,
}

fn open(run: &Run<'_>, fetched: &Fetched, disks: &[Disk]) -> Result<Looked, Failure> {
    let request = |disks| inspect::request(run, fetched, disks, false, run.private);
    if disks.is_empty() {
        let opened = inspect::inspect(run, fetched, &request(Vec::new()), &[]).map_err(|unopened| unopened.failure)?;
        return Ok(Looked { opened, _attached: None });
    }
    let attached = run
        .registry
        .converter(run.job.settings.plugins.converter.as_deref(), OVERLAY)
        .and_then(|converter| attach::attach(disks, run.private, run.private, converter.stage.as_ref()))
        .map_err(|error| Failure::new(Stage::Inspect, error))?;
    let opened = inspect::inspect(run, fetched, &request(attached.disks.clone()), &attached.sources);
    let opened = opened.map_err(|unopened| match attached.source_error() {
        Some(error) => Failure::new(Stage::Flatten, error),
        None => unopened.failure,
    })?;
    Ok(Looked { opened, _attached: Some(attached) })
}

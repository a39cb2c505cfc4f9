//! `plugin check`: loads one file as a plugin and holds it against the promises of its kinds. Runs its code: for a worker process only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vmdk2kvm_conformance::{self as conformance, CancelSwitch, Chain, MemoryFiles, MemoryGuest, Report, sample};
use vmdk2kvm_plugin_api::model::{AttachedDisk, FlattenDisk, OpenGuest};
use vmdk2kvm_plugin_api::{ErrorKind, Flattener, HostServices, Kind, LogRecord, PluginError, Progress, Result, Slot};

use super::discovery::examine_file;
use super::{Loaded, Services, check_settings};
use crate::worker::Failure;

/// What is to be checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// The library.
    pub file: PathBuf,
    /// Something that the plugin is for: a source, a disk, a guest's folder.
    pub sample: Option<String>,
    /// The tables `[plugin.NAME]` of the settings.
    pub settings: BTreeMap<String, Value>,
}

/// What a check found: the manifest's members, and the checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// What the plugin says of itself.
    #[serde(flatten)]
    pub manifest: vmdk2kvm_plugin_api::Manifest,
    /// What was checked, and how it ended.
    #[serde(flatten)]
    pub report: Report,
}

/// Loads the file and runs the conformance kit for each kind that its manifest lists. A broken promise is an error that has the whole
/// report as its result.
pub fn check(request: &CheckRequest, services: &Services, private: &Path) -> Result<Value, Failure> {
    let file = &request.file;
    let path = file
        .canonicalize()
        .map_err(|error| PluginError::from_io(file.display(), &error).hint("name the plugin's file, libNAME.so"))?;
    let candidate =
        examine_file(path).ok_or_else(|| PluginError::missing(format!("{} is not a plugin", file.display())))?;
    let Some(manifest) = &candidate.manifest else {
        let why = candidate.refused.clone();
        return Err(why.unwrap_or_else(|| PluginError::missing(format!("{} has no manifest", file.display()))).into());
    };
    let name = manifest.name.clone();
    let table = request.settings.get(&name).cloned().unwrap_or_else(|| json!({}));
    let own = BTreeMap::from([(name.clone(), table.clone())]);
    check_settings(std::slice::from_ref(&candidate), &own)?;
    let host = Arc::new(KitHost { cancelled: AtomicBool::new(false), run: services.for_plugin(manifest) });
    services.set_folders(&private.join("folders"));
    let loaded = Loaded::load(&candidate, Arc::clone(&host) as Arc<dyn HostServices>, &table)?;
    let mut report = Report::default();
    for kind in loaded.manifest.known_kinds() {
        report.extend(of_kind(&loaded, kind, &host, request.sample.as_deref(), private)?);
        if services.cancel().load(Ordering::Relaxed) {
            return Err(PluginError::interrupted().into());
        }
    }
    let (label, failures) = (loaded.label(), report.failures().count());
    let checked = Checked { manifest: loaded.manifest, report };
    let result = serde_json::to_value(&checked).map_err(|error| PluginError::defect(error.to_string()))?;
    let Some(first) = checked.report.failures().next() else { return Ok(result) };
    let what = format!("{}: {}: {}", first.subject, first.promise, first.why);
    let mut error = PluginError::unusable(match failures {
        1 => format!("a promise of the contract is broken: {what}"),
        _ => format!("{failures} promises of the contract are broken, the first is {what}"),
    });
    error.plugin = Some(label);
    let error = error.hint("PLUGINS.md says what each kind promises");
    Err(Failure { error, stage: None, result: Some(result) })
}

/// What its manifest lists and its settings leave out promises nothing.
fn of_kind(loaded: &Loaded, kind: Kind, host: &KitHost, given: Option<&str>, private: &Path) -> Result<Report> {
    let mut report = Report::default();
    match kind {
        Kind::Fetcher => {
            if let Some(fetcher) = loaded.fetcher()? {
                report.extend(conformance::fetcher(&*fetcher, host, given.map(sample::source).as_ref()));
            }
        }
        Kind::Flattener => {
            if let Some(flattener) = loaded.flattener()? {
                let chain = given.map(|path| chain(&*flattener, Path::new(path))).transpose()?;
                report.extend(conformance::flattener(&*flattener, host, chain.as_ref()));
            }
        }
        Kind::Inspector => {
            if let Some(inspector) = loaded.inspector()? {
                let guest = given.map(|given| guest(loaded, given, private)).transpose()?.flatten();
                report.extend(conformance::inspector(&*inspector, host, guest.as_ref()));
            }
        }
        Kind::Fixer => {
            for fixer in loaded.fixers()? {
                for family in fixer.guests() {
                    let guest = match given {
                        Some(folder) => MemoryGuest::from_folder(Path::new(folder))?,
                        None => sample::guest(family),
                    };
                    report.extend(conformance::fixer(&*fixer, &sample::context_of(family, &guest), &guest));
                }
            }
        }
        Kind::Converter => {
            if let Some(converter) = loaded.converter()? {
                report.extend(conformance::converter(&*converter, host));
            }
        }
        Kind::Tester => {
            if let Some(tester) = loaded.tester()? {
                report.extend(conformance::tester(&*tester, host));
            }
        }
    }
    Ok(report)
}

/// A disk in a folder, with all that lies beside it. Its format is the one that its name ends with, else the first that the plugin reads.
fn chain(flattener: &dyn Flattener, path: &Path) -> Result<Chain> {
    let formats = flattener.formats();
    let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned());
    let format = ending.filter(|ending| formats.contains(ending)).or_else(|| formats.first().cloned());
    let object = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let files = Arc::new(MemoryFiles::from_folder(folder)?);
    Ok(Chain { disk: FlattenDisk::new(object, format.unwrap_or_default()), files })
}

/// A guest as the plugin's own fetcher describes it, or a disk image; `None` where the fetcher describes nothing.
fn guest(loaded: &Loaded, given: &str, private: &Path) -> Result<Option<OpenGuest>> {
    let private = private.to_string_lossy().into_owned();
    let (mut vm, mut disks) = (sample::vm("sample"), Vec::new());
    let has_fetcher = loaded.manifest.is_a(Kind::Fetcher);
    if let Some(fetcher) = has_fetcher.then(|| loaded.fetcher()).transpose()?.flatten() {
        vm = match fetcher.catalog(&sample::source(given)).and_then(|catalog| catalog.describe()) {
            Err(error) if error.kind == ErrorKind::Cannot => return Ok(None),
            described => described?,
        };
    } else {
        let path = Path::new(given).canonicalize().map_err(|error| PluginError::from_io(given, &error))?;
        let is_qcow2 = path.extension().is_some_and(|ending| ending == "qcow2");
        let format = if is_qcow2 { "qcow2" } else { "raw" };
        disks.push(AttachedDisk::new(path.to_string_lossy(), format));
    }
    let request = OpenGuest::new(vm, sample::source(given), private.clone());
    Ok(Some(request.with(|request| {
        request.disks = disks;
        request.socket_dir = private;
    })))
}

/// The run's host, which the kit can have ask the plugin to stop. Progress of a check is nobody's.
struct KitHost {
    cancelled: AtomicBool,
    run: Arc<dyn HostServices>,
}

impl CancelSwitch for KitHost {
    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
    fn resume(&self) {
        self.cancelled.store(false, Ordering::Relaxed);
    }
}

impl HostServices for KitHost {
    fn progress(&self, _: &Progress<'_>) {}
    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || self.run.cancelled()
    }
    fn secret(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.run.secret(name)
    }
    fn lend_secret(&self, value: &[u8]) -> Result<String> {
        self.run.lend_secret(value)
    }
    fn warn(&self, message: &str) {
        self.run.warn(message);
    }
    fn folder(&self) -> Result<String> {
        self.run.folder()
    }
    fn slot(&self, name: &str, limit: u32) -> Result<Slot> {
        self.run.slot(name, limit)
    }
    fn log(&self, record: &LogRecord) {
        self.run.log(record);
    }
    fn log_level(&self) -> u8 {
        self.run.log_level()
    }
}

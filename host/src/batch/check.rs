//! Holds a list against all that can be known before anything starts, and says all that is wrong with it at once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::limits::{HOST, SERVER, STORE};
use super::list::{self, List, Row};
use super::request::{Around, Asked};
use super::rows::{Batch, Vm, job};
use super::whereabouts;
use crate::config::secret::mask_uri;
use crate::config::{Command, Layer};
use crate::events::bytes;
use crate::machine::safe_name;
use crate::plugins::SecretStore;

/// So many problems are told of in words.
const TOLD: usize = 5;
/// Names that a VM's folder cannot have: the batch's own files.
const TAKEN: [&str; 3] = ["batch.json", "batch.md", "batch.html"];

/// Reads and checks a batch.
pub(super) fn check(asked: &Asked, around: &Around<'_>) -> Result<Batch> {
    read(asked, Some(around))
}

/// Reads a batch as far as its VMs and their folders are concerned: what they need to run is not looked at.
pub(super) fn check_names(asked: &Asked) -> Result<Batch> {
    read(asked, None)
}

fn read(asked: &Asked, around: Option<&Around<'_>>) -> Result<Batch> {
    let list = list::read(&asked.list, asked.source.as_deref())?;
    let List { output, defaults, mut limits, retries, rows } = list;
    asked.limits.iter().for_each(|limit| limits.set(limit.clone()));
    let dir = asked.output.clone().or(output).unwrap_or_else(|| PathBuf::from("."));
    let dir = std::path::absolute(&dir).unwrap_or(dir);
    let label = asked.list.display().to_string();
    let mut batch = Batch { label, dir, limits, retries, warnings: Vec::new(), vms: Vec::new(), defaults };
    let mut problems = Problems::default();
    let mut seen = Seen::default();
    for row in rows {
        let place = row.place.clone();
        match vm(&batch, row, around, &mut seen) {
            Ok(vm) => batch.vms.push(vm),
            Err(error) => problems.add(error.context(place)),
        }
    }
    problems.refuse()?;
    for finding in batch.vms.iter().flat_map(|vm| &vm.findings) {
        batch.warnings.push(format!("{} [{}]", escape(&finding.message), finding.code));
    }
    Ok(batch)
}

/// Warns of limits that no VM is under, once it is known where the VMs are. A VM that was not asked for may be anywhere.
pub(super) fn warn_of_unused_limits(batch: &mut Batch) {
    let somewhere = batch.vms.iter().any(|vm| whereabouts::lacks(batch, vm));
    let used: HashSet<&str> = batch.vms.iter().flat_map(|vm| &vm.keys).map(String::as_str).collect();
    let is_asked = |key: &str| key.split_once(':').is_some_and(|(kind, _)| [HOST, STORE].contains(&kind));
    let unused = batch.limits.unused(|key| used.contains(key) || (somewhere && is_asked(key)));
    let unused: Vec<String> =
        unused.map(|key| format!("no VM is read from {}, which has a limit", escape(key))).collect();
    batch.warnings.extend(unused);
}

/// Everything that is wrong.
#[derive(Default)]
struct Problems(Vec<PluginError>);

impl Problems {
    fn add(&mut self, error: PluginError) {
        self.0.push(error);
    }

    /// One sentence with the first one; the next ones follow in the hint.
    fn refuse(self) -> Result<()> {
        let count = self.0.len();
        let mut problems = self.0.into_iter();
        let Some(mut first) = problems.next() else { return Ok(()) };
        if count > 1 {
            let next: Vec<String> = problems.take(TOLD).map(|error| error.message).collect();
            let more = if count > TOLD + 1 { format!("; and {} more", count - TOLD - 1) } else { String::new() };
            let own = first.hint.take().map_or_else(String::new, |hint| format!("{hint}; "));
            first.hint = Some(format!("{own}further problems of the list: {}{more}", next.join("; ")));
        }
        Err(first)
    }
}

/// What rows must not have in common, and what need not be looked at twice.
#[derive(Default)]
struct Seen {
    /// Places by name.
    names: HashMap<String, String>,
    outputs: HashMap<PathBuf, String>,
    secrets: HashSet<String>,
}

fn vm(batch: &Batch, row: Row, around: Option<&Around<'_>>, seen: &mut Seen) -> Result<Vm> {
    let Some(source) = row.source().map(str::to_owned) else {
        return Err(
            PluginError::config("it names no source").hint("give it one, or --source TEMPLATE for all that have none")
        );
    };
    if mask_uri(&source) != source {
        return Err(PluginError::config("its source holds a password")
            .hint("put it under [secrets]: a list must not hold secrets"));
    }
    let shown = row
        .name
        .clone()
        .or_else(|| named_by(&source))
        .ok_or_else(|| PluginError::config("it has no name, and its source gives none").hint("give it a name"))?;
    let name = safe_name(&shown);
    if TAKEN.contains(&name.as_str()) {
        return Err(
            PluginError::unusable(format!("{name} is the name of a file of the batch")).hint("give it another name")
        );
    }
    if let Some(other) = seen.names.insert(name.clone(), row.place.clone()) {
        return Err(PluginError::unusable(format!(
            "the name {} becomes the folder {name}, as that of {other}",
            escape(&shown)
        ))
        .hint("give one of them another name"));
    }
    let mut settings = row.settings;
    let output = settings.remove("output").map(|output| output.as_str().map(PathBuf::from));
    let output = match output {
        None => batch.dir.join(&name),
        Some(Some(folder)) => base(&batch.label).join(folder),
        Some(None) => return Err(PluginError::config("its `output` must be a path")),
    };
    if let Some(other) = seen.outputs.insert(output.clone(), row.place.clone()) {
        return Err(PluginError::unusable(format!("its result goes to {}, as that of {other}", output.display()))
            .hint("each VM needs a folder of its own"));
    }
    if row.name.is_some() {
        settings.insert("name".to_owned(), serde_json::json!(shown));
    }
    let layer = Layer { label: row.place.clone(), base: Some(base(&batch.label)), tree: settings };
    let (source, warm) = match around {
        Some(around) => runnable(batch, &layer, &output, around, seen)?,
        None if source.contains("://") => (source, false),
        None => (base(&batch.label).join(source).display().to_string(), false),
    };
    let mut keys = row.keys;
    keys.extend(server(&source).map(|server| format!("{SERVER}:{server}")));
    let bytes = row.bytes.or_else(|| around.and_then(|_| local_bytes(&source)));
    Ok(Vm { name, source, output, group: row.group, warm, keys, bytes, findings: row.findings, layer })
}

/// Resolves the job of a VM, and looks for its secrets. Returns its source, and whether it is migrated in rounds.
fn runnable(
    batch: &Batch,
    layer: &Layer,
    output: &PathBuf,
    around: &Around<'_>,
    seen: &mut Seen,
) -> Result<(String, bool)> {
    let job = job(batch.defaults.as_ref(), &batch.limits, (layer, Some(output)), around, Command::Migrate)?;
    let places = format!("{:?} {:?}", job.settings.secrets, job.settings.keys);
    if seen.secrets.insert(places) {
        SecretStore::of_job(&job).check().map_err(|error| error.of_kind(ErrorKind::Config))?;
    }
    for out in &job.settings.disk_out {
        let device = out.device.canonicalize().unwrap_or_else(|_| out.device.clone());
        if let Some(other) = seen.outputs.insert(device, layer.label.clone()) {
            let device = out.device.display();
            return Err(PluginError::unusable(format!("a disk of it goes onto {device}, as one of {other}"))
                .hint("each disk needs a device of its own"));
        }
    }
    Ok((job.settings.source.uri.unwrap_or_default(), job.settings.warm.enabled))
}

/// The folder of the list: what paths in it are relative to.
fn base(label: &str) -> PathBuf {
    let list = std::path::absolute(label).unwrap_or_else(|_| PathBuf::from(label));
    list.parent().map(Path::to_owned).unwrap_or_default()
}

/// The name that a source has by itself: the last part of its path, without an ending.
fn named_by(source: &str) -> Option<String> {
    let path = match source.split_once("://") {
        Some((_, rest)) => rest.split(['?', '#']).next()?.split_once('/')?.1,
        None => source,
    };
    let last = path.trim_end_matches('/').rsplit('/').next().filter(|last| !last.is_empty())?;
    let name = crate::uri::unescape(last).and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or(last.to_owned());
    let stem = Path::new(&name).file_stem()?.to_string_lossy().into_owned();
    Some(stem)
}

/// The server of a URI.
fn server(source: &str) -> Option<String> {
    let (_, rest) = source.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next().filter(|host| !host.is_empty())?;
    Some(host.to_lowercase())
}

/// What a source on this machine takes there: a folder's files, or those that begin with a descriptor's name. `None`: not known.
fn local_bytes(source: &str) -> Option<u64> {
    if source.contains("://") {
        return None;
    }
    let path = Path::new(source);
    let stored = |path: &Path| path.metadata().ok().filter(|found| found.is_file()).map(|found| found.blocks() * 512);
    let of_folder = |folder: &Path, begin: &str| {
        let entries = std::fs::read_dir(folder).ok()?.flatten();
        let of_it = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(begin));
        Some(of_it.filter_map(|entry| stored(&entry.path())).sum())
    };
    if path.is_dir() {
        return of_folder(path, "");
    }
    let begin = path.file_stem()?.to_string_lossy();
    of_folder(path.parent()?, &begin).filter(|bytes| *bytes > 0)
}

/// Refuses when what is still to be copied does not fit, as far as its size is known. `open`: the VMs that are not done.
pub(super) fn check_space<'a>(open: impl Iterator<Item = &'a Vm>) -> Result<()> {
    let mut needed: BTreeMap<u64, (u64, PathBuf)> = BTreeMap::new();
    for vm in open {
        let there = vm.output.ancestors().find(|folder| folder.is_dir());
        let (Some(there), Some(bytes)) = (there, vm.bytes) else { continue };
        let Ok(device) = there.metadata().map(|found| found.dev()) else { continue };
        let (sum, _) = needed.entry(device).or_insert_with(|| (0, there.to_owned()));
        *sum = sum.saturating_add(bytes);
    }
    for (sum, folder) in needed.into_values() {
        let found = rustix::fs::statvfs(&folder)
            .map_err(|error| crate::journal::output_error(folder.display(), &error.into()))?;
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        if sum > free {
            return Err(PluginError::output(format!(
                "{} has {} free, the VMs of the batch use {}",
                folder.display(),
                bytes(free),
                bytes(sum)
            ))
            .hint("free some space, give some VMs an `output` on another file system, or run a part with --only"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_have_names_and_servers_of_their_own() {
        for (source, name, host) in [
            ("far://root@vc.example:443/dc/vm/Web%20Server", Some("Web Server"), Some("vc.example:443")),
            ("far://VC/?moref=vm-12", None, Some("vc")),
            ("far://vc", None, Some("vc")),
            ("/vms/web/web.vmx", Some("web"), None),
            ("web/", Some("web"), None),
        ] {
            assert_eq!((named_by(source).as_deref(), server(source).as_deref()), (name, host), "{source}");
        }
    }

    #[test]
    fn a_source_of_this_machine_says_what_it_takes() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, kib: usize| std::fs::write(folder.path().join(name), vec![1; kib << 10]).unwrap();
        write("web.vmx", 4);
        write("web-flat.vmdk", 64);
        write("other.vmdk", 128);
        let of = |name: &str| local_bytes(folder.path().join(name).to_str().unwrap());
        assert_eq!((of("web.vmx"), of(""), of("none.vmx")), (Some(68 << 10), Some(196 << 10), None));
        assert_eq!(local_bytes("far://vc/x"), None);
    }
}

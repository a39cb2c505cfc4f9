//! Where VMs are: the host that each runs on and the storage of its disks, as far as a limit needs to know and the list does not say. Each server is
//! asked once, as `inventory` asks it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use vmdk2kvm_plugin_api::model::VmSummary;
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::limits::{HOST, STORE, is_place};
use super::request::Around;
use super::rows::{Batch, Vm, job};
use crate::config::{Command, Job};
use crate::events::{ErrorDocument, EventSink};
use crate::uri::unescape;
use crate::worker;

/// A VM of a server.
struct Found {
    summary: VmSummary,
    /// The same as its catalog tells it, with the names that only this kind of source has: a source's query may have them.
    told: Value,
    path: Vec<String>,
}

impl Found {
    fn new(told: Value) -> Result<Self> {
        let summary = VmSummary::deserialize(&told)
            .map_err(|error| PluginError::defect(format!("an inventory that cannot be read: {error}")))?;
        let path = summary.path.as_deref().map(parts).unwrap_or_default();
        Ok(Self { summary, told, path })
    }

    /// Whether that is its name of this kind; `None` when it has none of the kind.
    fn is_called(&self, kind: &str, name: &str) -> Option<bool> {
        match self.told.get(kind)? {
            Value::String(text) => Some(text.eq_ignore_ascii_case(name)),
            Value::Number(number) => Some(number.to_string() == name),
            _ => None,
        }
    }
}

/// Adds the keys of these VMs that limits are about, and the bytes that they use.
pub(super) fn fill(batch: &mut Batch, vms: &[usize], around: &Around<'_>) -> Result<()> {
    let mut servers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for index in vms.iter().copied().filter(|index| lacks(batch, &batch.vms[*index])) {
        servers.entry(server(&batch.vms[index].source).0).or_default().push(index);
    }
    for (server, vms) in servers {
        let found = ask(&ask_job(batch, &batch.vms[vms[0]], around)?)
            .map_err(|error| error.context(format!("asking where the VMs of {} are", shown(&server))))?;
        for index in vms {
            let vm = &mut batch.vms[index];
            match choose(&vm.source, &found) {
                Some(found) => take(vm, &found.summary),
                None => batch.warnings.push(format!(
                    "{}: {} does not tell where it is, so limits of {HOST} and {STORE} do not hold for it",
                    vm.name,
                    shown(&server)
                )),
            }
        }
    }
    Ok(())
}

/// Whether a limit is about a kind of place that a VM of a server may have, and the list does not say.
pub(super) fn lacks(batch: &Batch, vm: &Vm) -> bool {
    let has = |kind: &str| vm.keys.iter().any(|key| key.split_once(':').is_some_and(|(of, _)| of == kind));
    vm.source.contains("://") && [HOST, STORE].iter().any(|kind| batch.limits.are_about(kind) && !has(kind))
}

/// The server of a source, and its query: a list of all VMs is not about the one that it names.
fn server(source: &str) -> (String, &str) {
    let (place, query) = source.split_once('?').unwrap_or((source, ""));
    let (scheme, rest) = place.split_once("://").unwrap_or(("", place));
    (format!("{scheme}://{}/", rest.split('/').next().unwrap_or_default()), query)
}

fn shown(server: &str) -> String {
    escape(server.trim_end_matches('/')).into_owned()
}

/// The job that lists a server's VMs under the settings of one that is read there.
fn ask_job(batch: &Batch, vm: &Vm, around: &Around<'_>) -> Result<Job> {
    let (server, query) = server(&vm.source);
    let mut job = job(batch.defaults.as_ref(), &batch.limits, (&vm.layer, None), around, Command::Inventory)?;
    job.settings.source.uri = Some(if query.is_empty() { server } else { format!("{server}?{query}") });
    job.settings.source.vm = None;
    job.settings.name = None;
    Ok(job)
}

fn ask(job: &Job) -> Result<Vec<Found>> {
    let answer = worker::run(job, &EventSink::default());
    if let Some(ErrorDocument { kind, message, hint, .. }) = answer.error {
        let kind = serde_json::from_value(json!(kind)).map_err(|error| PluginError::defect(error.to_string()))?;
        let error = PluginError::new(kind, message);
        return Err(hint.map_or_else(|| error.clone(), |hint| error.clone().hint(hint)));
    }
    let vms = answer.result.map(|mut result| result["vms"].take()).unwrap_or_default();
    let Value::Array(vms) = vms else { return Ok(Vec::new()) };
    vms.into_iter().map(Found::new).collect()
}

/// The parts of a path, as people write them.
fn parts(path: &str) -> Vec<String> {
    let part = |part: &str| unescape(part).and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or(part.to_owned());
    path.split('/').filter(|text| !text.is_empty()).map(part).collect()
}

/// The one that a source names: by a name in its query, by its whole path, or by the end of its path where no other ends so.
fn choose<'a>(source: &str, found: &'a [Found]) -> Option<&'a Found> {
    let one = |is_it: &dyn Fn(&Found) -> bool| {
        let mut those = found.iter().filter(|one| is_it(one));
        those.next().filter(|_| those.next().is_none())
    };
    let (place, query) = source.split_once('?').unwrap_or((source, ""));
    for (kind, value) in query.split('&').filter_map(|part| part.split_once('=')) {
        if found.iter().any(|one| one.is_called(kind, "").is_some()) {
            // A type may stand before it.
            let value = parts(value).join("/");
            let name = value.rsplit(':').next().unwrap_or_default();
            return one(&|it| it.is_called(kind, name) == Some(true));
        }
    }
    let (_, path) = place.split_once("://")?.1.split_once('/')?;
    let wanted = Some(parts(path)).filter(|wanted| !wanted.is_empty())?;
    one(&|it| it.path == wanted).or_else(|| one(&|it| it.path.ends_with(&wanted)))
}

fn take(vm: &mut Vm, summary: &VmSummary) {
    let host = summary.host.iter().map(|host| format!("{HOST}:{host}"));
    let stores = summary.datastores.iter().map(|store| format!("{STORE}:{store}"));
    let keys: Vec<String> = host.chain(stores).filter(|key| is_place(key) && !vm.keys.contains(key)).collect();
    vm.keys.extend(keys);
    vm.bytes = vm.bytes.or(summary.used_bytes);
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::model::{Cpus, Firmware, VmSpec};

    use super::*;

    fn found(path: &str, id: &str) -> Found {
        let summary = VmSummary::new(VmSpec::new("x", Firmware::Bios, Cpus::new(1, 1), 1)).with(|it| {
            it.path = Some(path.to_owned());
            it.names.insert("moref".to_owned(), id.into());
            it.vm.uuid = Some(format!("564d-{id}"));
        });
        Found::new(serde_json::to_value(summary).unwrap()).unwrap()
    }

    #[test]
    fn a_source_names_one_of_its_servers_vms_or_none() {
        let all = [found("/dc/vm/a/web", "vm-1"), found("/dc/vm/b/web", "vm-2"), found("/dc/vm/my%20db%2f1", "vm-3")];
        for (source, id) in [
            ("far://h/dc/vm/b/web", Some("vm-2")),
            ("far://h/a/web?thumbprint=x", Some("vm-1")),
            ("far://h/web", None),
            ("far://h/my%20db%2F1", Some("vm-3")),
            ("far://h/eb", None),
            ("far://h/", None),
            ("far://h?moref=VirtualMachine:vm-2", Some("vm-2")),
            ("far://h/?uuid=564D-VM-3&snapshot=x", Some("vm-3")),
            ("far://h/?moref=vm-9", None),
        ] {
            assert_eq!(choose(source, &all).and_then(|it| it.told["moref"].as_str()), id, "{source}");
        }
    }

    #[test]
    fn a_server_is_a_source_without_its_path() {
        for (source, expected) in [
            ("far://me@h:1/a/b?snapshot=x&thumbprint=12", ("far://me@h:1/", "snapshot=x&thumbprint=12")),
            ("far://h", ("far://h/", "")),
            ("far://h?moref=vm-1", ("far://h/", "moref=vm-1")),
        ] {
            let (server, query) = server(source);
            assert_eq!((server.as_str(), query), expected);
        }
    }
}

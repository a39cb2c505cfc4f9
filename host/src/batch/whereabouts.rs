//! Where VMs are: the host that each runs on and the storage of its disks, as far as a limit needs to know and the list does not say. Each server is
//! asked once, as `inventory` asks it.

use std::collections::BTreeMap;

use serde_json::json;
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

/// What may stand in a source's query for its VM, not for its server.
const OF_VM: [&str; 3] = ["moref", "uuid", "snapshot"];

/// Adds the keys of these VMs that limits are about, and the bytes that they use.
pub(super) fn fill(batch: &mut Batch, vms: &[usize], around: &Around<'_>) -> Result<()> {
    let mut servers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for index in vms.iter().copied().filter(|index| lacks(batch, &batch.vms[*index])) {
        servers.entry(server(&batch.vms[index].source)).or_default().push(index);
    }
    for (server, vms) in servers {
        let found = ask(&ask_job(batch, &batch.vms[vms[0]], &server, around)?)
            .map_err(|error| error.context(format!("asking where the VMs of {} are", shown(&server))))?;
        for index in vms {
            let vm = &mut batch.vms[index];
            match choose(&vm.source, &found) {
                Some(summary) => take(vm, summary),
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

/// A source without what names its VM.
fn server(source: &str) -> String {
    let (place, query) = source.split_once('?').unwrap_or((source, ""));
    let (scheme, rest) = place.split_once("://").unwrap_or(("", place));
    let authority = rest.split('/').next().unwrap_or_default();
    let kept = query.split('&').filter(|part| !OF_VM.contains(&part.split('=').next().unwrap_or_default()));
    let kept = kept.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&");
    format!("{scheme}://{authority}/{}{kept}", if kept.is_empty() { "" } else { "?" })
}

fn shown(server: &str) -> String {
    escape(server.split('?').next().unwrap_or_default().trim_end_matches('/')).into_owned()
}

/// The job that lists a server's VMs under the settings of one that is read there.
fn ask_job(batch: &Batch, vm: &Vm, server: &str, around: &Around<'_>) -> Result<Job> {
    let mut job = job(batch.defaults.as_ref(), &batch.limits, (&vm.layer, None), around, Command::Inventory)?;
    job.settings.source.uri = Some(server.to_owned());
    job.settings.source.vm = None;
    job.settings.name = None;
    Ok(job)
}

fn ask(job: &Job) -> Result<Vec<VmSummary>> {
    let answer = worker::run(job, &EventSink::default());
    if let Some(ErrorDocument { kind, message, hint, .. }) = answer.error {
        let kind = serde_json::from_value(json!(kind)).map_err(|error| PluginError::defect(error.to_string()))?;
        let error = PluginError::new(kind, message);
        return Err(hint.map_or_else(|| error.clone(), |hint| error.clone().hint(hint)));
    }
    let vms = answer.result.map(|mut result| result["vms"].take()).unwrap_or_default();
    serde_json::from_value(vms)
        .map_err(|error| PluginError::defect(format!("an inventory that cannot be read: {error}")))
}

/// The parts of a path, as people write them.
fn parts(path: &str) -> Vec<String> {
    let part = |part: &str| unescape(part).and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or(part.to_owned());
    path.split('/').filter(|text| !text.is_empty()).map(part).collect()
}

/// The one that a source names: by a word of its query, by its whole path, or by the end of its path where no other ends so.
fn choose<'a>(source: &str, found: &'a [VmSummary]) -> Option<&'a VmSummary> {
    let (place, query) = source.split_once('?').unwrap_or((source, ""));
    let one = |is_it: &dyn Fn(&VmSummary) -> bool| {
        let mut those = found.iter().filter(|summary| is_it(summary));
        those.next().filter(|_| those.next().is_none())
    };
    for (word, value) in query.split('&').filter_map(|part| part.split_once('=')) {
        let value = parts(value).join("/");
        match word {
            "moref" => {
                let id = value.rsplit(':').next().unwrap_or_default();
                return one(&|summary| summary.names.get("moref").is_some_and(|moref| moref == id));
            }
            "uuid" => {
                return one(&|it| it.vm.uuid.as_ref().is_some_and(|uuid| uuid.eq_ignore_ascii_case(&value)));
            }
            _ => {}
        }
    }
    let (_, path) = place.split_once("://")?.1.split_once('/')?;
    let wanted = parts(path);
    let path = |summary: &VmSummary| summary.path.as_deref().map(parts).unwrap_or_default();
    one(&|summary| path(summary) == wanted)
        .or_else(|| one(&|summary| !wanted.is_empty() && path(summary).ends_with(&wanted)))
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

    fn found(path: &str, moref: &str) -> VmSummary {
        VmSummary::new(VmSpec::new("x", Firmware::Bios, Cpus::new(1, 1), 1)).with(|it| {
            it.path = Some(path.to_owned());
            it.names.insert("moref".to_owned(), moref.into());
            it.vm.uuid = Some(format!("564d-{moref}"));
        })
    }

    #[test]
    fn a_source_names_one_of_its_servers_vms_or_none() {
        let all = [found("/dc/vm/a/web", "vm-1"), found("/dc/vm/b/web", "vm-2"), found("/dc/vm/my%20db%2f1", "vm-3")];
        for (source, moref) in [
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
            let named = choose(source, &all).map(|it| it.names["moref"].as_str().unwrap());
            assert_eq!(named, moref, "{source}");
        }
    }

    #[test]
    fn a_server_is_a_source_without_its_vm() {
        for (source, asked) in [
            ("far://me@h:1/a/b?snapshot=x&thumbprint=12&moref=vm-1", "far://me@h:1/?thumbprint=12"),
            ("far://h", "far://h/"),
            ("far://h?moref=vm-1", "far://h/"),
        ] {
            assert_eq!(server(source), asked);
        }
    }
}

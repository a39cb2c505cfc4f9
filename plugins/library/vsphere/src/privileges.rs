//! What the user may not do with a VM, by the server's own word, before it is tried.

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{Finding, Severity, Way};
use vmdk2kvm_plugin_api::text::escape;

use crate::collector;
use crate::machine::Machine;
use crate::request::{Elements, Moref, Request};
use crate::session::Session;
use crate::{datastore, ways};

/// What reading files of a datastore needs there.
const FILES: [&str; 2] = ["Datastore.Browse", "Datastore.FileManagement"];
/// What exporting needs on the VM.
const EXPORT: [&str; 1] = ["VApp.Export"];
/// What a snapshot needs on the VM.
const SNAPSHOT: [&str; 2] = ["VirtualMachine.State.CreateSnapshot", "VirtualMachine.State.RemoveSnapshot"];

/// The privileges that the user lacks, each once; none where the server does not say: it refuses what is tried, then.
pub fn lacking(session: &Session, vm: &Moref, datastores: &[Moref]) -> Vec<&'static str> {
    let on_vm: Vec<&'static str> = EXPORT.into_iter().chain(SNAPSHOT).collect();
    let asked = ask(session, std::slice::from_ref(vm), &on_vm).and_then(|mut found| {
        if !datastores.is_empty() {
            found.extend(ask(session, datastores, &FILES)?);
        }
        Ok(found)
    });
    asked.unwrap_or_default()
}

fn ask(session: &Session, entities: &[Moref], privileges: &[&'static str]) -> Result<Vec<&'static str>> {
    let what = "asking for the user's privileges";
    let own = collector::read(session, &session.service("sessionManager")?, &["currentSession"], what)?;
    let Some(key) = own.get("currentSession").and_then(|own| own.text("key")) else { return Ok(Vec::new()) };
    let arguments = Elements::new()
        .each(entities, |to, entity| to.object("entity", entity))
        .text("sessionId", key)
        .each(privileges, |to, privilege| to.text("privId", privilege));
    let manager = session.service("authorizationManager")?;
    let answer = session.ask(&Request::new("HasPrivilegeOnEntities", &manager, arguments), what)?;
    let denied = answer.all("returnval").flat_map(|entity| {
        entity
            .all("privAvailability")
            .filter(|it| it.is_on("isGranted") == Some(false))
            .filter_map(|it| it.text("privId"))
    });
    let denied: Vec<&str> = denied.collect();
    Ok(privileges.iter().copied().filter(|privilege| denied.contains(privilege)).collect())
}

/// The findings of what the user lacks. Disks lose the ways that are closed by it.
pub fn examine(machine: &mut Machine, lacking: &[&str]) -> Vec<Finding> {
    let lacks = |of: &[&'static str]| {
        of.iter().copied().filter(|privilege| lacking.contains(privilege)).collect::<Vec<&'static str>>()
    };
    let mut findings = Vec::new();
    let readable = |machine: &Machine| {
        let is_open = |way: &Way| way.scheme != ways::DISK;
        machine.spec.disks.iter().filter(|disk| disk.ways.iter().any(is_open)).count()
    };
    let before = readable(machine);
    for (schemes, needed, what) in [
        (&[datastore::SCHEME][..], lacks(&FILES), "read files of its datastores"),
        (&[ways::LEASE, ways::OVF], lacks(&EXPORT), "export it"),
    ] {
        if needed.is_empty() {
            continue;
        }
        for disk in &mut machine.spec.disks {
            disk.ways.retain(|way| !schemes.contains(&way.scheme.as_str()));
        }
        findings.push(finding(Severity::Warn, what, &needed));
    }
    // Where another way is open it is taken.
    if readable(machine) < before {
        findings.iter_mut().for_each(|finding| finding.severity = Severity::Block);
    }
    let needed = lacks(&SNAPSHOT);
    if machine.runs() && !needed.is_empty() {
        findings.push(finding(Severity::Warn, "make and remove its snapshots", &needed));
    }
    findings
}

fn finding(severity: Severity, what: &str, needed: &[&str]) -> Finding {
    let message = format!("this user may not {what}: {} is missing", escape(&needed.join(", ")));
    Finding::new("privilege-missing", severity, message)
        .hint("give the user a role with it on the VM and its datastores, or name another user")
}

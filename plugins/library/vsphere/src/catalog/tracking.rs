//! Changed block tracking: turned on and off, and asked.

use std::collections::BTreeMap;

use vmdk2kvm_plugin_api::model::{Changed, Hold, HoldWish};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::VmCatalog;
use super::hold::Notes;
use crate::api::Api;
use crate::machine::Machine;
use crate::request::{Elements, Moref, Request};
use crate::session::Failed;
use crate::{Tree, task};

/// The key among a VM's own settings that says which run turned tracking on.
const MARK: &str = "vmdk2kvm.tracking";

/// The run that turned tracking on.
fn marked(api: &dyn Api, vm: &Moref) -> Result<Option<String>> {
    let object = api.read(vm, &["config.extraConfig"], "reading the VM's settings")?;
    let all = object.get("config.extraConfig").map(|list| list.children.as_slice()).unwrap_or_default();
    let own = all.iter().find(|option| option.text("key") == Some(MARK));
    Ok(own.and_then(|option| option.text("value")).map(str::to_owned))
}

fn set(catalog: &VmCatalog, vm: &Moref, on: bool, mark: &str, what: &str) -> Result<()> {
    let option = Elements::new().text("key", MARK).any_text("value", mark);
    let spec = Elements::new().group("extraConfig", option).switch("changeTrackingEnabled", on);
    let request = Request::new("ReconfigVM_Task", vm, Elements::new().group("spec", spec));
    let session = catalog.api()?.session();
    task::run(session, None, &request, what).map(drop).map_err(|failed| session.error(failed, what))
}

/// Turns tracking on where that is wished and it is off. Whether this run turned it on.
pub(super) fn begin(catalog: &VmCatalog, machine: &Machine, wish: &HoldWish) -> Result<bool> {
    if machine.tracking == Some(true) {
        return Ok(marked(catalog.api()?, &machine.moref)?.as_deref() == Some(&wish.run));
    }
    if wish.change_tracking {
        refuse_untrackable(machine, "leave --enable-cbt out")?;
        let what = format!("turning change tracking of {} on", escape(&machine.spec.name));
        set(catalog, &machine.moref, true, &wish.run, &what)?;
    }
    Ok(wish.change_tracking)
}

/// Refuses a VM whose changed blocks cannot be tracked.
pub(super) fn refuse_untrackable(machine: &Machine, hint: &str) -> Result<()> {
    let Some(why) = &machine.not_trackable else { return Ok(()) };
    let vm = escape(&machine.spec.name);
    let message = format!("changed blocks of {vm} cannot be tracked: {why} (cbt-unsupported)");
    Err(PluginError::new(ErrorKind::Blocked, message).hint(hint))
}

/// Turns tracking off again that this run turned on.
pub(super) fn end(catalog: &VmCatalog, vm: &Moref, run: &str) -> Result<()> {
    if marked(catalog.api()?, vm)?.as_deref() == Some(run) {
        set(catalog, vm, false, "", "turning change tracking off again")?;
    }
    Ok(())
}

/// Of each disk by its key the word since which later changes can be asked for.
pub(super) fn change_ids(devices: &Tree) -> BTreeMap<String, String> {
    let id = |device: &Tree| Some((device.text("key")?.to_owned(), device.text("backing.changeId")?.to_owned()));
    devices.children.iter().filter_map(id).collect()
}

/// The number of a tracking, which stands before the slash of its words: another one says that tracking began anew.
fn generation(word: &str) -> &str {
    word.split('/').next().unwrap_or_default()
}

/// A page of the areas of a disk that changed since a word, or with `*` of those that were ever written.
pub(super) fn changed(catalog: &VmCatalog, hold: &Hold, disk: &str, since: &str, from: u64) -> Result<Changed> {
    let notes = Notes::of(hold)?;
    let what = format!("asking for the changed areas of disk {}", escape(disk));
    let vm = notes.machine();
    let snapshot = notes.snapshot.ok_or_else(|| PluginError::cannot("telling changed areas without a snapshot"))?;
    let snapshot = Moref::new("VirtualMachineSnapshot", snapshot);
    let devices = catalog.devices(&snapshot)?;
    let device = devices
        .children
        .iter()
        .find(|device| device.text("key") == Some(disk) && device.find("capacityInKB").is_some());
    let device = device.ok_or_else(|| PluginError::unusable(format!("{what}: the snapshot has no such disk")))?;
    let began_anew = |why: &str| {
        PluginError::unusable(format!("{what}: tracking began anew since then ({why})"))
            .hint("the disk has to be copied in full again")
    };
    if let Some(now) = hold.since.get(disk).filter(|now| since != "*" && generation(now) != generation(since)) {
        return Err(began_anew(&format!("{} is now {}", escape(generation(since)), escape(generation(now)))));
    }
    let kilobytes = device.number::<u64>("capacityInKB").unwrap_or_default();
    let capacity = device.number("capacityInBytes").unwrap_or(kilobytes.saturating_mul(1024));
    let key: i64 = disk.parse().map_err(|_| PluginError::defect(format!("{what}: that is no key")))?;
    let arguments = Elements::new()
        .object("snapshot", &snapshot)
        .number("deviceKey", key)
        .number("startOffset", from)
        .text("changeId", since);
    let session = catalog.api()?.session();
    let answer = match session.try_ask(&Request::new("QueryChangedDiskAreas", &vm, arguments)) {
        Err(Failed::Fault(fault)) if matches!(fault.kind.as_str(), "FileFault" | "InvalidArgument") => {
            return Err(began_anew(&fault.kind));
        }
        answer => answer.map_err(|failed| session.error(failed, &what))?,
    };
    page(answer.find("returnval").unwrap_or(&Tree::default()), from, capacity).ok_or_else(|| {
        PluginError::io(format!("{what}: {} answers with areas that make no sense", session.server()))
            .hint("run the same command again; if it stays so, migrate the VM in one go")
    })
}

/// The areas of an answer; `None` when they are out of order, outside of the disk, or when the answer covers nothing.
fn page(answer: &Tree, from: u64, capacity: u64) -> Option<Changed> {
    let (start, length) = (answer.number::<u64>("startOffset")?, answer.number::<u64>("length")?);
    let end = start.checked_add(length).filter(|end| start <= from && *end > from && *end <= capacity)?;
    let (mut areas, mut at) = (Vec::new(), start);
    for area in answer.all("changedArea") {
        let (begin, length) = (area.number::<u64>("start")?, area.number::<u64>("length")?);
        let stop = begin.checked_add(length).filter(|stop| begin >= at && length > 0 && *stop <= end)?;
        areas.push((begin, length));
        at = stop;
    }
    Some(Changed::new(areas).with(|it| it.next = (end < capacity).then_some(end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(start: u64, length: u64, areas: &[(u64, u64)]) -> Tree {
        let areas: String = areas
            .iter()
            .map(|(at, size)| format!("<changedArea><start>{at}</start><length>{size}</length></changedArea>"))
            .collect();
        Tree::parse(
            &format!("<returnval><startOffset>{start}</startOffset><length>{length}</length>{areas}</returnval>"),
            "vc",
        )
        .unwrap()
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let first = page(&answer(0, 60, &[(0, 10), (20, 40)]), 0, 100).unwrap();
        assert_eq!((first.areas.as_slice(), first.next), (&[(0, 10), (20, 40)][..], Some(60)));
        let last = page(&answer(60, 40, &[]), 60, 100).unwrap();
        assert_eq!((last.areas.len(), last.next), (0, None), "a page without areas is no end by itself");
    }

    #[test]
    fn answers_that_would_lose_data_or_never_end_are_refused() {
        for (start, length, areas) in [
            (0, 0, &[][..]),
            (0, 101, &[]),
            (10, 50, &[]),
            (0, 60, &[(50, 20)]),
            (0, 60, &[(20, 10), (10, 5)]),
            (0, 60, &[(20, 0)]),
            (0, 60, &[(u64::MAX, 2)]),
            (u64::MAX, 2, &[]),
        ] {
            assert_eq!(page(&answer(start, length, areas), 0, 100), None, "{start} {length} {areas:?}");
        }
        assert_eq!(page(&Tree::default(), 0, 100), None);
    }
}

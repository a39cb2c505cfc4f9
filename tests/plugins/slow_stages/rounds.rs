//! A machine that is written to while it is read, as a source of rounds sees it: in the folder `SLOW_LIVE`, which a test keeps. Of several machines
//! each has a folder of its own there, with the name of its disk.
//!
//! `changes` has a line for each write of the guest: offset and length. A hold of a round copies the disk, and its word is `TRACKING/LINES`: how many lines
//! there were then. `tracking` there changes when tracking begins anew. `power` is `on` or `off`, and `deaf` there makes the guest hear no request; `untracked`
//! makes holds without words. `counts` takes a line for each page that is asked for.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::model::{Changed, Controller, Disk, Hold, HoldWish, PowerState, PowerWish, Release, Way};
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use crate::SlowStages;

/// Areas of a page.
const PAGE: usize = 2;
/// The disk's key.
pub(crate) const DISK: &str = "disk-1";

/// The folder of the machine with this disk.
pub(crate) fn folder(disk: &str) -> Option<PathBuf> {
    let all = std::env::var_os("SLOW_LIVE").map(PathBuf::from)?;
    let own = all.join(Path::new(disk).file_stem()?);
    Some(if own.is_dir() { own } else { all })
}

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_default().trim().to_owned()
}

fn lines(folder: &Path) -> Vec<(u64, u64)> {
    let line = |line: &str| {
        let (offset, length) = line.split_once(' ').unwrap();
        (offset.parse().unwrap(), length.parse().unwrap())
    };
    text(folder, "changes").lines().map(line).collect()
}

/// What tells the disk from another one.
pub(crate) fn uuid(folder: &Path) -> String {
    text(folder, "uuid")
}

/// A second disk, which nobody writes to: the file that `second` names, as long as it does.
pub(crate) fn second(folder: &Path) -> Option<Disk> {
    let path = text(folder, "second");
    let mut disk = Disk::new("second", Controller::Scsi, 0, 1);
    disk.id = "disk-2".to_owned();
    disk.ways.push(Way::new("slow", &path, "raw"));
    (!path.is_empty()).then_some(disk)
}

/// The file that is read: what this hold has of the disk.
pub(crate) fn frozen(hold: &Hold) -> Option<String> {
    hold.notes["frozen"].as_str().map(str::to_owned)
}

/// Holds the disk as it is now.
pub(crate) fn hold(slow: &SlowStages, folder: &Path, disk: &str, wish: &HoldWish) -> Result<Hold> {
    let frozen = folder.join(format!("frozen-{}", wish.run));
    // An earlier round's, of a run that died.
    let _ = fs::remove_file(&frozen);
    if wish.change_tracking && text(folder, "tracking").is_empty() {
        fs::write(folder.join("tracking"), format!("t{} {}", lines(folder).len(), wish.run)).unwrap();
    }
    fs::copy(disk, &frozen).unwrap();
    // It is taken, and nobody knows yet. Whoever fails leaves nothing.
    slow.stop_in("hold").inspect_err(|_| fs::remove_file(&frozen).unwrap())?;
    let tracking = text(folder, "tracking");
    let (generation, by) = tracking.split_once(' ').unwrap_or((&tracking, ""));
    Ok(Hold::new(&wish.run).with(|hold| {
        hold.took = vec!["a frozen copy".to_owned()];
        if by == wish.run {
            hold.kept = vec!["tracking was turned on".to_owned()];
            hold.took.extend(hold.kept.clone());
        }
        if !folder.join("untracked").exists() {
            hold.since.insert(DISK.to_owned(), format!("{generation}/{}", lines(folder).len()));
            hold.since.insert("disk-2".to_owned(), format!("{generation}/0"));
        }
        hold.frozen = true;
        hold.notes = serde_json::json!({ "frozen": frozen });
    }))
}

/// A page of the areas that the guest wrote to between two holds.
pub(crate) fn changed(slow: &SlowStages, folder: &Path, hold: &Hold, since: &str, from: u64) -> Result<Changed> {
    slow.stop_in("changed")?;
    let mut counts = OpenOptions::new().create(true).append(true).open(folder.join("counts")).unwrap();
    writeln!(counts, "{since} {from}").unwrap();
    let (generation, before) = since.split_once('/').unwrap();
    let (now, until) = hold.since[DISK].split_once('/').unwrap();
    if generation != now {
        return Err(PluginError::unusable("tracking began anew"));
    }
    let lines = lines(folder);
    let mut areas: Vec<(u64, u64)> = lines[before.parse().unwrap()..until.parse().unwrap()].to_vec();
    areas.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (offset, length) in areas {
        match merged.last_mut() {
            Some(last) if offset <= last.0 + last.1 => last.1 = last.1.max(offset + length - last.0),
            _ => merged.push((offset, length)),
        }
    }
    merged.retain(|(offset, _)| *offset >= from);
    let next = merged.get(PAGE).map(|(offset, _)| *offset);
    merged.truncate(PAGE);
    Ok(Changed::new(merged).with(|page| page.next = next))
}

/// Asks for the power, or changes it.
pub(crate) fn power(folder: &Path, wish: PowerWish) -> Result<PowerState> {
    let is_on = || text(folder, "power") == "on";
    match wish {
        PowerWish::Ask if folder.join("absent").exists() => {
            return Err(
                PluginError::new(ErrorKind::Blocked, "the guest cannot be asked").hint("shut it down from within")
            );
        }
        PowerWish::Ask if !folder.join("deaf").exists() => fs::write(folder.join("power"), "off").unwrap(),
        PowerWish::Off => fs::write(folder.join("power"), "off").unwrap(),
        PowerWish::On => panic!("a machine is never switched on"),
        _ => {}
    }
    Ok(if is_on() { PowerState::On } else { PowerState::Off })
}

/// Gives back what is there.
pub(crate) fn release(slow: &SlowStages, folder: &Path, hold: &Hold, why: Release) -> Result<()> {
    if std::env::var_os("SLOW_RELEASE_FAILS").is_some() {
        return Err(PluginError::io("no route to the machine"));
    }
    let _ = fs::remove_file(folder.join(format!("frozen-{}", hold.id)));
    if why != Release::Round && text(folder, "tracking").ends_with(&format!(" {}", hold.id)) {
        fs::remove_file(folder.join("tracking")).unwrap();
    }
    slow.stop_in("release")
}

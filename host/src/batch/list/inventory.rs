//! JOBS as a folder with an inventory in CSV, one file for each sheet, as RVTools writes it: `vInfo` names the VMs, `vDisk` their datastores.
//!
//! Columns are found by their names without case, blanks and units, since they differ from version to version. Names of VMs are not unique, so
//! a VM is known by its id and its server.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::model::{Finding, Severity};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::table::Sheet;
use super::{List, Retries, Row};
use crate::batch::limits::{HOST, Limits, STORE, is_place};

/// Reads the sheets.
pub(super) fn read(folder: &Path) -> Result<List> {
    let info = sheet(folder, "vinfo")?.ok_or_else(|| {
        PluginError::config(format!("{}: there is no CSV of the sheet vInfo in it", folder.display()))
            .hint("export the inventory as CSV into this folder")
    })?;
    let disks = sheet(folder, "vdisk")?;
    let stores = disks.map(|(_, disks)| stores(&disks)).unwrap_or_default();
    let (path, info) = info;
    let column = |names: &[&str]| names.iter().find_map(|name| info.head.iter().position(|head| plain(head) == *name));
    let name = column(&["vm"]).ok_or_else(|| {
        PluginError::config(format!("{}, line 1: there is no column VM", path.display()))
            .hint("the sheet vInfo has it; keep its first line")
    })?;
    let (id, uuid, server) = (column(&["vmid"]), column(&["vminstanceuuid", "vmuuid"]), column(&["visdkserver"]));
    let (power, template, host) = (column(&["powerstate"]), column(&["template"]), column(&["host"]));
    let used = column(&["inuse"]);
    let mut rows = Vec::new();
    for (line, cells) in &info.rows {
        let cell = |column: Option<usize>| {
            column.and_then(|column| cells.get(column)).map(|cell| cell.trim()).filter(|cell| !cell.is_empty())
        };
        let is = |column, word: &str| cell(column).is_some_and(|cell| cell.eq_ignore_ascii_case(word));
        let place = format!("{}, line {line}", path.display());
        let name = cell(Some(name)).ok_or_else(|| PluginError::unusable(format!("{place}: the VM has no name")))?;
        let mut row = Row { place, name: Some(name.to_owned()), ..Row::default() };
        row.bytes = cell(used).and_then(mebibytes);
        let places = cell(host).map(|host| format!("{HOST}:{host}"));
        let known = cell(id).unwrap_or(name);
        let stores = stores.get(known).into_iter().flatten().map(|store| format!("{STORE}:{store}"));
        row.keys = places.into_iter().chain(stores).filter(|key| is_place(key)).collect();
        let words = [("name", Some(name)), ("id", cell(id)), ("uuid", cell(uuid)), ("server", cell(server))];
        row.words = words.into_iter().filter_map(|(word, value)| Some((word, value?.to_owned()))).collect();
        if is(template, "true") {
            row.findings.push(
                Finding::new("batch-template", Severity::Warn, format!("{name} is a template"))
                    .hint("take its line out, or make it a VM first"),
            );
        }
        if is(power, "poweredOn") {
            row.findings.push(
                Finding::new("batch-running", Severity::Info, format!("{name} was running when it was listed"))
                    .hint("a running VM needs source.snapshot or source.power_off"),
            );
        }
        rows.push(row);
    }
    Ok(List { output: None, defaults: None, limits: Limits::default(), retries: Retries::default(), rows })
}

/// The CSV in a folder whose name has this word: RVTools puts its own name before it.
fn sheet(folder: &Path, word: &str) -> Result<Option<(PathBuf, Sheet)>> {
    let entries = std::fs::read_dir(folder).map_err(|error| PluginError::from_io(folder.display(), &error))?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        name.strip_suffix(".csv").is_some_and(|stem| stem.ends_with(word))
    });
    found.sort();
    match &found[..] {
        [] => Ok(None),
        [path] => Sheet::read(path).map(|sheet| Some((path.clone(), sheet))),
        _ => Err(PluginError::config(format!("{}: several CSVs of the sheet {word} are in it", folder.display()))),
    }
}

/// Where the disks of each VM lie: `[STORE] folder/file` begins with the datastore.
fn stores(disks: &Sheet) -> HashMap<String, BTreeSet<String>> {
    let column = |names: &[&str]| names.iter().find_map(|name| disks.head.iter().position(|head| plain(head) == *name));
    let (Some(name), Some(path)) = (column(&["vmid", "vm"]), column(&["path", "diskpath"])) else {
        return HashMap::new();
    };
    let mut found: HashMap<String, BTreeSet<String>> = HashMap::new();
    for (_, cells) in &disks.rows {
        let (Some(name), Some(path)) = (cells.get(name), cells.get(path)) else { continue };
        let store = path.trim().strip_prefix('[').and_then(|rest| rest.split_once(']'));
        if let Some((store, _)) = store {
            found.entry(name.trim().to_owned()).or_default().insert(store.to_owned());
        }
    }
    found
}

/// A column's name without case, blanks and units.
fn plain(head: &str) -> String {
    let name: String = head.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let unit = ["mib", "mb"].iter().find_map(|unit| name.strip_suffix(unit)).map(str::to_owned);
    unit.unwrap_or(name)
}

/// A whole number of MiB as spreadsheets write it, with marks between the thousands; `None` for what is not one.
fn mebibytes(cell: &str) -> Option<u64> {
    let mut groups = cell.split([',', '.', '\'', ' ', '\u{a0}', '\u{202f}']);
    let mut digits = groups.next()?.to_owned();
    for group in groups {
        if group.len() != 3 {
            return None;
        }
        digits.push_str(group);
    }
    digits.parse::<u64>().ok()?.checked_mul(1 << 20)
}

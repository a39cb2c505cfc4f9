//! JOBS in TOML or YAML: `output`, `[defaults]`, `[limits]`, `[retries]`, and a `[[vm]]` for each VM.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::{LARGEST, List, Retries, Row};
use crate::batch::limits::{Limit, Limits, is_place};
use crate::config::nearest::nearest;
use crate::config::{Layer, read_tree};

/// What may stand at the top.
const TOP: [&str; 5] = ["output", "defaults", "limits", "retries", "vm"];
/// The most attempts after the first one.
const MOST_RETRIES: usize = 10;
/// The longest pause, in seconds.
const LONGEST_PAUSE: u64 = 86_400;

/// Reads a list.
pub(super) fn read(path: &Path) -> Result<List> {
    let layer = read_tree(path, LARGEST)?
        .ok_or_else(|| PluginError::config(format!("{}: there is no such file", path.display())))?;
    let Layer { label, base, mut tree } = layer;
    let wrong = |what: String| PluginError::config(format!("{label}: {what}"));
    if let Some(unknown) = tree.keys().find(|key| !TOP.contains(&key.as_str())) {
        let meant = nearest(unknown, TOP).map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
        return Err(wrong(format!("unknown key `{}`{meant}", crate::events::escape(unknown)))
            .hint("settings of all VMs stand under [defaults]"));
    }
    let output = match tree.remove("output") {
        None => None,
        Some(Value::String(folder)) if !folder.is_empty() => {
            Some(base.as_deref().unwrap_or(Path::new("")).join(folder))
        }
        Some(_) => return Err(wrong("`output` must be a path".to_owned())),
    };
    let defaults = match tree.remove("defaults") {
        None => None,
        Some(Value::Object(tree)) => Some(Layer { label: format!("{label}, [defaults]"), base: base.clone(), tree }),
        Some(_) => return Err(wrong("`defaults` must be a table".to_owned())),
    };
    let limits = limits(tree.remove("limits")).map_err(&wrong)?;
    let retries = retries(tree.remove("retries")).map_err(&wrong)?;
    let rows = match tree.remove("vm") {
        None => Vec::new(),
        Some(Value::Array(rows)) => rows
            .into_iter()
            .enumerate()
            .map(|(index, row)| row_of(format!("{label}, VM {}", index + 1), row).map_err(PluginError::config))
            .collect::<Result<_>>()?,
        Some(_) => return Err(wrong("`vm` must be a list of tables, [[vm]]".to_owned())),
    };
    Ok(List { output, defaults, limits, retries, rows })
}

fn limits(value: Option<Value>) -> Result<Limits, String> {
    let mut limits = Limits::default();
    let Some(value) = value else { return Ok(limits) };
    let Value::Object(members) = value else { return Err("`limits` must be a table".to_owned()) };
    for (key, value) in members {
        let places = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let places = places.ok_or_else(|| format!("the limit of {} is no number", crate::events::escape(&key)))?;
        let limit = Limit { key, places };
        limit.check()?;
        limits.set(limit);
    }
    Ok(limits)
}

fn retries(value: Option<Value>) -> Result<Retries, String> {
    let mut retries = Retries::default();
    let Some(value) = value else { return Ok(retries) };
    let Value::Object(members) = value else { return Err("`retries` must be a table".to_owned()) };
    let seconds = |value: &Value| value.as_u64().filter(|seconds| *seconds <= LONGEST_PAUSE).map(Duration::from_secs);
    for (key, value) in members {
        let wanted = match key.as_str() {
            "pauses" => {
                let pauses = value.as_array().filter(|items| items.len() <= MOST_RETRIES);
                let pauses = pauses.and_then(|items| items.iter().map(seconds).collect::<Option<Vec<_>>>());
                pauses.map(|pauses| retries.pauses = pauses).ok_or("a list of at most 10 numbers of seconds")
            }
            "place_pause" => seconds(&value).map(|pause| retries.place = pause).ok_or("a number of seconds"),
            _ => return Err(format!("unknown key `retries.{}`", crate::events::escape(&key))),
        };
        wanted.map_err(|wanted| format!("`retries.{key}` must be {wanted}, each of at most a day"))?;
    }
    Ok(retries)
}

fn row_of(place: String, value: Value) -> Result<Row, String> {
    let Value::Object(mut settings) = value else { return Err(format!("{place}: it must be a table")) };
    let name = match settings.remove("name") {
        None => None,
        Some(Value::String(name)) => Some(name),
        Some(_) => return Err(format!("{place}: `name` must be a text")),
    };
    let group = match settings.remove("group") {
        None => None,
        Some(Value::String(group)) if !group.is_empty() => Some(group),
        Some(_) => return Err(format!("{place}: `group` must be a text")),
    };
    let keys = match settings.remove("keys") {
        None => Vec::new(),
        Some(Value::Array(keys)) => {
            let texts = keys.into_iter().map(|key| key.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
            texts.ok_or_else(|| format!("{place}: `keys` must be a list of texts"))?
        }
        Some(_) => return Err(format!("{place}: `keys` must be a list of texts")),
    };
    let bytes = match settings.remove("bytes") {
        None => None,
        Some(value) => Some(value.as_u64().ok_or_else(|| format!("{place}: `bytes` must be a whole number"))?),
    };
    // The short form is the usual case.
    if let Some(Value::String(uri)) = settings.get("source") {
        settings.insert("source".to_owned(), json!({ "uri": uri }));
    }
    let words = name.iter().map(|name| ("name", name.clone())).collect();
    let row = Row { place, name, settings, group, keys, bytes, findings: Vec::new(), words };
    check_keys(&row)?;
    Ok(row)
}

/// Refuses what cannot be a key of a VM.
pub(super) fn check_keys(row: &Row) -> Result<(), String> {
    match row.keys.iter().find(|key| !is_place(key)) {
        None => Ok(()),
        Some(key) => Err(format!("{}: `{}` is not a key KIND:NAME", row.place, crate::events::escape(key))),
    }
}

/// The settings of a row by dotted names.
pub(super) fn set(settings: &mut Map<String, Value>, path: &[String], value: Value) {
    crate::config::insert(settings, path, value);
}

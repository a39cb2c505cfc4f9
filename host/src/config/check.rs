//! Checks one layer against the table of settings, while it is still known which layer it is.
//!
//! After this the merged layers fit [`Settings`] for certain, and paths are absolute.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::disk_out::DiskOut;
use super::job::absolute;
use super::layer::Layer;
use super::nearest::nearest;
use super::option::{Key, Kind, paths};
use super::resize::Resize;
use super::settings::Settings;
use super::values::KeySource;

/// Refuses unknown keys and wrong values, and makes paths absolute.
pub(super) fn check(layer: &mut Layer) -> Result<()> {
    let mut tree = std::mem::take(&mut layer.tree);
    Check { label: &layer.label, base: layer.base.as_deref() }.section("", Settings::KEYS, &mut tree)?;
    layer.tree = tree;
    Ok(())
}

struct Check<'a> {
    label: &'a str,
    base: Option<&'a Path>,
}

impl Check<'_> {
    /// `prefix` is the section's path, with a dot behind it.
    fn section(&self, prefix: &str, keys: &'static [Key], members: &mut Map<String, Value>) -> Result<()> {
        for (name, value) in members.iter_mut() {
            let Some(key) = keys.iter().find(|key| key.name == name) else {
                return Err(self.unknown(prefix, keys, name));
            };
            self.value(&format!("{prefix}{name}"), key.kind, value)?;
        }
        Ok(())
    }

    fn unknown(&self, prefix: &str, keys: &'static [Key], name: &str) -> PluginError {
        // First what stands in the same section, then the same word in another section.
        let path = format!("{prefix}{name}");
        let everywhere: Vec<String> = paths(Settings::KEYS).into_iter().map(|(path, _)| path).collect();
        let everywhere = || everywhere.iter().map(String::as_str);
        let meant = nearest(name, keys.iter().map(|key| key.name))
            .map(|name| format!("{prefix}{name}"))
            .or_else(|| everywhere().find(|path| path.rsplit('.').next() == Some(name)).map(str::to_owned))
            .or_else(|| nearest(&path, everywhere()).map(str::to_owned));
        let message = format!("unknown key `{path}` in {}", self.label);
        match meant {
            Some(meant) => PluginError::config(format!("{message}; did you mean `{meant}`?")),
            None => PluginError::config(message).hint("`vmdk2kvm man` lists every setting"),
        }
    }

    fn wrong(&self, path: &str, wanted: &str, value: &Value) -> PluginError {
        PluginError::config(format!("`{path}` in {} must be {wanted}, not {}", self.label, shown(path, value)))
    }

    fn value(&self, path: &str, kind: Kind, value: &mut Value) -> Result<()> {
        let fits = match (kind, &mut *value) {
            (Kind::Text, Value::String(text)) => !text.is_empty(),
            (Kind::Texts, Value::Array(items)) => items.iter().all(|item| item.as_str().is_some_and(|t| !t.is_empty())),
            (Kind::Flag, Value::Bool(_)) => true,
            (Kind::Number(low, high), Value::Number(number)) => {
                number.as_u64().is_some_and(|number| (low..=high).contains(&number))
            }
            (Kind::Word(words), Value::String(word)) => words().contains(&word.as_str()),
            (Kind::Words(words), Value::Array(items)) => {
                items.iter().all(|item| item.as_str().is_some_and(|word| words().contains(&word)))
            }
            (Kind::Path, Value::String(text)) => self.path(text),
            (Kind::Paths, Value::Array(items)) => self.each(items, Self::path),
            (Kind::Uri, Value::String(text)) => self.uri(text),
            (Kind::Uris, Value::Array(items)) => {
                self.each(items, |at, text| if text.contains("://") { true } else { at.path(text) })
            }
            (Kind::Keys, Value::Array(items)) => self.each(items, Self::key),
            (Kind::Resizes, Value::Array(items)) => self.each(items, |_, text| text.parse::<Resize>().is_ok()),
            (Kind::DiskOuts, Value::Array(items)) => self.each(items, |_, text| text.parse::<DiskOut>().is_ok()),
            (Kind::Section(keys), Value::Object(members)) => {
                return self.section(&format!("{path}."), keys, members);
            }
            (Kind::Networks, Value::Object(networks)) => return self.networks(path, networks),
            (Kind::Secrets, Value::Object(secrets)) => return self.secrets(path, secrets),
            (Kind::Tables(_), Value::Object(tables)) => {
                return match tables.iter().find(|(_, table)| !table.is_object()) {
                    Some((name, table)) => Err(self.wrong(&format!("{path}.{name}"), "a table", table)),
                    None => Ok(()),
                };
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(self.wrong(path, &kind.wanted(), value)) }
    }

    fn each(&self, items: &mut [Value], check: fn(&Self, &mut String) -> bool) -> bool {
        items.iter_mut().all(|item| match item {
            Value::String(text) => check(self, text),
            _ => false,
        })
    }

    fn path(&self, text: &mut String) -> bool {
        let path = Path::new(&*text);
        let path = self.base.map_or_else(|| absolute(path), |base| base.join(path));
        let usable = !text.is_empty();
        *text = path.to_string_lossy().into_owned();
        usable
    }

    /// On the command line a source stays as the user gave it, so that messages name what the user typed.
    fn uri(&self, text: &mut String) -> bool {
        match self.base {
            Some(base) if !text.contains("://") && !text.is_empty() => {
                *text = base.join(&*text).to_string_lossy().into_owned();
                true
            }
            _ => !text.is_empty(),
        }
    }

    fn key(&self, text: &mut String) -> bool {
        let Ok(KeySource { selector, file }) = text.parse() else { return false };
        let file: PathBuf = self.base.map_or_else(|| absolute(&file), |base| base.join(&file));
        *text = format!("{selector}:file:{}", file.display());
        true
    }

    fn secrets(&self, path: &str, secrets: &mut Map<String, Value>) -> Result<()> {
        for (name, value) in secrets {
            // What is shown of a wrong value is never the value: it may be the secret itself, put where its place belongs.
            let wrong = |wanted: &str| PluginError::config(format!("`{path}.{name}` in {} must {wanted}", self.label));
            let plain = |text: &str| {
                let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                !text.is_empty() && !text.starts_with('.') && text.chars().all(is_plain)
            };
            if !plain(name) {
                return Err(wrong("have a name of letters, digits, dashes, underscores and dots"));
            }
            let members = value.as_object_mut().filter(|members| members.len() == 1);
            let fits = members.and_then(|members| members.iter_mut().next()).is_some_and(|(key, value)| {
                match (key.as_str(), value) {
                    ("file", Value::String(text)) => self.path(text),
                    ("env" | "credential", Value::String(text)) => plain(text),
                    _ => false,
                }
            });
            if !fits {
                return Err(wrong("be { file = \"...\" }, { env = \"...\" } or { credential = \"...\" }")
                    .hint("a secret itself never stands in a settings file"));
            }
        }
        Ok(())
    }

    fn networks(&self, path: &str, networks: &mut Map<String, Value>) -> Result<()> {
        for (name, value) in networks {
            // The short form is the usual case; the long one is what is stored.
            if let Value::String(network) = value {
                *value = serde_json::json!({ "network": network });
            }
            let fits = value.as_object().is_some_and(|members| {
                members.len() == 1
                    && members.iter().all(|(key, value)| {
                        matches!(key.as_str(), "network" | "bridge") && value.as_str().is_some_and(|t| !t.is_empty())
                    })
            });
            if !fits {
                let wanted = "a network's name, { network = \"...\" } or { bridge = \"...\" }";
                return Err(self.wrong(&format!("{path}.\"{name}\""), wanted, value));
            }
        }
        Ok(())
    }
}

fn shown(path: &str, value: &Value) -> String {
    match value {
        Value::Null => "empty".into(),
        Value::Bool(flag) => format!("{flag}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.is_empty() => "an empty text".into(),
        Value::String(_) if super::secret::is_secret_key(path) => "the text given".into(),
        Value::String(text) => format!("the text `{}`", crate::events::escape(&super::secret::mask_uri(text))),
        Value::Array(items) => match items.iter().find(|item| !item.is_string()) {
            Some(item) => format!("a list with {}", shown(path, item)),
            None => format!("the list {}", crate::events::escape(&value.to_string())),
        },
        Value::Object(_) => "a table".into(),
    }
}

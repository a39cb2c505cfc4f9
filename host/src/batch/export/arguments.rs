//! The arguments by which a task of a cluster runs the same batch under the same settings.

use serde_json::{Map, Value};
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::batch::request::Asked;
use crate::config::secret::{is_secret_key, mask};
use crate::config::{Layers, parse_set};

/// `--set` and the options that are settings, as `--set KEY=VALUE`; refused when one is a secret.
pub(super) fn settings(layers: &Layers) -> Result<Vec<String>> {
    let mut sets = layers.sets.clone();
    let mut path = Vec::new();
    flatten(&layers.flags, &mut path, &mut sets);
    for set in &sets {
        let (path, value) = parse_set(set).map_err(|error| PluginError::config(format!("--set {set}: {error}")))?;
        let mut masked = value.clone();
        mask(&mut masked);
        if masked != value || path.last().is_some_and(|key| is_secret_key(key)) {
            return Err(PluginError::config(format!("{} holds a secret, which an export never does", path.join(".")))
                .hint("name a place for it under [secrets]"));
        }
    }
    Ok(sets.into_iter().flat_map(|set| ["--set".to_owned(), set]).collect())
}

fn flatten(tree: &Map<String, Value>, path: &mut Vec<String>, sets: &mut Vec<String>) {
    for (key, value) in tree {
        path.push(quoted(key));
        match value {
            Value::Object(members) => flatten(members, path, sets),
            // A value of JSON that is no table is one of TOML.
            value => sets.push(format!("{}={value}", path.join("."))),
        }
        path.pop();
    }
}

fn quoted(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if key.chars().all(plain) { key.to_owned() } else { Value::String(key.to_owned()).to_string() }
}

/// What only the batch has: its limits, the template of its sources, the folder of shared places.
pub(super) fn of_batch(asked: &Asked, limit_dir: Option<&str>) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(template) = &asked.source {
        words.extend(["--source".to_owned(), template.clone()]);
    }
    for limit in &asked.limits {
        words.extend(["--limit".to_owned(), format!("{}={}", limit.key, limit.places)]);
    }
    if let Some(folder) = limit_dir {
        words.extend(["--limit-dir".to_owned(), folder.to_owned()]);
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_become_sets_that_read_back_the_same() {
        let Value::Object(flags) =
            json!({"work_dir": "/a b", "machine": {"networks": {"VM \"x\" = y": {"bridge": "br0"}}}, "skip": ["test"]})
        else {
            unreachable!()
        };
        let words = settings(&Layers { flags: flags.clone(), ..Layers::default() }).unwrap();
        let mut tree = Map::new();
        for set in words.iter().filter(|word| *word != "--set") {
            let (path, value) = parse_set(set).unwrap();
            crate::config::insert(&mut tree, &path, value);
        }
        assert_eq!(tree, flags);
    }

    #[test]
    fn a_secret_is_refused_without_being_said() {
        for set in ["plugin.x.password=hunter2", "plugin.x.url='https://u:hunter2@h/'"] {
            let error = settings(&Layers { sets: vec![set.to_owned()], ..Layers::default() }).unwrap_err();
            assert!(error.message.ends_with("holds a secret, which an export never does"), "{}", error.message);
            assert!(!error.message.contains("hunter2"));
        }
    }
}

//! `Layer`: one origin of settings, read but not yet checked.
//!
//! Owns the reading of files, of the environment and of `--set`. All of them become the same tree, so that checking and
//! merging happen once.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use vmdk2kvm_plugin_api::{PluginError, Result};

/// The largest settings file that is read, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// The environment variables that are settings begin with this.
pub const VARIABLE_PREFIX: &str = "VMDK2KVM_SET__";

/// One origin of settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// For messages: `job.toml`, `the environment`, `--set`, `the command line`.
    pub label: String,
    /// Folder that relative paths in it are relative to; `None`: the current one.
    pub base: Option<PathBuf>,
    /// The settings.
    pub tree: Map<String, Value>,
}

/// Reads a settings file, TOML or YAML by its ending; `None` when there is none of that name.
pub fn read_file(path: &Path) -> Result<Option<Layer>> {
    let label = path.display().to_string();
    let parse: fn(&str) -> Result<Value, String> = match path.extension().and_then(|ending| ending.to_str()) {
        Some("toml") => parse_toml,
        Some("yaml" | "yml") => parse_yaml,
        _ => {
            return Err(PluginError::config(format!("{label}: the ending does not say whether this is TOML or YAML"))
                .hint("rename the file so that it ends in .toml or .yaml"));
        }
    };
    let text = match read_bounded(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PluginError::config(format!("{label}: {error}"))),
    };
    let tree = match parse(&text).map_err(|error| PluginError::config(format!("{label}: {error}")))? {
        Value::Object(tree) => tree,
        Value::Null => Map::new(),
        _ => return Err(PluginError::config(format!("{label}: the file must hold a table of settings"))),
    };
    let base = super::job::absolute(path).parent().map(Path::to_path_buf);
    Ok(Some(Layer { label, base, tree }))
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    use std::io::{Error, ErrorKind, Read};
    let file = std::fs::File::open(path)?;
    let mut text = String::new();
    file.take(LARGEST_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("larger than {LARGEST_FILE} bytes")));
    }
    Ok(text)
}

fn parse_toml(text: &str) -> Result<Value, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| one_line(&error.to_string()))?;
    from_toml(toml::Value::Table(table))
}

fn from_toml(value: toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => {
            Value::Number(serde_json::Number::from_f64(number).ok_or("a number must be finite")?)
        }
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => Value::Array(items.into_iter().map(from_toml).collect::<Result<_, _>>()?),
        toml::Value::Table(members) => Value::Object(
            members.into_iter().map(|(key, value)| Ok((key, from_toml(value)?))).collect::<Result<_, String>>()?,
        ),
    })
}

fn parse_yaml(text: &str) -> Result<Value, String> {
    from_yaml(serde_norway::from_str(text).map_err(|error| one_line(&error.to_string()))?)
}

fn from_yaml(value: serde_norway::Value) -> Result<Value, String> {
    use serde_norway::Value as Yaml;
    Ok(match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::String(text) => Value::String(text),
        Yaml::Number(number) => serde_json::to_value(number).map_err(|error| error.to_string())?,
        Yaml::Sequence(items) => Value::Array(items.into_iter().map(from_yaml).collect::<Result<_, _>>()?),
        Yaml::Mapping(members) => {
            let mut object = Map::new();
            for (key, value) in members {
                let Yaml::String(key) = key else {
                    return Err(format!("the key {key:?} is not a text; put it in quotes"));
                };
                object.insert(key, from_yaml(value)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => return Err(format!("the tag `{}` has no meaning here", tagged.tag)),
    })
}

/// The parsers' messages draw the place over several lines; a message here is one.
fn one_line(message: &str) -> String {
    let lines: Vec<&str> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.as_slice() {
        [place, .., what] if lines.len() > 1 => format!("{}: {what}", place.trim_end_matches(':')),
        _ => lines.join(" "),
    }
}

/// The settings among environment variables: `VMDK2KVM_SET__TEST__TIMEOUT_SECONDS=900` is `test.timeout_seconds`. Two
/// underscores part the sections, case does not matter. Below `plugin`, where names have dashes, an underscore of the
/// plugin's name stands for one.
pub fn from_environment<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Layer {
    let mut tree = Map::new();
    for (name, value) in variables {
        let Some(key) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
        let mut path: Vec<String> = key.split("__").map(str::to_lowercase).collect();
        if let [section, plugin, ..] = path.as_mut_slice() {
            if section == "plugin" {
                *plugin = plugin.replace('_', "-");
            }
        }
        insert(&mut tree, &path, parse_value(value));
    }
    Layer { label: "the environment".into(), base: None, tree }
}

/// The layer of all `--set`.
pub fn from_sets(sets: &[String]) -> Result<Layer> {
    let mut tree = Map::new();
    for text in sets {
        let (path, value) = parse_set(text).map_err(|error| PluginError::config(format!("--set {text}: {error}")))?;
        insert(&mut tree, &path, value);
    }
    Ok(Layer { label: "--set".into(), base: None, tree })
}

/// Takes `KEY=VALUE` apart. The key is dotted, with quotes where TOML needs them (`target.networks."VM Network"`); the
/// value is read as TOML, and is a text when it is not TOML.
pub fn parse_set(text: &str) -> Result<(Vec<String>, Value), String> {
    let mut quote = None;
    let end = text
        .char_indices()
        .find(|(_, letter)| {
            match (quote, letter) {
                (None, '"' | '\'') => quote = Some(*letter),
                (Some(open), letter) if open == *letter => quote = None,
                _ => {}
            }
            *letter == '=' && quote.is_none()
        })
        .map(|(index, _)| index)
        .ok_or("there is no `=` between key and value")?;
    let (key, value) = (text[..end].trim(), &text[end + 1..]);
    Ok((parse_key(key)?, parse_value(value)))
}

fn parse_key(key: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("`{key}` is not a dotted key");
    let mut level: toml::Table = format!("{key} = 0").parse().map_err(|_| wrong())?;
    let mut path = Vec::new();
    loop {
        let mut members = level.into_iter();
        let (Some((name, value)), None) = (members.next(), members.next()) else { return Err(wrong()) };
        path.push(name);
        match value {
            toml::Value::Table(next) => level = next,
            _ => return Ok(path),
        }
    }
}

fn parse_value(text: &str) -> Value {
    let as_text = || Value::String(text.to_owned());
    let Ok(mut table) = format!("value = {text}").parse::<toml::Table>() else { return as_text() };
    match (table.remove("value"), table.is_empty()) {
        (Some(value), true) => from_toml(value).unwrap_or_else(|_| as_text()),
        _ => as_text(),
    }
}

/// Puts a value at a path. What is in the way, a value where a section is needed, is replaced: the later one wins.
fn insert(tree: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [name] => {
            tree.insert(name.clone(), value);
        }
        [name, rest @ ..] => {
            let section = tree.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
            if !section.is_object() {
                *section = Value::Object(Map::new());
            }
            if let Value::Object(section) = section {
                insert(section, rest, value);
            }
        }
    }
}

/// Lays `over` on top of `under`: tables are merged deeply, everything else, lists too, is replaced.
pub fn merge(under: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Object(under)), Value::Object(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sets_are_dotted_keys_and_toml_values_or_texts() {
        for (text, path, value) in [
            ("test.timeout_seconds=900", vec!["test", "timeout_seconds"], json!(900)),
            ("name=web server", vec!["name"], json!("web server")),
            ("name=", vec!["name"], json!("")),
            ("skip=[\"test\"]", vec!["skip"], json!(["test"])),
            ("compress=true", vec!["compress"], json!(true)),
            ("name=a=b", vec!["name"], json!("a=b")),
            ("name=1\nformat = 2", vec!["name"], json!("1\nformat = 2")),
            (r#"target.networks."VM = Network"=default"#, vec!["target", "networks", "VM = Network"], json!("default")),
            (r#"target.networks.lan={bridge="br0"}"#, vec!["target", "networks", "lan"], json!({"bridge": "br0"})),
        ] {
            assert_eq!(parse_set(text).unwrap(), (path.into_iter().map(str::to_owned).collect(), value), "{text}");
        }
        for text in ["name", "=x", "a..b=1", "a\nb=1"] {
            parse_set(text).unwrap_err();
        }
        assert_eq!(parse_set("name").unwrap_err(), "there is no `=` between key and value");
    }

    #[test]
    fn the_environment_is_a_layer() {
        let layer = from_environment([
            ("VMDK2KVM_SET__TEST__TIMEOUT_SECONDS", "900"),
            ("VMDK2KVM_SET__plugin__QEMU_TEST__memory_mib", "512"),
            ("VMDK2KVM_PLUGIN_PATH", "/x"),
            ("PATH", "/bin"),
        ]);
        assert_eq!(
            Value::Object(layer.tree),
            json!({"test": {"timeout_seconds": 900}, "plugin": {"qemu-test": {"memory_mib": 512}}})
        );
    }

    #[test]
    fn toml_and_yaml_give_the_same_tree() {
        let toml = "format = \"raw\"\nskip = [\"test\"]\n[test]\ntimeout_seconds = 5\n";
        let yaml = "format: raw\nskip: [test]\ntest:\n  timeout_seconds: 5\n";
        assert_eq!(parse_toml(toml), parse_yaml(yaml));
        assert_eq!(parse_yaml("1: x").unwrap_err(), "the key Number(1) is not a text; put it in quotes");
        assert!(parse_yaml("a: !secret x").unwrap_err().contains("the tag `!secret` has no meaning here"));
    }

    #[test]
    fn messages_of_the_parsers_are_one_line_with_the_place() {
        let error = parse_toml("format = \n").unwrap_err();
        assert!(!error.contains('\n') && error.contains("line 1"), "{error}");
        let error = parse_yaml("a: [1\nb: 2").unwrap_err();
        assert!(!error.contains('\n') && error.contains("line"), "{error}");
    }

    #[test]
    fn tables_merge_deeply_and_lists_are_replaced() {
        let (Value::Object(mut under), Value::Object(over)) = (
            json!({"a": {"x": 1, "y": [1, 2]}, "b": 1, "c": {"z": 1}}),
            json!({"a": {"y": [3]}, "b": {"n": 1}, "c": 5}),
        ) else {
            unreachable!()
        };
        merge(&mut under, over);
        assert_eq!(Value::Object(under), json!({"a": {"x": 1, "y": [3]}, "b": {"n": 1}, "c": 5}));
    }
}

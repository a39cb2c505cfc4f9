//! `Layer`: one origin of settings, read but not yet checked.
//!
//! Owns the reading of files, of the environment and of `--set`. All of them become the same tree, so that checking and
//! merging happen once.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use vmdk2kvm_plugin_api::{PluginError, Result};

/// The largest settings file that is read, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// The deepest nesting of lists and tables. It must leave room for what is put around it: the worker reads the job as JSON of at most 128 levels.
pub(super) const DEEPEST: usize = 32;

/// Stack for the parser of TOML, in bytes: enough for 6400 levels.
const TOML_STACK: usize = 64 << 20;

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
    read_tree(path, LARGEST_FILE)
}

/// Reads a file of at most so many bytes as a tree, TOML or YAML by its ending; `None` when there is none of that name.
pub fn read_tree(path: &Path, largest: u64) -> Result<Option<Layer>> {
    let label = path.display().to_string();
    let parse: fn(&str) -> Result<Value, String> = match path.extension().and_then(|ending| ending.to_str()) {
        Some("toml") => parse_toml,
        Some("yaml" | "yml") => parse_yaml,
        _ => {
            return Err(PluginError::config(format!("{label}: the ending does not say whether this is TOML or YAML"))
                .hint("rename the file so that it ends in .toml or .yaml"));
        }
    };
    let text = match read_bounded(path, largest) {
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

fn read_bounded(path: &Path, largest: u64) -> std::io::Result<String> {
    use std::io::{Error, ErrorKind, Read};
    let file = std::fs::File::open(path)?;
    let mut text = String::new();
    file.take(largest + 1).read_to_string(&mut text)?;
    if text.len() as u64 > largest {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("larger than {largest} bytes")));
    }
    Ok(text)
}

fn parse_toml(text: &str) -> Result<Value, String> {
    // The parser bounds brackets and the dots of a key, each to 80 levels, but not their product; and it calls itself for each level.
    let parse = || {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| one_line(&error.to_string()))?;
        from_toml(toml::Value::Table(table), 0)
    };
    std::thread::scope(|scope| {
        let parsing = std::thread::Builder::new().stack_size(TOML_STACK).spawn_scoped(scope, parse);
        let parsing = parsing.map_err(|error| format!("no thread can be started: {error}"))?;
        parsing.join().unwrap_or_else(|_| Err("the parser panicked".to_owned()))
    })
}

/// Takes over a value that is `depth` levels below the root.
fn from_toml(value: toml::Value, depth: usize) -> Result<Value, String> {
    if depth == DEEPEST && matches!(value, toml::Value::Array(_) | toml::Value::Table(_)) {
        return Err(too_deep());
    }
    let below = |value| from_toml(value, depth + 1);
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => {
            Value::Number(serde_json::Number::from_f64(number).ok_or("a number must be finite")?)
        }
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => Value::Array(items.into_iter().map(below).collect::<Result<_, _>>()?),
        toml::Value::Table(members) => Value::Object(
            members.into_iter().map(|(key, value)| Ok((key, below(value)?))).collect::<Result<_, String>>()?,
        ),
    })
}

fn parse_yaml(text: &str) -> Result<Value, String> {
    super::yaml::parse(text).map_err(|error| one_line(&error))
}

/// What is wrong with a file that is nested too deep.
pub(super) fn too_deep() -> String {
    format!("it is nested more than {DEEPEST} levels deep")
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
/// underscores part the sections, case does not matter. Below `plugin` and `target`, where names have dashes, an underscore of the
/// plugin's name stands for one.
pub fn from_environment<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Layer {
    let mut tree = Map::new();
    for (name, value) in variables {
        let Some(key) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
        // What lies deeper than a setting can is no setting's name.
        let mut path: Vec<String> = key.splitn(DEEPEST, "__").map(str::to_lowercase).collect();
        if let [section, plugin, ..] = path.as_mut_slice() {
            if section == "plugin" || section == "target" {
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

/// Takes `KEY=VALUE` apart. The key is dotted, with quotes where TOML needs them (`machine.networks."VM Network"`); the
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
            _ if path.len() > DEEPEST => return Err(too_deep()),
            _ => return Ok(path),
        }
    }
}

/// A value as TOML has it; a text when it is not TOML.
pub fn parse_value(text: &str) -> Value {
    let as_text = || Value::String(text.to_owned());
    let Ok(Value::Object(mut table)) = parse_toml(&format!("value = {text}")) else { return as_text() };
    match (table.remove("value"), table.is_empty()) {
        (Some(value), true) => value,
        _ => as_text(),
    }
}

/// Puts a value at a path. What is in the way, a value where a section is needed, is replaced: the later one wins.
pub fn insert(tree: &mut Map<String, Value>, path: &[String], value: Value) {
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
            (
                r#"machine.networks."VM = Network"=default"#,
                vec!["machine", "networks", "VM = Network"],
                json!("default"),
            ),
            (r#"machine.networks.lan={bridge="br0"}"#, vec!["machine", "networks", "lan"], json!({"bridge": "br0"})),
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
    }

    #[test]
    fn nesting_is_bounded_in_files_keys_and_the_environment() {
        let deep = |levels: usize| {
            let lists = levels - 1;
            let inline = format!("a = {}1{}\n", "{a = ".repeat(lists), "}".repeat(lists));
            [
                format!("a = {}{}\n", "[".repeat(lists), "]".repeat(lists)),
                inline,
                format!("{}a = 1\n", "a.".repeat(lists)),
                format!("[{}a]\n", "a.".repeat(levels - 2)),
            ]
        };
        for text in deep(DEEPEST) {
            parse_toml(&text).unwrap();
        }
        for text in deep(DEEPEST + 1) {
            assert_eq!(parse_toml(&text).unwrap_err(), "it is nested more than 32 levels deep", "{text}");
        }
        // Each way of nesting to its own limit, inside of one another.
        let dotted = format!("{}a = ", "a.".repeat(75));
        let all = format!("{}1{}\n", format!("{dotted}{{").repeat(75).trim_end_matches('{'), "}".repeat(74));
        assert_eq!(parse_toml(&all).unwrap_err(), "it is nested more than 32 levels deep");
        for text in [format!("a = {}", "[".repeat(100_000)), format!("{}a = 1", "a.".repeat(400_000))] {
            assert!(parse_toml(&text).unwrap_err().contains("recursion limit"));
        }
        let key = |levels: usize| parse_set(&format!("{}a=1", "a.".repeat(levels - 1)));
        assert_eq!(key(DEEPEST).unwrap().0.len(), DEEPEST);
        assert_eq!(key(DEEPEST + 1).unwrap_err(), "it is nested more than 32 levels deep");
        let variable = format!("VMDK2KVM_SET__{}", vec!["a"; 40_000].join("__"));
        let mut level = &Value::Object(from_environment([(variable.as_str(), "1")]).tree);
        let mut levels = 0;
        while let Some((_, next)) = level.as_object().and_then(|members| members.iter().next()) {
            (level, levels) = (next, levels + 1);
        }
        assert_eq!(levels, DEEPEST);
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

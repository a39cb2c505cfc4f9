//! `Settings`: every setting with its value, after all layers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::job::{ContainmentOptions, PluginOptions, SecretSource, TargetFormat};
use super::machine_options::MachineOptions;
use crate::events::{LogLevel, Stage};

/// Every setting. What has no value has no default that could be named without knowing the source.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `source.*`
    pub source: SourceSettings,
    /// `output`
    pub output: Option<PathBuf>,
    /// `name`
    pub name: Option<String>,
    /// `format`
    pub format: TargetFormat,
    /// `compress`
    pub compress: bool,
    /// `resize`
    pub resize: Vec<String>,
    /// `from`
    pub from: Option<Stage>,
    /// `until`
    pub until: Option<Stage>,
    /// `skip`
    pub skip: Vec<Stage>,
    /// `keep_work`
    pub keep_work: bool,
    /// `work_dir`
    pub work_dir: Option<PathBuf>,
    /// `keys`
    pub keys: Vec<String>,
    /// `secrets.<name>`
    pub secrets: BTreeMap<String, SecretSource>,
    /// `root`
    pub root: Option<String>,
    /// `test.*`
    pub test: TestSettings,
    /// `plugins.*`
    pub plugins: PluginOptions,
    /// `plugin.<name>.*`
    pub plugin: BTreeMap<String, serde_json::Value>,
    /// `targets`
    pub targets: Vec<String>,
    /// `target.<name>.*`
    pub target: BTreeMap<String, serde_json::Value>,
    /// `machine.*`
    pub machine: MachineOptions,
    /// `containment.*`
    pub containment: ContainmentOptions,
    /// `log.*`
    pub log: LogSettings,
}

/// `source.*`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceSettings {
    /// `source.uri`
    pub uri: Option<String>,
    /// `source.disks`
    pub disks: Vec<String>,
    /// `source.vm`
    pub vm: Option<String>,
    /// `source.snapshot`
    pub snapshot: bool,
    /// `source.enable_cbt`
    pub enable_cbt: bool,
    /// `source.power_off`
    pub power_off: bool,
}

/// `test.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TestSettings {
    /// `test.plugin`
    pub plugin: Option<String>,
    /// `test.timeout_seconds`
    pub timeout_seconds: u64,
    /// `test.ssh_address`
    pub ssh_address: Option<String>,
    /// `test.ssh_port`
    pub ssh_port: Option<u16>,
    /// `test.fallback`
    pub fallback: bool,
}

impl Default for TestSettings {
    fn default() -> Self {
        // Ten times what a guest takes on a busy machine without hardware virtualisation.
        Self { plugin: None, timeout_seconds: 600, ssh_address: None, ssh_port: None, fallback: false }
    }
}

/// `log.*`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// `log.level`
    pub level: LogLevel,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { level: LogLevel::Warn }
    }
}

impl Settings {
    /// As one document with secrets masked.
    pub fn masked(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        super::secret::mask(&mut value);
        value
    }

    /// As TOML for people, secrets masked, settings without a value left out.
    pub fn masked_toml(&self) -> String {
        let mut value = self.masked();
        drop_empty(&mut value);
        toml::to_string(&value).unwrap_or_default()
    }
}

/// TOML has no null; an empty section says nothing.
fn drop_empty(value: &mut serde_json::Value) {
    if let serde_json::Value::Object(members) = value {
        members.values_mut().for_each(drop_empty);
        members.retain(|_, member| !member.is_null() && !member.as_object().is_some_and(serde_json::Map::is_empty));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::{KEYS, Kind};

    /// Every dotted key below `value`, tables of free form not opened.
    fn keys(prefix: &str, value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(members)
                if !KEYS.iter().any(|key| {
                    key.path == prefix && matches!(key.kind, Kind::Networks | Kind::Tables(_) | Kind::Secrets)
                }) =>
            {
                for (name, value) in members {
                    let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                    keys(&path, value, found);
                }
            }
            _ => found.push(prefix.to_owned()),
        }
    }

    #[test]
    fn the_table_and_the_type_have_the_same_keys() {
        let mut of_type = Vec::new();
        keys("", &serde_json::to_value(Settings::default()).unwrap(), &mut of_type);
        let mut of_table: Vec<_> = KEYS.iter().map(|key| key.path.to_owned()).collect();
        of_type.sort();
        of_table.sort();
        assert_eq!(of_type, of_table);
    }

    #[test]
    fn what_is_shown_is_toml_without_secrets() {
        let mut settings = Settings::default();
        settings.source.uri = Some("vsphere://root:hunter2@vc/dc/web".into());
        settings.plugin.insert("vsphere".into(), serde_json::json!({"password": "hunter2", "insecure": false}));
        assert_eq!(
            settings.masked_toml(),
            r#"compress = false
format = "qcow2"
keep_work = false
keys = []
resize = []
skip = []
targets = []

[containment]
folders = []
mode = "auto"

[log]
level = "warn"

[plugin.vsphere]
insecure = false
password = "********"

[plugins]
dirs = []
disabled = []

[source]
disks = []
enable_cbt = false
power_off = false
snapshot = false
uri = "vsphere://root:********@vc/dc/web"

[test]
fallback = false
timeout_seconds = 600
"#
        );
    }
}

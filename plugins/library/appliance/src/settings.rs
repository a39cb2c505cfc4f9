//! How the appliance is run: the settings table of the plugin that runs it.

use serde::Deserialize;
use vmdk2kvm_plugin_api::{Host, PluginError, Result};

/// How to run the appliance.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `auto`, `kvm` or `tcg`.
    pub accel: AccelSetting,
    /// Memory of the appliance in MiB.
    pub memory_mib: u32,
    /// Whether to start a copy of the appliance that starts sooner, under emulation.
    pub quick_start: bool,
    /// Longest time in seconds for one program of the guest.
    pub command_timeout_seconds: u32,
    /// Whether blocks that no filesystem uses are discarded once the guest was changed.
    pub discard_unused: bool,
}

/// Choice of acceleration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccelSetting {
    /// By a real probe.
    Auto,
    /// Hardware virtualisation.
    Kvm,
    /// Emulation.
    Tcg,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            accel: AccelSetting::Auto,
            memory_mib: 1024,
            quick_start: true,
            command_timeout_seconds: 900,
            discard_unused: true,
        }
    }
}

impl Settings {
    /// The settings of a plugin.
    pub fn read(host: &Host) -> Result<Self> {
        Self::of(host.settings()?)
    }

    /// The settings of a plugin whose table has other keys, too, without those.
    pub fn of(table: serde_json::Value) -> Result<Self> {
        let settings: Self = serde_json::from_value(table)
            .map_err(|error| PluginError::config(format!("the plugin's settings: {error}")))?;
        if !(512..=65_536).contains(&settings.memory_mib) {
            return Err(PluginError::config(format!("memory_mib: {} is not within 512 to 65536", settings.memory_mib)));
        }
        if settings.command_timeout_seconds == 0 {
            return Err(PluginError::config("command_timeout_seconds: must not be 0"));
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use vmdk2kvm_plugin_api::ErrorKind;
    use vmdk2kvm_plugin_testing::FakeHost;

    use super::*;

    fn read(table: Value) -> Result<Settings> {
        Settings::read(&FakeHost::new().host(table))
    }

    #[test]
    fn every_key_of_the_appliance_is_read() {
        assert_eq!(read(json!({})).unwrap(), Settings::default());
        let table = json!({
            "accel": "tcg", "memory_mib": 2048, "quick_start": false, "command_timeout_seconds": 60, "discard_unused": false
        });
        let expected = Settings {
            accel: AccelSetting::Tcg,
            memory_mib: 2048,
            quick_start: false,
            command_timeout_seconds: 60,
            discard_unused: false,
        };
        assert_eq!(read(table).unwrap(), expected);
    }

    #[test]
    fn what_cannot_work_is_a_configuration_error_that_names_the_key() {
        for (table, part) in [
            (json!({"memory_mib": 64}), "memory_mib: 64 is not within 512 to 65536"),
            (json!({"command_timeout_seconds": 0}), "command_timeout_seconds: must not be 0"),
            (json!({"accel": "xen"}), "unknown variant `xen`"),
            (json!({"no_such_key": 1}), "unknown field `no_such_key`"),
            (json!([1]), "the plugin's settings: "),
        ] {
            let error = read(table).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Config);
            assert!(error.message.contains(part), "{}", error.message);
        }
    }
}

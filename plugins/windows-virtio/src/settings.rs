//! The plugin's one table, which has the keys of the appliance and those of the fixes.

use serde_json::{Map, Value};
use vmdk2kvm_appliance::Settings as ApplianceSettings;
use vmdk2kvm_plugin_api::{Host, PluginError, Result};
use vmdk2kvm_windows_guest::FixSettings;

/// Keys of the fixes; all others are the appliance's.
const FIXES: [&str; 5] = ["virtio_win", "driver_packages", "remove_vmware_tools", "guest_agent", "first_boot"];

/// Reads both halves.
pub fn read(host: &Host) -> Result<(ApplianceSettings, FixSettings)> {
    let mut appliance: Map<String, Value> = host.settings()?;
    let mut fixes = Map::new();
    for key in FIXES {
        fixes.extend(appliance.remove(key).map(|value| (key.to_owned(), value)));
    }
    let wrong = |error| PluginError::config(format!("the plugin's settings: {error}"));
    let fixes: FixSettings = serde_json::from_value(Value::Object(fixes)).map_err(wrong)?;
    fixes.check()?;
    Ok((ApplianceSettings::of(Value::Object(appliance))?, fixes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vmdk2kvm_plugin_testing::FakeHost;

    use super::*;

    #[test]
    fn each_half_gets_its_keys() {
        let table = json!({"memory_mib": 2048, "remove_vmware_tools": false, "virtio_win": "/srv/virtio-win.iso"});
        let (appliance, fixes) = read(&FakeHost::new().host(table)).unwrap();
        assert_eq!(appliance.memory_mib, 2048);
        assert_eq!((fixes.remove_vmware_tools, fixes.virtio_win.as_str()), (false, "/srv/virtio-win.iso"));
    }

    #[test]
    fn what_cannot_work_is_a_configuration_error_that_names_the_key() {
        for (table, part) in [
            (json!({"first_boot": ["a.cmd"]}), "first_boot: a.cmd is not an absolute path"),
            (json!({"first_boot": ["/a.sh"]}), "first_boot: /a.sh is none of .cmd, .bat and .ps1"),
            (json!({"guest_agent": "yes"}), "guest_agent: yes is none of leave, virtio-win and"),
            (json!({"driver_packages": "some"}), "unknown variant `some`"),
            (json!({"memory_mib": 1}), "memory_mib: 1 is not within"),
            (json!({"no_such_key": 1}), "unknown field `no_such_key`"),
            (json!([1]), "the plugin's settings: "),
        ] {
            let Err(error) = read(&FakeHost::new().host(table)) else { panic!("{part}") };
            assert!(error.message.contains(part), "{}", error.message);
        }
    }
}

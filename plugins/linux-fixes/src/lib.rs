//! The fixers of Linux guests, for whichever inspector opened the guest.
//!
//! Owns the settings table `[plugin.linux-fixes]` and nothing else: the fixers are those of the library crate `vmdk2kvm-linux-guest`,
//! which inspectors are made of, too.

use vmdk2kvm_linux_guest::{FixSettings, fixers};
use vmdk2kvm_plugin_api::{Fixer, Host, Plugin, Result};

/// The plugin.
struct LinuxFixes {
    settings: FixSettings,
}

impl Plugin for LinuxFixes {
    fn new(host: Host) -> Result<Self> {
        let settings: FixSettings = host.settings()?;
        settings.check()?;
        Ok(Self { settings })
    }

    fn fixers(&self) -> Vec<Box<dyn Fixer>> {
        fixers(&self.settings)
    }
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: LinuxFixes,
    name: "linux-fixes",
    summary: "The fixes that Linux guests need on KVM, whichever plugin opened them",
    kinds: ["fixer"],
    guests: ["linux"],
    capabilities: [],
    libraries: [],
    programs: [],
    settings: [
        ("skip_fixers", "strings", "[]", "fixers that are left out, by the names that a plan shows"),
        ("initramfs", "string", "auto", "how an initramfs gets its drivers: auto, append or rebuild"),
        ("remove_vmware_tools", "boolean", "true", "whether VMware Tools are removed"),
        ("keep_cloud_init_instance", "boolean", "true", "whether cloud-init is kept from taking the VM for a new one"),
        ("first_boot", "strings", "[]", "scripts that the guest runs once, at its first boot; absolute paths"),
        ("units", "strings", "[]", "units of systemd that the guest gets, enabled as they say; absolute paths"),
        ("guest_agent", "string", "leave", "leave, first-boot (from the guest's repositories), or the path of a .deb or .rpm"),
    ],
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use vmdk2kvm_plugin_api::ErrorKind;
    use vmdk2kvm_plugin_testing::FakeHost;

    use super::*;

    fn names(table: Value) -> Result<Vec<String>> {
        let plugin = LinuxFixes::new(FakeHost::new().host(table))?;
        Ok(plugin.fixers().iter().map(|fixer| fixer.name()).collect())
    }

    #[test]
    fn fixers_are_handed_out_as_the_settings_say() {
        let all = names(json!({})).unwrap();
        let fewer = names(json!({"skip_fixers": ["linux-fstab"], "remove_vmware_tools": false})).unwrap();
        let left_out: Vec<&String> = all.iter().filter(|name| !fewer.contains(name)).collect();
        assert_eq!(left_out, ["linux-fstab", "linux-vmware-tools"]);
    }

    #[test]
    fn what_cannot_work_is_a_configuration_error_that_names_the_key() {
        for (table, part) in [
            (json!({"skip_fixers": ["linux-magic"]}), "skip_fixers: there is no fixer \"linux-magic\""),
            (json!({"first_boot": ["a.sh"]}), "first_boot: a.sh is not an absolute path"),
            (json!({"initramfs": "never"}), "unknown variant `never`"),
            (json!({"memory_mib": 2048}), "unknown field `memory_mib`"),
            (json!([1]), "the plugin's settings: "),
        ] {
            let error = names(table).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Config);
            assert!(error.message.contains(part), "{}", error.message);
        }
    }
}

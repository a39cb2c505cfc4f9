//! What the user can choose about the fixes, and the list of all fixers.

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::Fixer;

/// The user's choices: settings of the plugin that opens the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FixSettings {
    /// How an initramfs gets its drivers.
    pub initramfs: InitramfsMode,
    /// Whether VMware Tools are removed.
    pub remove_vmware_tools: bool,
    /// Whether cloud-init is kept from taking the VM for a new one.
    pub keep_cloud_init_instance: bool,
}

impl Default for FixSettings {
    fn default() -> Self {
        Self { initramfs: InitramfsMode::Auto, remove_vmware_tools: true, keep_cloud_init_instance: true }
    }
}

/// How an initramfs gets its drivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitramfsMode {
    /// Append to it where the kernel can read that, rebuild it otherwise.
    #[default]
    Auto,
    /// Always rebuild it with the guest's own tool.
    Rebuild,
    /// Only append; what cannot be appended to is a finding.
    Append,
}

/// Every Linux fixer.
pub fn fixers(settings: &FixSettings) -> Vec<Box<dyn Fixer>> {
    let mut all: Vec<Box<dyn Fixer>> = vec![
        Box::new(super::fstab::Fstab),
        Box::new(super::crypttab::Crypttab),
        Box::new(super::resume::Resume),
        Box::new(super::lvm::Lvm),
        Box::new(super::md::Md),
        Box::new(super::cmdline::CommandLine),
        Box::new(super::uefi_fallback::UefiFallback),
        Box::new(super::network::Network),
        Box::new(super::initramfs::Initramfs { mode: settings.initramfs }),
    ];
    if settings.remove_vmware_tools {
        all.push(Box::new(super::vmware_tools::VmwareTools));
    }
    if settings.keep_cloud_init_instance {
        all.push(Box::new(super::cloud_init::CloudInit));
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let all = fixers(&FixSettings::default());
        assert_eq!(all.iter().map(|fixer| fixer.name()).collect::<BTreeSet<_>>().len(), all.len());
        for fewer in [
            FixSettings { remove_vmware_tools: false, ..FixSettings::default() },
            FixSettings { keep_cloud_init_instance: false, ..FixSettings::default() },
        ] {
            assert_eq!(fixers(&fewer).len(), all.len() - 1);
        }
    }
}

//! What the user can choose about the fixes, and the list of all fixers.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vmdk2kvm_plugin_api::{Fixer, PluginError, Result};

use crate::careful::CarefulFixer;

/// The user's choices: settings of the plugin that hands the fixers out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FixSettings {
    /// Fixers that are left out, by the names that a plan shows.
    pub skip_fixers: Vec<String>,
    /// How an initramfs gets its drivers.
    pub initramfs: InitramfsMode,
    /// Whether VMware Tools are removed.
    pub remove_vmware_tools: bool,
    /// Whether cloud-init is kept from taking the VM for a new one.
    pub keep_cloud_init_instance: bool,
    /// Scripts that the guest runs once, in this order, when it boots for the first time. Absolute paths.
    pub first_boot: Vec<PathBuf>,
    /// Units of systemd that the guest gets, enabled as they say themselves. Absolute paths.
    pub units: Vec<PathBuf>,
    /// Where the QEMU guest agent comes from.
    pub guest_agent: GuestAgent,
}

impl Default for FixSettings {
    fn default() -> Self {
        Self {
            skip_fixers: Vec::new(),
            initramfs: InitramfsMode::Auto,
            remove_vmware_tools: true,
            keep_cloud_init_instance: true,
            first_boot: Vec::new(),
            units: Vec::new(),
            guest_agent: GuestAgent::Leave,
        }
    }
}

impl FixSettings {
    /// Refuses names of no fixer, paths that would mean another file in another folder, and files that nobody can install.
    pub fn check(&self) -> Result<()> {
        let known: Vec<String> = fixers(&Self::default()).iter().map(|fixer| fixer.name()).collect();
        if let Some(other) = self.skip_fixers.iter().find(|name| !known.contains(name)) {
            return Err(PluginError::config(format!("skip_fixers: there is no fixer \"{}\"", other.escape_debug()))
                .hint(format!("the fixers are {}", known.join(", "))));
        }
        let relative =
            |key: &str, path: &Path| PluginError::config(format!("{key}: {} is not an absolute path", path.display()));
        for (key, paths) in [("first_boot", &self.first_boot), ("units", &self.units)] {
            if let Some(path) = paths.iter().find(|path| !path.is_absolute()) {
                return Err(relative(key, path));
            }
        }
        match &self.guest_agent {
            GuestAgent::Package(path) if !path.is_absolute() => {
                Err(relative("guest_agent", path).hint("leave, first-boot, or the path of a .deb or .rpm file"))
            }
            GuestAgent::Package(path)
                if !["deb", "rpm"].iter().any(|end| path.extension().is_some_and(|own| own == *end)) =>
            {
                Err(PluginError::config(format!("guest_agent: {} is no .deb or .rpm file", path.display())))
            }
            _ => Ok(()),
        }
    }
}

/// Where the QEMU guest agent comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum GuestAgent {
    /// The guest keeps what it has.
    #[default]
    Leave,
    /// The guest installs it from its own repositories when it boots for the first time.
    FirstBoot,
    /// The guest installs this package when it boots for the first time.
    Package(PathBuf),
}

impl From<String> for GuestAgent {
    fn from(word: String) -> Self {
        match word.as_str() {
            "leave" => Self::Leave,
            "first-boot" => Self::FirstBoot,
            _ => Self::Package(word.into()),
        }
    }
}

impl From<GuestAgent> for String {
    fn from(agent: GuestAgent) -> Self {
        match agent {
            GuestAgent::Leave => "leave".to_owned(),
            GuestAgent::FirstBoot => "first-boot".to_owned(),
            GuestAgent::Package(path) => path.to_string_lossy().into_owned(),
        }
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
        Box::new(super::grow::Grow),
        Box::new(super::fstab::Fstab),
        Box::new(super::mount_units::MountUnits),
        Box::new(super::crypttab::Crypttab),
        Box::new(super::resume::Resume),
        Box::new(super::lvm::Lvm),
        Box::new(super::md::Md),
        Box::new(super::cmdline::CommandLine),
        Box::new(super::uefi_fallback::UefiFallback),
        Box::new(super::network::NetworkNames),
        Box::new(super::driver_bans::DriverBans),
        Box::new(super::other_tools::OtherTools),
        Box::new(super::clocks::Clocks),
        Box::new(super::sweep::Sweep),
        Box::new(super::initramfs::Initramfs { mode: settings.initramfs }),
        Box::new(super::first_boot::FirstBoot {
            scripts: settings.first_boot.clone(),
            units: settings.units.clone(),
            agent: settings.guest_agent.clone(),
        }),
    ];
    if settings.remove_vmware_tools {
        all.push(Box::new(super::vmware_tools::VmwareTools));
    }
    if settings.keep_cloud_init_instance {
        all.push(Box::new(super::cloud_init::CloudInit));
    }
    all.retain(|fixer| !settings.skip_fixers.contains(&fixer.name()));
    all.into_iter().map(|fixer| Box::new(CarefulFixer(fixer)) as Box<dyn Fixer>).collect()
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
        for fixer in &all {
            let without = FixSettings { skip_fixers: vec![fixer.name()], ..FixSettings::default() };
            without.check().unwrap();
            let left: Vec<String> = fixers(&without).iter().map(|fixer| fixer.name()).collect();
            assert!(left.len() == all.len() - 1 && !left.contains(&fixer.name()), "{left:?}");
        }
    }

    #[test]
    fn settings_are_read_and_checked() {
        let read = |text: &str| serde_json::from_str::<FixSettings>(text).unwrap();
        assert_eq!(read("{}"), FixSettings::default());
        assert_eq!(read(r#"{"guest_agent": "first-boot"}"#).guest_agent, GuestAgent::FirstBoot);
        for (text, message) in [
            (r#"{"first_boot": ["a.sh"]}"#, "first_boot: a.sh is not an absolute path"),
            (r#"{"skip_fixers": ["linux-fstab", "fstab"]}"#, "skip_fixers: there is no fixer \"fstab\""),
            (r#"{"units": ["/a", "b"]}"#, "units: b is not an absolute path"),
            (r#"{"guest_agent": "latest"}"#, "guest_agent: latest is not an absolute path"),
            (r#"{"guest_agent": "/agent.zip"}"#, "guest_agent: /agent.zip is no .deb or .rpm file"),
        ] {
            assert_eq!(read(text).check().unwrap_err().message, message);
        }
        for text in [r#"{"first_boot": ["/a.sh"], "units": ["/b.service"]}"#, r#"{"guest_agent": "/agent.rpm"}"#] {
            let settings = read(text);
            settings.check().unwrap();
            assert_eq!(read(&serde_json::to_string(&settings).unwrap()), settings);
        }
    }
}

//! What a Windows guest needs on KVM: one file for each concern, one plan for all of them, since a hive is written once.

mod boot_driver;
mod driver_database;
mod drivers;
mod first_boot;
mod heads;
mod loader;
mod minimal;
mod network;
mod old_ide;
mod package;
mod plan;
mod products;
mod start;
#[cfg(test)]
mod tests;
mod tools;
mod user;

use serde::Deserialize;
use vmdk2kvm_plugin_api::model::{Action, Change, FixerPlan, OsFamily, PlanContext};
use vmdk2kvm_plugin_api::{Fixer, Guest, PluginError, Result};

use crate::places::System;
use crate::registry::{Hives, Registry};
use plan::Planning;

/// What a job says about the fixes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FixSettings {
    /// An ISO or a folder of drivers; empty: where packages of distributions put them.
    pub virtio_win: String,
    /// How a driver that the system starts with is made known to it.
    pub driver_packages: DriverPackages,
    /// Whether VMware Tools are taken out.
    pub remove_vmware_tools: bool,
    /// `leave`, `virtio-win` (the installer beside the drivers), or the path of an installer.
    pub guest_agent: String,
    /// Scripts of `cmd` or PowerShell that the guest runs once, at its first start; absolute paths.
    pub first_boot: Vec<String>,
}

/// How a driver that the system starts with is made known to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriverPackages {
    /// As Windows itself does when it installs one.
    Whole,
    /// What the start needs, and no more; the first start installs the package.
    Minimal,
}

impl Default for FixSettings {
    fn default() -> Self {
        Self {
            virtio_win: String::new(),
            driver_packages: DriverPackages::Whole,
            remove_vmware_tools: true,
            guest_agent: "virtio-win".to_owned(),
            first_boot: Vec::new(),
        }
    }
}

impl FixSettings {
    /// Refuses what cannot work, by key.
    pub fn check(&self) -> Result<()> {
        for script in &self.first_boot {
            if !script.starts_with('/') {
                return Err(PluginError::config(format!("first_boot: {script} is not an absolute path")));
            }
            if user::kind(script).is_none() {
                return Err(PluginError::config(format!("first_boot: {script} is none of .cmd, .bat and .ps1")));
            }
        }
        let agent = self.guest_agent.as_str();
        let is_installer = agent.starts_with('/') && agent.ends_with(".msi");
        if !matches!(agent, "leave" | "virtio-win") && !is_installer {
            return Err(PluginError::config(format!(
                "guest_agent: {agent} is none of leave, virtio-win and the absolute path of an .msi file"
            )));
        }
        Ok(())
    }
}

/// The fixer of Windows guests.
pub struct WindowsFixer {
    settings: FixSettings,
}

impl WindowsFixer {
    /// A fixer with these settings.
    pub fn new(settings: FixSettings) -> Self {
        Self { settings }
    }
}

impl Fixer for WindowsFixer {
    fn name(&self) -> String {
        "windows-virtio".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Windows]
    }

    fn plan(&self, context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        // Without a drive that could be opened the inspector has said why, and nothing can be planned.
        let Some(drive) = context.inspection.mounts.first().map(|mount| mount.mountpoint.clone()) else {
            return Ok(FixerPlan::default());
        };
        let Some(place) = System::all_on(guest, &drive)?.into_iter().next() else { return Ok(FixerPlan::default()) };
        let hives = Hives::read(guest, &place)?;
        let mut planning = Planning::new(guest, context, &place, &hives);
        planning.packages = self.settings.driver_packages;
        replays(&mut planning);
        let mut planned = drivers::plan(&mut planning, &self.settings)?;
        old_ide::plan(&mut planning)?;
        heads::plan(&mut planning)?;
        start::fallback(&mut planning)?;
        start::disks_and_crashes(&mut planning)?;
        loader::plan(&mut planning)?;
        if self.settings.remove_vmware_tools {
            planned.staged.extend(tools::plan(&mut planning)?);
        }
        planned.staged.extend(minimal::script(&planning.minimal));
        planned.staged.extend(network::plan(&mut planning)?);
        planned.staged.extend(user::scripts(&self.settings.first_boot)?);
        first_boot::plan(&mut planning, planned)?;
        planning.wishes();
        Ok(planning.finish())
    }
}

/// Hives that wait for their logs are brought up to date first: everything else was planned on what they then hold.
fn replays(planning: &mut Planning<'_>) {
    planning.plan.changes.extend(planning.hives.all().filter_map(replay));
}

fn replay(hive: &Registry) -> Option<Change> {
    let old_sha256 = hive.waited.as_ref()?.sha256.clone();
    let change = Change::new(
        Action::ReplayLog { old_sha256 },
        &hive.path,
        "replay the hive's logs",
        "the system was not shut down cleanly; Windows would do the same at its next start",
    );
    Some(change.critical())
}

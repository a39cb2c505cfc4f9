//! What the user wants in the guest once it runs on KVM: scripts for its first boot, units, the guest agent.
//!
//! Nothing is run offline. A script waits in [`FOLDER`] for [`SERVICE`], which runs each once, in the order of the settings; one that fails stays and is
//! tried again at the next boot. The files are the user's, on the machine that migrates; what they hold is in the plan.

use std::io::Read;
use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::model::{Action, Content, Finding, FixerPlan, OsFamily, PlanContext, Severity};
use vmdk2kvm_plugin_api::{Fixer, Guest, PluginError, Result};

use super::settings::GuestAgent;
use crate::textfile::{Why, read as read_guest, sha256_hex};

/// The fixer of what is to come.
pub(super) struct FirstBoot {
    pub scripts: Vec<PathBuf>,
    pub units: Vec<PathBuf>,
    pub agent: GuestAgent,
}

/// Where scripts wait, in the guest.
const FOLDER: &str = "/var/lib/vmdk2kvm/first-boot";
const SERVICE: &str = "vmdk2kvm-first-boot.service";
const RUNNER: &str = "/usr/local/sbin/vmdk2kvm-first-boot";
const UNITS: &str = "/etc/systemd/system";

/// Longest script or unit in bytes: it is shown in the plan.
const TEXT_LIMIT: u64 = 1 << 20;
/// Longest package in bytes.
const PACKAGE_LIMIT: u64 = 64 << 20;

impl Fixer for FirstBoot {
    fn name(&self) -> String {
        "linux-first-boot".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }

    fn order(&self) -> u32 {
        500
    }

    fn plan(&self, _context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let mut plan = Installing { guest, plan: FixerPlan::default() };
        let agent = match self.agent {
            GuestAgent::Leave => false,
            _ => !has_agent(guest)?,
        };
        if self.scripts.is_empty() && self.units.is_empty() && !agent {
            return Ok(plan.plan);
        }
        if !has_systemd(guest)? {
            plan.plan.findings.push(
                Finding::new(
                    "first-boot-without-systemd",
                    Severity::Block,
                    "the guest has no systemd, which first_boot, units and guest_agent need",
                )
                .hint("leave these settings out for this guest"),
            );
            return Ok(plan.plan);
        }
        if agent {
            self.install_agent(&mut plan)?;
        }
        for (index, script) in self.scripts.iter().enumerate() {
            let what = "a script for the first boot";
            plan.put(&format!("{FOLDER}/{:02}-{}", index + 1, name(script)?), &read(script, TEXT_LIMIT)?, 0o755, what)?;
        }
        if agent || !self.scripts.is_empty() {
            plan.put(RUNNER, include_bytes!("first_boot/runner.sh"), 0o755, "runs the scripts for the first boot")?;
            plan.unit(SERVICE, include_str!("first_boot/runner.service"))?;
        }
        for path in &self.units {
            let text = String::from_utf8(read(path, TEXT_LIMIT)?)
                .map_err(|_| PluginError::config(format!("units: {} is not UTF-8", path.display())))?;
            plan.unit(&name(path)?, &text)?;
        }
        Ok(plan.plan)
    }
}

impl FirstBoot {
    /// The guest agent by a script for the first boot: from the guest's own repositories, or from a package that is brought along.
    fn install_agent(&self, plan: &mut Installing<'_>) -> Result<()> {
        if let GuestAgent::Package(package) = &self.agent {
            let extension = package.extension().unwrap_or_default().to_string_lossy();
            let target = format!("{FOLDER}/qemu-guest-agent.{extension}");
            plan.put(&target, &read(package, PACKAGE_LIMIT)?, 0o644, "the package of the guest agent")?;
        }
        let what = "installs the guest agent at the first boot";
        plan.put(&format!("{FOLDER}/00-guest-agent"), include_bytes!("first_boot/guest-agent.sh"), 0o755, what)
    }
}

/// Collects what is not there yet.
struct Installing<'a> {
    guest: &'a dyn Guest,
    plan: FixerPlan,
}

impl Installing<'_> {
    fn put(&mut self, path: &str, content: &[u8], mode: u32, summary: &str) -> Result<()> {
        let why = Why { summary, reason: "the settings of this migration ask for it", critical: false };
        let before = self.plan.findings.len();
        let old = read_guest(self.guest, path, PACKAGE_LIMIT, &mut self.plan.findings)?;
        if self.plan.findings.len() > before {
            return Ok(());
        }
        let has_mode = self.guest.stat(path)?.is_some_and(|stat| stat.mode & 0o777 == mode);
        if old.as_deref() != Some(content) || !has_mode {
            let content = Content::from_bytes(content.to_vec());
            let action = Action::WriteFile { content, mode: Some(mode), old_sha256: old.as_deref().map(sha256_hex) };
            self.plan.changes.push(why.change(action, path));
        }
        Ok(())
    }

    /// Installs a unit and enables it as its own `[Install]` section says.
    fn unit(&mut self, name: &str, text: &str) -> Result<()> {
        let path = format!("{UNITS}/{name}");
        self.put(&path, text.as_bytes(), 0o644, &format!("the unit {name}"))?;
        let summary = format!("{name} is started with the system");
        let why = Why { summary: &summary, reason: "the settings of this migration ask for it", critical: false };
        for target in wanted_by(text) {
            let link = format!("{UNITS}/{target}.wants/{name}");
            if self.guest.stat(&link)?.is_none() {
                self.plan.changes.push(why.change(Action::Symlink { to: path.clone() }, &link));
            }
        }
        Ok(())
    }
}

/// The targets of `WantedBy=` in a unit's `[Install]` section.
fn wanted_by(unit: &str) -> Vec<&str> {
    let mut is_install = false;
    let mut targets = Vec::new();
    for line in unit.lines().map(str::trim) {
        if line.starts_with('[') {
            is_install = line == "[Install]";
        } else if let (true, Some((key, value))) = (is_install, line.split_once('=')) {
            let is_target = |word: &&str| word.ends_with(".target") && !word.contains('/');
            targets.extend(value.split_whitespace().filter(|_| key.trim() == "WantedBy").filter(is_target));
        }
    }
    targets
}

fn has_systemd(guest: &dyn Guest) -> Result<bool> {
    Ok(guest.stat("/lib/systemd/systemd")?.is_some() || guest.stat("/usr/lib/systemd/systemd")?.is_some())
}

fn has_agent(guest: &dyn Guest) -> Result<bool> {
    Ok(guest.stat("/usr/sbin/qemu-ga")?.is_some() || guest.stat("/usr/bin/qemu-ga")?.is_some())
}

/// The name of a file of the user's, which becomes a name in the guest.
fn name(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    crate::program::word("file", name).map(str::to_owned).map_err(|_| {
        PluginError::config(format!("{}: this name cannot be one in the guest", path.display()))
            .hint("use letters, digits and . _ + ~ : @ -")
    })
}

/// Reads a file of the user's.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| PluginError::config(format!("{} cannot be read: {error}", path.display()));
    let mut content = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(limit + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > limit {
        return Err(PluginError::config(format!("{} is larger than {} MiB", path.display(), limit >> 20)));
    }
    Ok(content)
}

#[cfg(test)]
mod tests;

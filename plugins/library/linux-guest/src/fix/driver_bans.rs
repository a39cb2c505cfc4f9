//! Lines of modprobe.d that forbid the new devices' drivers: harmless on VMware, and without its drivers the guest has no disk or no
//! network on KVM. `vmware_tools` takes them out of files that it cleans; this takes the rest, whether or not that is wanted.

use vmdk2kvm_plugin_api::model::{FixerPlan, OsFamily, PlanContext};
use vmdk2kvm_plugin_api::{FileKind, Fixer, Guest, Result};

use crate::textfile::{TextFile, Why, lines};

/// The fixer of bans.
pub(super) struct DriverBans;

const FOLDER: &str = "/etc/modprobe.d";

impl Fixer for DriverBans {
    fn name(&self) -> String {
        "linux-driver-bans".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }

    fn order(&self) -> u32 {
        420
    }

    fn live(&self) -> bool {
        true
    }

    fn plan(&self, _context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let mut plan = FixerPlan::default();
        let entries = guest.list(FOLDER)?.into_iter().flatten();
        let mut paths: Vec<String> = entries
            .filter(|entry| entry.kind == FileKind::File && entry.name.ends_with(".conf"))
            .map(|entry| format!("{FOLDER}/{}", entry.name))
            .collect();
        paths.push("/etc/modprobe.conf".to_owned());
        for path in paths {
            let Some(file) = TextFile::read(guest, &path, &mut plan.findings)? else { continue };
            let why = Why {
                summary: "drivers of KVM's devices may be loaded",
                reason: "the file forbids them, and without them there is no disk or no network",
                critical: true,
            };
            plan.changes.extend(file.rewrite(&without_bans(&file.text), why));
        }
        Ok(plan)
    }
}

/// The text without the lines that keep a virtio driver from being loaded (modprobe.d(5)).
pub(super) fn without_bans(text: &str) -> String {
    lines(text).filter(|line| !is_ban(line.body)).flat_map(|line| [line.body, line.ending]).collect()
}

pub(super) fn is_ban(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let (command, driver, program) = (words.next(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_virtio = driver == "virtio" || driver.replace('-', "_").starts_with("virtio_");
    is_virtio
        && match command {
            Some("blacklist") => true,
            Some("install") => ["/true", "/false"].iter().any(|end| program.ends_with(end)),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bans_go() {
        assert_eq!(
            without_bans(
                "# blacklist virtio_net\r\nblacklist virtio-net\r\nblacklist nouveau\r\ninstall virtio_blk /bin/false\r\n\
                 install virtio_pci /sbin/modprobe --ignore-install virtio_pci\r\noptions virtio_net napi_tx=1\r\nblacklist virtio_rng"
            ),
            "# blacklist virtio_net\r\nblacklist nouveau\r\ninstall virtio_pci /sbin/modprobe --ignore-install virtio_pci\r\n\
             options virtio_net napi_tx=1\r\n"
        );
    }
}

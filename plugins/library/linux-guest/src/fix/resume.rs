//! Where initramfs-tools looks for a hibernated system: `RESUME=` in its configuration. A device that is not there any more
//! costs every boot half a minute.

use vmdk2kvm_plugin_api::model::{FixerPlan, OsFamily, PlanContext};
use vmdk2kvm_plugin_api::{FileKind, Fixer, Guest, Result};

use crate::devices::{Devices, Reference};
use crate::textfile::{TextFile, Why, map_lines};

/// The fixer of `RESUME=`.
pub(super) struct Resume;

const FOLDER: &str = "/etc/initramfs-tools/conf.d";

impl Fixer for Resume {
    fn name(&self) -> String {
        "linux-resume".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }

    fn order(&self) -> u32 {
        100
    }

    fn live(&self) -> bool {
        true
    }

    fn plan(&self, context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let mut plan = FixerPlan::default();
        let devices = Devices::of(context, guest)?;
        let Some(entries) = guest.list(FOLDER)? else { return Ok(plan) };
        let mut paths: Vec<String> = entries
            .into_iter()
            .filter(|entry| entry.kind == FileKind::File)
            .map(|entry| format!("{FOLDER}/{}", entry.name))
            .collect();
        paths.push("/etc/initramfs-tools/initramfs.conf".to_owned());
        for path in paths {
            let Some(file) = TextFile::read(guest, &path, &mut plan.findings)? else { continue };
            let why = Why {
                summary: "resume device by UUID",
                reason: "the initramfs waits half a minute for a resume device that is not there",
                critical: false,
            };
            plan.changes.extend(file.rewrite(&stable_resume(&file.text, &devices), why));
        }
        Ok(plan)
    }
}

/// The text with `RESUME=` of a device by place turned into its UUID; `none` when this VM has no such device, since then
/// there is nothing to resume from.
pub(super) fn stable_resume(text: &str, devices: &Devices<'_>) -> String {
    map_lines(text, |line| {
        let value = line.strip_prefix("RESUME=")?;
        let name = match devices.refer(value.trim().trim_matches(['"', '\''])) {
            Reference::Place(device) => devices.stable_name(device).unwrap_or_else(|| "none".to_owned()),
            Reference::Unknown => "none".to_owned(),
            Reference::Stable | Reference::Removable | Reference::Other => return None,
        };
        Some(format!("RESUME={name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn values() {
        let context = fixture::context();
        let devices = Devices::new(&context.inspection.disks, Some(&context.vm));
        for (line, want) in [
            ("RESUME=/dev/sda5\n", "RESUME=UUID=uuid-0-5\n"),
            ("RESUME=\"/dev/sda5\"", "RESUME=UUID=uuid-0-5"),
            ("RESUME=/dev/sdb5", "RESUME=none"),
            ("RESUME=UUID=a\nRESUME=none\n#RESUME=/dev/sda5\n", "RESUME=UUID=a\nRESUME=none\n#RESUME=/dev/sda5\n"),
            ("RESUME=auto", "RESUME=auto"),
            ("RESUME=/dev/mapper/vg-swap", "RESUME=/dev/mapper/vg-swap"),
        ] {
            assert_eq!(stable_resume(line, &devices), want);
        }
    }
}

//! systemd's own mounts and swaps (`.mount` and `.swap` units): a device by its place gets the name of its filesystem, as in fstab.

use vmdk2kvm_plugin_api::model::{Finding, FixerPlan, OsFamily, PlanContext, Severity};
use vmdk2kvm_plugin_api::{FileKind, Fixer, Guest, Result};

use crate::devices::{Devices, Reference};
use crate::textfile::{TextFile, Why, map_lines};

/// The fixer of mount units.
pub(super) struct MountUnits;

const FOLDER: &str = "/etc/systemd/system";

impl Fixer for MountUnits {
    fn name(&self) -> String {
        "linux-mount-units".to_owned()
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
        for entry in guest.list(FOLDER)?.into_iter().flatten() {
            if entry.kind != FileKind::File || ![".mount", ".swap"].iter().any(|end| entry.name.ends_with(end)) {
                continue;
            }
            let path = format!("{FOLDER}/{}", entry.name);
            let Some(file) = TextFile::read(guest, &path, &mut plan.findings)? else { continue };
            let (text, unknown) = by_link(&file.text, &devices);
            plan.findings.extend(unknown.map(|device| {
                let reason = devices.why_not(&device);
                let message = format!("{path} mounts {device}, {}", reason.why);
                Finding::new("mount-unit-unknown-device", Severity::Warn, message).hint(reason.hint)
            }));
            let mounted =
                file.text.lines().filter_map(|line| line.split_once('=').filter(|(key, _)| key.trim() == "What"));
            plan.findings.extend(mounted.filter_map(|(_, device)| {
                devices.guess("mount-unit-guessed-device", &format!("{path} mounts {}", device.trim()), device.trim())
            }));
            let why = Why {
                summary: "a unit mounts its device by UUID",
                reason: "names by place do not exist on KVM, and the boot waits for them or stops",
                critical: true,
            };
            plan.changes.extend(file.rewrite(&text, why));
        }
        Ok(plan)
    }
}

/// The text with the device of `What=` by its link, which every version of systemd takes, and the device that is not known.
fn by_link(text: &str, devices: &Devices<'_>) -> (String, Option<String>) {
    let mut unknown = None;
    let text = map_lines(text, |line| {
        let (key, value) = line.split_once('=').filter(|(key, _)| key.trim() == "What")?;
        let link = match devices.refer(value.trim()) {
            Reference::Place(device) => devices.stable_name(device).and_then(|name| link(&name)),
            Reference::Unknown => None,
            _ => return None,
        };
        if link.is_none() {
            unknown = Some(value.trim().to_owned());
        }
        Some(format!("{key}={}", link?))
    });
    (text, unknown)
}

fn link(name: &str) -> Option<String> {
    let (tag, value) = name.split_once('=')?;
    Some(format!("/dev/disk/by-{}/{value}", tag.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn units_by_link() {
        let context = fixture::context();
        let devices = Devices::new(&context.inspection.disks, Some(&context.vm));
        for (old, new, unknown) in [
            (
                "[Unit]\r\nAfter=x\r\n[Mount]\r\nWhat=/dev/sda1\r\nWhere=/data",
                "[Unit]\r\nAfter=x\r\n[Mount]\r\nWhat=/dev/disk/by-uuid/uuid-0-1\r\nWhere=/data",
                None,
            ),
            ("[Swap]\nWhat = /dev/sda5\n", "[Swap]\nWhat =/dev/disk/by-uuid/uuid-0-5\n", None),
            ("[Mount]\nWhat=/dev/sdb1\n", "[Mount]\nWhat=/dev/sdb1\n", Some("/dev/sdb1")),
            (
                "# What=/dev/sda1\nWhat=UUID=a\nWhat=nas:/x\nWhat\n=\n",
                "# What=/dev/sda1\nWhat=UUID=a\nWhat=nas:/x\nWhat\n=\n",
                None,
            ),
        ] {
            assert_eq!(by_link(old, &devices), (new.to_owned(), unknown.map(str::to_owned)));
            assert_eq!(by_link(new, &devices).0, new);
        }
    }
}

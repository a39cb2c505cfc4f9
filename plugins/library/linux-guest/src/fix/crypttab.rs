//! `/etc/crypttab`: encrypted devices by the UUID of their LUKS header, others by that of their partition.

use vmdk2kvm_plugin_api::model::{Finding, FixerPlan, GuestDiskInfo, OsFamily, PlanContext, Severity, VmSpec};
use vmdk2kvm_plugin_api::{Fixer, Guest, Result};

use super::fstab::unescape;
use crate::devices::{Devices, Reference};
use crate::textfile::{TextFile, Why, map_lines, words};

/// The fixer of `/etc/crypttab`.
pub(super) struct Crypttab;

impl Fixer for Crypttab {
    fn name(&self) -> String {
        "linux-crypttab".to_owned()
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
        // The second is what Arch's sd-encrypt hook puts into the initramfs as its crypttab.
        for path in ["/etc/crypttab", "/etc/crypttab.initramfs"] {
            let Some(file) = TextFile::read(guest, path, &mut plan.findings)? else { continue };
            let (text, findings) = by_uuid(&file.text, &devices);
            plan.findings.extend(findings);
            let why = Why {
                summary: "encrypted devices by UUID",
                reason: "names by place do not exist on KVM, and an encrypted device that is not found stops the boot",
                critical: true,
            };
            plan.changes.extend(file.rewrite(&text, why));
        }
        Ok(plan)
    }
}

/// What the guest opens at its start: the name below `/dev/mapper`, and the encrypted device in the inspector's naming, or its
/// `/dev/disk/by-...` link where it is on no disk's list.
pub fn crypttab_devices(
    guest: &dyn Guest,
    disks: &[GuestDiskInfo],
    vm: Option<&VmSpec>,
) -> Result<Vec<(String, String)>> {
    let Some(file) = TextFile::read(guest, "/etc/crypttab", &mut Vec::new())? else { return Ok(Vec::new()) };
    let devices = Devices::new(disks, vm);
    let opened = file.lines().filter_map(|line| {
        let mut fields = line.body.split_whitespace();
        let name = fields.next().filter(|name| !name.starts_with('#'))?;
        Some((unescape(name), devices.resolve(&unescape(fields.next()?))?))
    });
    Ok(opened.collect())
}

/// The text with devices by place turned into their UUIDs, and what could not be.
pub(super) fn by_uuid(text: &str, devices: &Devices<'_>) -> (String, Vec<Finding>) {
    let mut findings = Vec::new();
    let text = map_lines(text, |line| {
        let fields = words(line);
        let source = fields.get(1).filter(|_| !line[fields[0].clone()].starts_with('#'))?.clone();
        let stable = match devices.refer(&unescape(&line[source.clone()])) {
            Reference::Stable | Reference::Other | Reference::Removable => return None,
            // Without a LUKS header (swap with a random key) there is no UUID but the partition's.
            Reference::Place(device) => match device.fstype.as_deref() {
                Some("crypto_LUKS") => devices.stable_name(device),
                _ => devices.partition_name(device),
            },
            Reference::Unknown => None,
        };
        if let Some(stable) = stable {
            let opened = unescape(&line[source.clone()]);
            findings.extend(devices.guess(
                "crypttab-guessed-device",
                &format!("/etc/crypttab opens {opened}"),
                &opened,
            ));
            return Some(format!("{}{stable}{}", &line[..source.start], &line[source.end..]));
        }
        let source = unescape(&line[source]);
        let reason = devices.why_not(&source);
        let message = format!("/etc/crypttab opens {source}, {}", reason.why);
        findings.push(Finding::new("crypttab-unknown-device", Severity::Warn, message).hint(reason.hint));
        None
    });
    (text, findings)
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::model::{Controller, Disk};

    use super::*;
    use crate::fixture;

    #[test]
    fn devices_that_are_opened() {
        let text = "# <target> <source>\na_crypt /dev/sda5 none luks\nb /dev/mapper/vg--one-root /etc/keys/k luks\n\
                    c UUID=abc none\nalone\n";
        let guest = fixture::MapGuest::new(&[("/etc/crypttab", text)]);
        let context = fixture::context();
        let devices = crypttab_devices(&guest, &context.inspection.disks, Some(&context.vm)).unwrap();
        let devices: Vec<(&str, &str)> =
            devices.iter().map(|(name, device)| (name.as_str(), device.as_str())).collect();
        assert_eq!(devices, [("a_crypt", "/dev/sda5"), ("b", "/dev/vg-one/root"), ("c", "/dev/disk/by-uuid/abc")]);
    }

    #[test]
    fn by_uuid_of_the_header() {
        let mut context = fixture::context();
        context.inspection.disks = vec![fixture::disk(0, &[(1, "ext4"), (2, "crypto_LUKS"), (5, "swap")])];
        let text = "# <target> <source>\nroot_crypt\t/dev\\057sda2 none luks\nswap /dev/sda5 /dev/urandom swap\nx UUID=1 none luks\n\
                    y /dev/sdb1 none\nshort\n";
        let devices = Devices::new(&context.inspection.disks, Some(&context.vm));
        let (out, findings) = by_uuid(text, &devices);
        assert_eq!(
            out,
            "# <target> <source>\nroot_crypt\tUUID=uuid-0-2 none luks\nswap PARTUUID=part-0-5 /dev/urandom swap\n\
             x UUID=1 none luks\ny /dev/sdb1 none\nshort\n"
        );
        assert_eq!(findings.len(), 1);
        assert_eq!(by_uuid(&out, &devices).0, out);
        // A second disk on a controller of another kind puts every letter in doubt.
        context.vm.disks.push(Disk::new("x", Controller::Sata, 0, 0));
        context.inspection.disks.push(fixture::disk(1, &[]));
        let devices = Devices::new(&context.inspection.disks, Some(&context.vm));
        let (_, findings) = by_uuid("a /dev/sda2 none luks\n", &devices);
        assert_eq!(
            findings.iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>(),
            ["crypttab-guessed-device"]
        );
    }
}

//! LVM's own lists of disks: the devices file, filters and caches that name the old machine's disks. What they do not name, LVM
//! does not see, and a root in a volume group is not found.

use vmdk2kvm_plugin_api::model::{FixerPlan, OsFamily, PlanContext};
use vmdk2kvm_plugin_api::{Fixer, Guest, Result};

use crate::textfile::{TextFile, Why, map_lines};

/// The fixer of LVM's lists.
pub(super) struct Lvm;

const DEVICES: &str = "/etc/lvm/devices/system.devices";
const CONFIGURATIONS: [&str; 2] = ["/etc/lvm/lvm.conf", "/etc/lvm/lvmlocal.conf"];
const CACHES: [&str; 2] = ["/etc/lvm/cache/.cache", "/etc/lvm/.cache"];
/// Lets KVM's disks through, whatever follows: the first pattern that fits decides (lvm.conf(5), "devices/filter").
const ACCEPT: &str = "\"a|^/dev/[sv]d|\"";

impl Fixer for Lvm {
    fn name(&self) -> String {
        "linux-lvm".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }

    fn order(&self) -> u32 {
        100
    }

    fn plan(&self, _context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let mut plan = FixerPlan::default();
        if let Some(file) = TextFile::read(guest, DEVICES, &mut plan.findings)? {
            if by_identity(&file.text) != file.text {
                plan.changes.push(file.remove(Why {
                    summary: "LVM looks at every disk",
                    reason: "the list of devices names the old disks by their serial numbers; without it LVM asks the disks",
                    critical: true,
                }));
            }
        }
        for path in CONFIGURATIONS {
            let Some(file) = TextFile::read(guest, path, &mut plan.findings)? else { continue };
            let why = Why {
                summary: "LVM's filter lets the new disks through",
                reason: "the filter accepts the old disks by name and refuses all others",
                critical: true,
            };
            plan.changes.extend(file.rewrite(&open_filters(&file.text), why));
        }
        for path in CACHES {
            let Some(file) = TextFile::read(guest, path, &mut plan.findings)? else { continue };
            plan.changes.push(file.remove(Why {
                summary: "LVM's memory of the old disks removed",
                reason: "it is made anew, and the disks have other names",
                critical: false,
            }));
        }
        Ok(plan)
    }
}

/// The configuration with every filter that accepts disks by their old names accepting the new ones first.
pub(super) fn open_filters(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + ACCEPT.len());
    let mut rest = text;
    while let Some(at) = next_filter(rest) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(']').unwrap_or(rest.len());
        let patterns = &rest[..end];
        if accepts_old_names(patterns) {
            out.push_str(ACCEPT);
            out.push_str(", ");
        }
        out.push_str(patterns);
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// Where the patterns of the next filter begin: behind the bracket.
fn next_filter(text: &str) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let setting = line.trim_start();
        let value = ["filter", "global_filter"]
            .into_iter()
            .find_map(|key| setting.strip_prefix(key)?.trim_start().strip_prefix('=')?.trim_start().strip_prefix('['));
        if let Some(value) = value {
            return Some(at + line.len() - value.len());
        }
        at += line.len();
    }
    None
}

fn accepts_old_names(patterns: &str) -> bool {
    const OLD: [&str; 5] = ["/sd", "/dev/hd", "by-path", "by-id", "mpath"];
    let mut quoted = patterns.split('"').skip(1).step_by(2);
    !patterns.contains(ACCEPT)
        && quoted.any(|pattern| pattern.starts_with('a') && OLD.iter().any(|name| pattern.contains(name)))
}

/// The devices file with entries of the old disks found by what is on them: a name that is not known makes LVM look for the
/// physical volume's own UUID (lvmdevices(8), "Device ID").
pub(super) fn by_identity(text: &str) -> String {
    map_lines(text, |line| {
        let of_disk = line.split_whitespace().find_map(|word| word.strip_prefix("IDTYPE=")).is_some_and(|kind| {
            // These describe what is on the disk, all others the disk.
            !matches!(kind, "crypt_uuid" | "md_uuid" | "lvmlv_uuid" | "loop_file")
        });
        let is_right = line.contains("IDTYPE=devname IDNAME=. DEVNAME=.");
        if !of_disk || is_right {
            return None;
        }
        let kept = line.split_whitespace().filter(|word| {
            !["IDTYPE=", "IDNAME=", "DEVNAME=", "PRODUCT_UUID="].iter().any(|key| word.starts_with(key))
        });
        Some(std::iter::once("IDTYPE=devname IDNAME=. DEVNAME=.").chain(kept).collect::<Vec<_>>().join(" "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, MapGuest};

    #[test]
    fn a_devices_file_of_the_old_disks_goes() {
        let rhel9 = "# LVM uses devices listed in this file.\n# Created by LVM command vgimportdevices\nVERSION=1.1.2\n\
            IDTYPE=sys_wwid IDNAME=naa.6000c29f5d0a7c8e DEVNAME=/dev/sda2 PVID=kOzQ1 PART=2\n";
        let kept = "VERSION=1.1.1\nIDTYPE=crypt_uuid IDNAME=CRYPT-LUKS2-1 DEVNAME=/dev/dm-0 PVID=x\n";
        let plan = |text: &str| Lvm.plan(&fixture::context(), &MapGuest::new(&[(DEVICES, text)])).unwrap().changes;
        assert_eq!(plan(rhel9)[0].action.kind(), "remove");
        assert!(plan(rhel9)[0].critical);
        assert!(plan(kept).is_empty());
        assert_eq!(by_identity(rhel9).lines().last(), Some("IDTYPE=devname IDNAME=. DEVNAME=. PVID=kOzQ1 PART=2"));
        assert_eq!(by_identity(&by_identity(rhel9)), by_identity(rhel9));
    }

    #[test]
    fn filters() {
        for (old, new) in [
            (
                "devices {\n\t# filter = [ \"a|/dev/sda|\" ]\n\tfilter = [ \"a|^/dev/sda2$|\", \"r|.*|\" ]\n}\n",
                "devices {\n\t# filter = [ \"a|/dev/sda|\" ]\n\tfilter = [\"a|^/dev/[sv]d|\",  \"a|^/dev/sda2$|\", \"r|.*|\" ]\n}\n",
            ),
            (
                "global_filter=[\n  \"a|/dev/disk/by-id/scsi-36000c29|\",\n  \"r/.*/\"\n]\n",
                "global_filter=[\"a|^/dev/[sv]d|\", \n  \"a|/dev/disk/by-id/scsi-36000c29|\",\n  \"r/.*/\"\n]\n",
            ),
        ] {
            assert_eq!(open_filters(old), new);
            assert_eq!(open_filters(new), new);
        }
        for same in [
            "filter = [ \"a|.*|\" ]\n",
            "filter = [ \"r|/dev/sdb|\", \"a|.*|\" ]\n",
            "filter = [ \"a|/dev/md.*|\", \"r|.*|\" ]\n",
            "filter = [",
            "preferred_names = [ \"^/dev/sd\" ]\n",
            "filter_x = [ \"a|/dev/sda|\" ]\n",
        ] {
            assert_eq!(open_filters(same), same);
        }
    }
}

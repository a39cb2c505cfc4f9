//! LVM's own lists of disks: the devices file, filters and caches that name the old machine's disks. What they do not name, LVM
//! does not see, and a root in a volume group is not found.

mod filter;

use vmdk2kvm_plugin_api::model::{Finding, FixerPlan, OsFamily, PlanContext, Severity};
use vmdk2kvm_plugin_api::{Fixer, Guest, Result};

use crate::textfile::{TextFile, Why, map_lines};
use filter::{Judgement, filters, judge};

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

    fn live(&self) -> bool {
        true
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
            let unknown = filters(&file.text).into_iter().any(|filter| judge(&filter.patterns) == Judgement::Unknown);
            plan.findings.extend(unknown.then(|| {
                let message = format!("{path} has a filter whose patterns are not understood");
                Finding::new("lvm-filter-not-understood", Severity::Warn, message).hint(
                    "make sure that it accepts /dev/vda as it accepts /dev/sda, or the volume groups are not found",
                )
            }));
        }
        for path in CACHES {
            let Some(file) = TextFile::read(guest, path, &mut plan.findings)? else { continue };
            plan.changes.push(file.remove(Why {
                summary: "LVM's memory of the old disks removed",
                reason: "LVM makes it again, and the disks have other names",
                critical: false,
            }));
        }
        Ok(plan)
    }
}

/// The configuration with every filter that takes disks by their old names alone taking the new ones first.
pub(super) fn open_filters(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + ACCEPT.len());
    let mut done = 0;
    for filter in filters(text).into_iter().filter(|filter| judge(&filter.patterns) == Judgement::Shut) {
        let old = &text[filter.value.clone()];
        out.push_str(&text[done..filter.value.start]);
        out.push_str(&if filter.is_list { format!("{ACCEPT}, {old}") } else { format!("[ {ACCEPT}, {old} ]") });
        done = filter.value.end;
    }
    out.push_str(&text[done..]);
    out
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
            ("devices { filter = \"a|sda|\" }", "devices { filter = \"a|sda|\" }"),
            (
                "devices { filter = [ \"a|sd.*|\", \"r|.*|\" ] }",
                "devices { filter = [\"a|^/dev/[sv]d|\",  \"a|sd.*|\", \"r|.*|\" ] }",
            ),
            ("devices/filter = \"r|/dev/vd|\"", "devices/filter = [ \"a|^/dev/[sv]d|\", \"r|/dev/vd|\" ]"),
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

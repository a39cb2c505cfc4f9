//! The sweep at the end of a plan: what in the guest's configuration still names the old machine's disks, drivers and clocks when all changes
//! are made, in files that no other fixer understands. It changes nothing and says where to look.
//!
//! Bounded: so many files, each not larger than a person would write, so many findings.

mod traces;

use vmdk2kvm_plugin_api::model::{Finding, FixerPlan, OsFamily, PlanContext, Severity};
use vmdk2kvm_plugin_api::{FileKind, Fixer, Guest, Result};

use crate::inspect::network;
use traces::{Trace, traces, traces_in_rules};

/// The sweep.
pub(super) struct Sweep;

const MOST_FILES: usize = 4000;
const LARGEST_FILE: u64 = 64 << 10;
/// debconf's database has a record for each question of each package.
const LARGEST_DATABASE: u64 = 8 << 20;
const DEEPEST: usize = 6;
const MOST_FINDINGS: usize = 20;
/// Files are read so many at a time: one round trip where the guest is far away.
const BATCH: usize = 64;

/// What other fixers answer for beside the network, and what has no say in anything: caches, keys, policies, hints.
const PASSED_OVER: [&str; 35] = [
    "/etc/fstab",
    "/etc/crypttab",
    "/etc/crypttab.initramfs",
    "/etc/mtab",
    "/etc/blkid",
    "/etc/blkid.tab",
    "/etc/default/grub",
    "/etc/default/grub.d",
    "/etc/default/extlinux",
    "/etc/update-extlinux.conf",
    "/etc/sysconfig/grub",
    "/etc/sysconfig/bootloader",
    "/etc/sysconfig/hwconf",
    "/etc/kernel/cmdline",
    "/etc/grub.d",
    "/etc/lilo.conf",
    "/etc/lvm",
    "/etc/mdadm",
    "/etc/mdadm.conf",
    "/etc/multipath",
    "/etc/multipath.conf",
    "/etc/modprobe.d",
    "/etc/modprobe.conf",
    "/etc/modules",
    "/etc/modules-load.d",
    "/etc/vmware-tools",
    "/etc/vmware-caf",
    "/etc/alternatives",
    "/etc/apparmor.d",
    "/etc/ca-certificates",
    "/etc/fonts",
    "/etc/pki",
    "/etc/selinux",
    "/etc/ssh",
    "/etc/ssl",
];

/// What goes into boot archives: a driver without its device does nothing there.
const DRIVER_LISTS: [&str; 6] = [
    "/etc/initramfs-tools",
    "/etc/mkinitcpio.conf",
    "/etc/dracut.conf",
    "/etc/sysconfig/kernel",
    "/etc/genkernel.conf",
    "/etc/mkinitfs",
];

const RULES: &str = "/etc/udev/rules.d/";
const DEBCONF: &str = "/var/cache/debconf/config.dat";

impl Fixer for Sweep {
    fn name(&self) -> String {
        "linux-sweep".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }

    /// Behind all others: it looks at what they leave.
    fn order(&self) -> u32 {
        1000
    }

    fn live(&self) -> bool {
        true
    }

    fn plan(&self, _context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let mut paths = Vec::new();
        gather("/etc", DEEPEST, guest, &mut paths)?;
        let mut found = Vec::new();
        for batch in paths.chunks(BATCH) {
            let names: Vec<&str> = batch.iter().map(String::as_str).collect();
            for (path, read) in batch.iter().zip(guest.read_many(&names, LARGEST_FILE)) {
                // What is larger, or no file, is nobody's configuration.
                let Ok(Some(bytes)) = read else { continue };
                let is_list = DRIVER_LISTS.iter().any(|list| path.starts_with(list));
                let mut here = traces(&bytes);
                here.retain(|trace| !(is_list && trace.is_driver()));
                if path.starts_with(RULES) {
                    let more = traces_in_rules(&bytes).into_iter();
                    let more: Vec<Trace> =
                        more.filter(|trace| here.iter().all(|known| known.line != trace.line)).collect();
                    here.extend(more);
                }
                found.extend(here.into_iter().map(|trace| (path.as_str(), trace)));
            }
        }
        let database = guest.read(DEBCONF, LARGEST_DATABASE).ok().flatten().unwrap_or_default();
        found.extend(traces(&database).into_iter().map(|trace| (DEBCONF, trace)));
        let mut findings: Vec<Finding> =
            found.iter().take(MOST_FINDINGS).map(|(path, trace)| finding(path, trace)).collect();
        if let Some(more) = found.len().checked_sub(MOST_FINDINGS).filter(|more| *more > 0) {
            let message = format!("{more} more lines of the guest's configuration name the old machine's devices");
            findings.push(
                Finding::new("names-old-machine", Severity::Warn, message)
                    .hint("search /etc in the guest for /dev/sd and by-path"),
            );
        }
        Ok(FixerPlan::default().with(|it| it.findings = findings))
    }
}

/// The files of a folder and its folders that may be configuration.
fn gather(folder: &str, deeper: usize, guest: &dyn Guest, out: &mut Vec<String>) -> Result<()> {
    for entry in guest.list(folder)?.into_iter().flatten() {
        let path = format!("{folder}/{}", entry.name);
        if out.len() >= MOST_FILES || PASSED_OVER.contains(&path.as_str()) || network::is_read(&path) {
            continue;
        }
        match entry.kind {
            FileKind::Dir if deeper > 0 => gather(&path, deeper - 1, guest, out)?,
            FileKind::File if is_configuration(&entry.name) => out.push(path),
            _ => {}
        }
    }
    Ok(())
}

/// Not documentation, nor what a package manager or an editor put aside.
fn is_configuration(name: &str) -> bool {
    const ASIDE: [&str; 22] = [
        "~",
        "-",
        ".bak",
        ".old",
        ".orig",
        ".save",
        ".sample",
        ".example",
        ".dist",
        ".default",
        ".md",
        ".html",
        ".txt",
        ".dpkg-dist",
        ".dpkg-old",
        ".dpkg-new",
        ".dpkg-bak",
        ".rpmnew",
        ".rpmsave",
        ".rpmorig",
        ".pacnew",
        ".pacsave",
    ];
    !name.starts_with("README") && !name.starts_with('#') && !ASIDE.iter().any(|end| name.ends_with(end))
}

fn finding(path: &str, trace: &Trace) -> Finding {
    let of = trace.question.as_ref().map(|question| format!(" for {question}")).unwrap_or_default();
    let message = format!(
        "{path}:{} names {}{of}, which is not there on the new machine: {}",
        trace.line, trace.name, trace.text
    );
    Finding::new("names-old-machine", Severity::Warn, message).hint(trace.hint())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, MapGuest};

    fn swept(files: &[(&str, &str)]) -> Vec<String> {
        let plan = Sweep.plan(&fixture::context(), &MapGuest::new(files)).unwrap();
        assert!(plan.changes.is_empty());
        plan.findings.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn what_still_names_the_old_machine_is_told_with_its_place() {
        let debconf = "Name: grub-pc/timeout\nValue: 5\n\nName: grub-pc/install_devices\nTemplate: grub-pc/install_devices\n\
            Value: /dev/disk/by-id/scsi-36000c29f0b1c2d3e4f5a6b7c8d9e0f1a\nOwners: grub-pc\n";
        assert_eq!(
            swept(&[
                ("/etc/chrony.conf", "# refclock PHC /dev/ptp9\nrefclock PHC /dev/ptp_hyperv poll 3\n"),
                (
                    "/etc/udev/rules.d/99-asm.rules",
                    "\nRESULT==\"36000c29f0b1c2d3e4f5a6b7c8d9e0f1a\", SYMLINK+=\"asm\"\n"
                ),
                (DEBCONF, debconf),
            ]),
            [
                "/etc/chrony.conf:2 names /dev/ptp_hyperv, which is not there on the new machine: refclock PHC /dev/ptp_hyperv poll 3",
                "/etc/udev/rules.d/99-asm.rules:2 names 36000c29f0b1c2d3e4f5a6b7c8d9e0f1a, which is not there on the new machine: RESULT==\"36000c29f0b1c2d3e4f5a6b7c8d9e0f1a\", SYMLINK+=\"asm\"",
                "/var/cache/debconf/config.dat:6 names /dev/disk/by-id/scsi-36000c29f0b1c2d3e4f5a6b7c8d9e0f1a for grub-pc/install_devices, which is not there on the new machine: Value: /dev/disk/by-id/scsi-36000c29f0b1c2d3e4f5a6b7c8d9e0f1a",
            ]
        );
    }

    #[test]
    fn what_says_nothing_or_is_anothers_is_passed_over() {
        let line = "disk /dev/sda1\n";
        for path in [
            "/etc/fstab",
            "/etc/lvm/backup/vg",
            "/etc/network/if-up.d/a",
            "/etc/README.disks",
            "/etc/a.conf.dpkg-old",
            "/etc/passwd-",
            "/usr/share/a",
            "/srv/etc/a",
        ] {
            assert_eq!(swept(&[(path, line)]), [""; 0], "{path}");
        }
        assert_eq!(
            swept(&[
                ("/etc/initramfs-tools/modules", "vmw_pvscsi\n"),
                ("/etc/dracut.conf.d/a.conf", "add_drivers+=\" vmxnet3 \"\n")
            ]),
            [""; 0]
        );
        assert_eq!(swept(&[("/etc/dracut.conf.d/a.conf", line)]).len(), 1);
        assert_eq!(swept(&[("/etc/a/b/c.conf", line)]).len(), 1);
        let large = "x\n".repeat(LARGEST_FILE as usize) + line;
        assert_eq!(swept(&[("/etc/large", &large)]), [""; 0]);
    }

    #[test]
    fn findings_are_bounded() {
        let many = swept(&[("/etc/many.conf", &"disk /dev/sda1\n".repeat(100))]);
        assert_eq!(many.len(), MOST_FINDINGS + 1);
        assert!(many[MOST_FINDINGS].starts_with("80 more lines"));
    }
}

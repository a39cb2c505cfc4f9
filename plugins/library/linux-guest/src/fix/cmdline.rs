//! The kernel command line wherever a guest keeps it: the generators' input and the generated files alike, so that the guest
//! boots now and after its next kernel update.
//!
//! Owns which files are looked at. What is an argument is in `arguments`, the files' grammars in `default_grub` and `loaders`.

pub(super) mod arguments;
mod default_grub;
mod loaders;

use vmdk2kvm_plugin_api::model::{Finding, FixerPlan, OsFamily, PlanContext, Severity};
use vmdk2kvm_plugin_api::{FileKind, Fixer, Guest, Result};

use crate::devices::{Devices, Reference};
use crate::textfile::{TextFile, Why};
use arguments::Arguments;

/// The fixer of the kernel command line.
pub(super) struct CommandLine;

/// A grammar: the file's text with its arguments rewritten.
type Grammar = fn(&str, &mut Arguments<'_>) -> String;

/// Files with a fixed path.
const FILES: [(&str, Grammar); 21] = [
    ("/etc/default/grub", default_grub::fix),
    ("/etc/kernel/cmdline", loaders::whole),
    ("/boot/grub/grub.cfg", loaders::grub_cfg),
    ("/boot/grub2/grub.cfg", loaders::grub_cfg),
    ("/boot/grub/custom.cfg", loaders::grub_cfg),
    ("/boot/grub2/custom.cfg", loaders::grub_cfg),
    // Copied into grub.cfg as it is.
    ("/etc/grub.d/40_custom", loaders::grub_cfg),
    ("/etc/dracut.conf", loaders::dracut),
    ("/boot/grub/grubenv", loaders::grubenv),
    ("/boot/grub2/grubenv", loaders::grubenv),
    ("/boot/grub/menu.lst", loaders::menu_lst),
    ("/boot/grub/grub.conf", loaders::menu_lst),
    ("/boot/extlinux/extlinux.conf", loaders::syslinux),
    ("/boot/extlinux/linux.cfg", loaders::syslinux),
    ("/boot/syslinux/syslinux.cfg", loaders::syslinux),
    ("/boot/extlinux.conf", loaders::syslinux),
    // What makes those files: Debian's and Alpine's update-extlinux, SUSE's perl-Bootloader.
    ("/etc/default/extlinux", loaders::settings),
    ("/etc/update-extlinux.conf", loaders::settings),
    ("/etc/sysconfig/bootloader", loaders::settings),
    // Photon's grub.cfg takes its arguments from these.
    ("/boot/photon.cfg", loaders::settings),
    ("/boot/systemd.cfg", loaders::settings),
];

/// Folders whose files of this suffix all count.
const FOLDERS: [(&str, &str, Grammar); 6] = [
    ("/etc/default/grub.d", ".cfg", default_grub::fix),
    ("/boot/loader/entries", ".conf", loaders::boot_entry),
    ("/boot/efi/loader/entries", ".conf", loaders::boot_entry),
    ("/efi/loader/entries", ".conf", loaders::boot_entry),
    ("/etc/cmdline.d", ".conf", loaders::whole),
    ("/etc/dracut.conf.d", ".conf", loaders::dracut),
];

impl Fixer for CommandLine {
    fn name(&self) -> String {
        "linux-cmdline".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }

    fn order(&self) -> u32 {
        200
    }

    fn live(&self) -> bool {
        true
    }

    fn plan(&self, context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let mut plan = FixerPlan::default();
        let devices = Devices::of(context, guest)?;
        // The kernel itself understands PARTUUID= only; UUID= is the initramfs's work.
        let kernels = &context.inspection.kernels;
        let bare = !kernels.is_empty() && kernels.iter().all(|kernel| kernel.initramfs.is_none());
        for (path, grammar) in files(guest)? {
            let Some(file) = TextFile::read(guest, &path, &mut plan.findings)? else { continue };
            let mut arguments = Arguments::new(&devices, bare);
            let text = grammar(&file.text, &mut arguments);
            for argument in arguments.unknown {
                plan.findings.push(unknown_device(&path, &argument));
            }
            let why = Why {
                summary: "kernel command line names devices by UUID",
                reason: "the disk has another name on KVM, and the kernel would wait for the old one in vain",
                critical: true,
            };
            plan.changes.extend(file.rewrite(&text, why));
        }
        for path in ["/boot/grub/device.map", "/boot/grub2/device.map"] {
            let Some(file) = TextFile::read(guest, path, &mut plan.findings)? else { continue };
            let old = |line: &str| {
                let device = line.split_whitespace().nth(1).unwrap_or_default();
                matches!(devices.refer(device), Reference::Place(_) | Reference::Unknown)
                    && !device.starts_with("/dev/vd")
            };
            if file.text.lines().any(old) {
                plan.changes.push(file.remove(Why {
                    summary: "map of the old disks removed",
                    reason: "grub-install would look for the old disks; without the file it asks the system",
                    critical: false,
                }));
            }
        }
        Ok(plan)
    }
}

/// Every file to look at, with its grammar.
fn files(guest: &dyn Guest) -> Result<Vec<(String, Grammar)>> {
    let mut files: Vec<(String, Grammar)> =
        FILES.iter().map(|(path, grammar)| ((*path).to_owned(), *grammar)).collect();
    // Red Hat's link to /etc/default/grub; a file of its own in older releases.
    if guest.stat("/etc/sysconfig/grub")?.is_some_and(|stat| stat.kind == FileKind::File) {
        files.push(("/etc/sysconfig/grub".to_owned(), default_grub::fix));
    }
    for (folder, suffix, grammar) in FOLDERS {
        for entry in guest.list(folder)?.into_iter().flatten() {
            if entry.kind == FileKind::File && entry.name.ends_with(suffix) {
                files.push((format!("{folder}/{}", entry.name), grammar));
            }
        }
    }
    for loaders_of in ["/boot/efi/EFI", "/efi/EFI", "/boot/EFI"] {
        for vendor in guest.list(loaders_of)?.into_iter().flatten().filter(|entry| entry.kind == FileKind::Dir) {
            let folder = format!("{loaders_of}/{}", vendor.name);
            files.push((format!("{folder}/grub.cfg"), loaders::grub_cfg));
            files.push((format!("{folder}/grubenv"), loaders::grubenv));
            // GRUB legacy for UEFI, of RHEL 6.
            files.push((format!("{folder}/grub.conf"), loaders::menu_lst));
        }
    }
    Ok(files)
}

/// The arguments that name a device by its place, in a boot loader's configuration of whichever grammar.
pub(crate) fn unstable_arguments(text: &str, devices: &Devices<'_>) -> Vec<String> {
    let mut arguments = Arguments::new(devices, false);
    for grammar in [loaders::grub_cfg as Grammar, loaders::menu_lst, loaders::syslinux] {
        grammar(text, &mut arguments);
    }
    arguments.unstable.into_iter().collect()
}

fn unknown_device(path: &str, argument: &str) -> Finding {
    Finding::new(
        "cmdline-unknown-device",
        Severity::Warn,
        format!("{path} has {argument}, and no disk of this VM is known to be that device"),
    )
    .hint("give that disk to the migration with --disk, or correct the line")
}

#[cfg(test)]
mod tests;

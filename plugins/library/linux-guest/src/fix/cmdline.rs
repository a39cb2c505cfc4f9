//! The kernel command line wherever a guest keeps it: the generators' input and the generated files alike, so that the guest
//! boots now and after its next kernel update.
//!
//! Owns which files are looked at. What is an argument is in `arguments`, the files' grammars in `default_grub` and `loaders`.

pub(super) mod arguments;
mod default_grub;
mod grub_files;
mod grub_script;
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
const FILES: [(&str, Grammar); 16] = [
    ("/etc/default/grub", default_grub::fix),
    ("/etc/kernel/cmdline", loaders::whole),
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
        let vendors = vendors(guest)?;
        let fix = |file: &TextFile, grammar: &dyn Fn(&mut Arguments<'_>) -> String, plan: &mut FixerPlan| {
            let mut arguments = Arguments::new(&devices, bare);
            let text = grammar(&mut arguments);
            plan.findings
                .extend(arguments.unknown.iter().map(|argument| unknown_device(&file.path, argument, &devices)));
            let guessed = arguments.unstable.difference(&arguments.unknown);
            plan.findings
                .extend(guessed.filter_map(|argument| guessed_device(&file.path, argument, context, &devices)));
            let why = Why {
                summary: "kernel command line names devices by UUID",
                reason: "the disk has another name on KVM, and the kernel would wait for the old one and fail",
                critical: true,
            };
            plan.changes.extend(file.rewrite(&text, why));
        };
        for (path, grammar) in files(&vendors, guest)? {
            let Some(file) = TextFile::read(guest, &path, &mut plan.findings)? else { continue };
            fix(&file, &|arguments| grammar(&file.text, arguments), &mut plan);
        }
        let mounts = &context.inspection.mounts;
        let (scripts, used) = grub_files::scripts(&vendors, mounts, guest, &mut plan.findings)?;
        for script in &scripts {
            fix(&script.file, &|arguments| script.rewrite(&used, arguments), &mut plan);
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

/// Boot loaders' folders on the EFI system partition.
fn vendors(guest: &dyn Guest) -> Result<Vec<String>> {
    let mut out = Vec::new();
    for folder in ["/boot/efi/EFI", "/efi/EFI", "/boot/EFI"] {
        let vendors = guest.list(folder)?.into_iter().flatten().filter(|entry| entry.kind == FileKind::Dir);
        out.extend(vendors.map(|vendor| format!("{folder}/{}", vendor.name)));
    }
    Ok(out)
}

/// Every file to look at, with its grammar; GRUB's scripts are others.
fn files(vendors: &[String], guest: &dyn Guest) -> Result<Vec<(String, Grammar)>> {
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
    for folder in vendors {
        files.push((format!("{folder}/grubenv"), loaders::grubenv));
        // GRUB legacy for UEFI, of RHEL 6.
        files.push((format!("{folder}/grub.conf"), loaders::menu_lst));
    }
    Ok(files)
}

/// The arguments that name a device by its place, in a kernel command line.
pub(crate) fn unstable_in_line(line: &str, devices: &Devices<'_>) -> Vec<String> {
    let mut arguments = Arguments::new(devices, false);
    arguments.rewrite(line);
    arguments.unstable.into_iter().collect()
}

/// The arguments that name a device by its place, in a boot loader's configuration of whichever grammar.
pub(crate) fn unstable_arguments(text: &str, devices: &Devices<'_>) -> Vec<String> {
    let mut arguments = Arguments::new(devices, false);
    for grammar in [grub_script::alone as Grammar, loaders::menu_lst, loaders::syslinux] {
        grammar(text, &mut arguments);
    }
    arguments.unstable.into_iter().collect()
}

fn unknown_device(path: &str, argument: &str, devices: &Devices<'_>) -> Finding {
    let reason = devices.why_not(argument.split_once('=').map_or("", |(_, device)| device));
    let message = format!("{path} has {argument}, {}", reason.why);
    Finding::new("cmdline-unknown-device", Severity::Warn, message).hint(reason.hint)
}

/// A device that was taken for another's in doubt; the root is known by what is on it.
fn guessed_device(path: &str, argument: &str, context: &PlanContext, devices: &Devices<'_>) -> Option<Finding> {
    let spec = argument.split_once('=').map_or("", |(_, device)| device);
    let is_root = |device: &str| context.inspection.root.as_deref() == Some(device);
    if matches!(devices.refer(spec), Reference::Place(device) if is_root(&device.device)) {
        return None;
    }
    devices.guess("cmdline-guessed-device", &format!("{path} has {argument}"), spec)
}

#[cfg(test)]
mod tests;

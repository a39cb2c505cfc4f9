//! Linux systems that are put together in a way of their own: named as what they are, with what to do.

use vmdk2kvm_plugin_api::model::{Finding, Inspection, Severity};
use vmdk2kvm_plugin_api::{Guest, Result};

use super::menu::Menu;
use crate::initramfs::contents;
use crate::textfile::read;

/// So many boot archives are read: the newest generations.
const MOST_ARCHIVES: usize = 2;
const ARCHIVE_LIMIT: u64 = 1 << 30;

/// Programs and files of the systems that start services.
const INITS: [&str; 12] = [
    "/usr/lib/systemd/systemd",
    "/lib/systemd/systemd",
    "/etc/inittab",
    "/sbin/initctl",
    "/sbin/openrc",
    "/usr/bin/openrc",
    "/etc/runit",
    "/etc/s6",
    "/etc/s6-linux-init",
    "/etc/dinit.d",
    "/etc/rc.d/rc.sysinit",
    "/run/current-system",
];

/// Adds what there is to say of it.
pub(super) fn find(inspection: &mut Inspection, menu: &Menu, starts_itself: bool, guest: &dyn Guest) -> Result<()> {
    if inspection.os.distro == "nixos" || guest.stat("/etc/NIXOS")?.is_some() {
        // Its kernels are where the boot loader says, and nowhere else.
        inspection.findings.retain(|finding| finding.code != "no-kernel");
        inspection.findings.push(nixos(menu, guest)?);
        return Ok(());
    }
    // A folder or a container has no boot loader and needs none.
    if inspection.mounts.is_empty() {
        return Ok(());
    }
    // A unified kernel image is started by the firmware.
    if inspection.bootloader.is_none() && !starts_itself {
        let message =
            "no boot loader that is known here was found: whether it starts the guest by names that stay is not known";
        let hint = "make sure in the guest that its root is named by UUID wherever the boot loader keeps the kernel's command line";
        inspection.findings.push(Finding::new("unknown-boot-loader", Severity::Warn, message).hint(hint));
    }
    let mut known = false;
    for path in INITS {
        known |= guest.stat(path)?.is_some();
    }
    if !known {
        let message = "this guest's init system is not known: services of VMware Tools are not disabled, and nothing runs at its first boot";
        inspection
            .findings
            .push(Finding::new("unknown-init", Severity::Info, message).hint("disable them in the guest"));
    }
    Ok(())
}

/// NixOS: kernel, boot archive and configuration come out of its store, and what is changed there is changed back by its next rebuild.
fn nixos(menu: &Menu, guest: &dyn Guest) -> Result<Finding> {
    const HINT: &str = "set boot.initrd.availableKernelModules = [ \"virtio_pci\" \"virtio_blk\" \"virtio_scsi\" \"virtio_net\" ] in its configuration, \
        run nixos-rebuild boot, and migrate again";
    let mut has_drivers = None;
    for path in menu.archives().into_iter().take(MOST_ARCHIVES) {
        let image = read(guest, path, ARCHIVE_LIMIT, &mut Vec::new())?;
        let Some(Ok(inside)) = image.map(|image| contents(&image)) else { continue };
        let of_archive = inside.has_module("virtio_pci") && inside.has_module("virtio_blk");
        has_drivers = Some(has_drivers.unwrap_or(true) && of_archive);
    }
    let (severity, drivers) = match has_drivers {
        Some(true) => (Severity::Info, "has virtio drivers"),
        Some(false) => (Severity::Block, "has no virtio drivers, and the guest would not find its root"),
        None => (Severity::Warn, "could not be looked into"),
    };
    let message = format!(
        "this is NixOS, whose files come out of its store and are not changed from outside; its boot archive {drivers}"
    );
    let finding = Finding::new("nixos", severity, message);
    Ok(if has_drivers == Some(true) { finding } else { finding.hint(HINT) })
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::model::MountInfo;

    use super::*;
    use crate::fixture::{self, MapGuest};
    use crate::initramfs::tests::archive;

    fn codes(files: &[(&str, &str)], menu: &Menu, mounted: bool) -> Vec<(String, Severity)> {
        let mut guest = MapGuest::new(files);
        let modules = "nix/store/1-linux/lib/modules/6.6.30/kernel";
        let (pci, blk) = (format!("{modules}/virtio_pci.ko.xz"), format!("{modules}/virtio_blk.ko.xz"));
        guest.0.insert("/boot/good".to_owned(), archive(&[(&pci, "x"), (&blk, "x")]));
        guest.0.insert("/boot/bad".to_owned(), archive(&[(&pci, "x")]));
        let mut inspection = fixture::context().inspection;
        inspection.findings = vec![Finding::new("no-kernel", Severity::Warn, "x")];
        if mounted {
            inspection.mounts = vec![MountInfo::new("/dev/sda1".to_owned(), "/".to_owned(), "ext4".to_owned())];
        }
        find(&mut inspection, menu, false, &guest).unwrap();
        inspection.findings.into_iter().map(|finding| (finding.code, finding.severity)).collect()
    }

    #[test]
    fn nixos_is_named_and_blocks_without_drivers() {
        let nixos = [("/etc/NIXOS", "")];
        for (archives, severity) in [
            (&["/boot/good"][..], Severity::Info),
            (&["/boot/bad"], Severity::Block),
            (&["/boot/gone"], Severity::Warn),
            (&[], Severity::Warn),
        ] {
            let found = codes(&nixos, &Menu::of(&[("/boot/k", archives)]), true);
            assert_eq!(found, [("nixos".to_owned(), severity)], "{archives:?}");
        }
    }

    #[test]
    fn what_starts_the_guest_and_is_not_known_is_told() {
        let told = |files: &[(&str, &str)], mounted| -> Vec<String> {
            codes(files, &Menu::default(), mounted).into_iter().map(|(code, _)| code).collect()
        };
        assert_eq!(told(&[], true), ["no-kernel", "unknown-boot-loader", "unknown-init"]);
        assert_eq!(told(&[("/etc/inittab", "x")], true), ["no-kernel", "unknown-boot-loader"]);
        assert_eq!(told(&[], false), ["no-kernel"]);
    }
}

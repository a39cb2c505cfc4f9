//! Which boot loader starts the guest, and which of its configurations it really reads.

use vmdk2kvm_plugin_api::model::Firmware;
use vmdk2kvm_plugin_api::{FileKind, Guest, Result};

/// Name and configuration.
pub(super) fn find(guest: &dyn Guest, firmware: Option<Firmware>) -> Result<Option<(&'static str, String)>> {
    if firmware != Some(Firmware::Bios) {
        if let Some(config) = vendor_config(guest)? {
            return Ok(Some(("grub2", config)));
        }
    }
    for (name, paths) in [
        ("grub2", &["/boot/grub/grub.cfg", "/boot/grub2/grub.cfg"][..]),
        ("systemd-boot", &["/boot/loader/loader.conf", "/boot/efi/loader/loader.conf", "/efi/loader/loader.conf"]),
        ("grub-legacy", &["/boot/grub/menu.lst", "/boot/grub/grub.conf"]),
        ("extlinux", &["/boot/extlinux/extlinux.conf", "/boot/extlinux.conf", "/boot/syslinux/syslinux.cfg"]),
    ] {
        for path in paths {
            if guest.stat(path)?.is_some() {
                return Ok(Some((name, (*path).to_owned())));
            }
        }
    }
    Ok(None)
}

/// A complete menu on the EFI system partition, as older Red Hat releases have; a wrapper that leads elsewhere does not count.
fn vendor_config(guest: &dyn Guest) -> Result<Option<String>> {
    for vendor in guest.list("/boot/efi/EFI")?.into_iter().flatten() {
        if vendor.kind != FileKind::Dir || vendor.name.eq_ignore_ascii_case("BOOT") {
            continue;
        }
        let path = format!("/boot/efi/EFI/{}/grub.cfg", vendor.name);
        let Ok(Some(bytes)) = guest.read(&path, 4 << 20) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        if text.lines().any(|line| matches!(line.split_whitespace().next(), Some("menuentry" | "blscfg"))) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

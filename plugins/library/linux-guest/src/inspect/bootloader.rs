//! Which boot loader starts the guest, and which of its configurations it really reads.

use vmdk2kvm_plugin_api::model::{Finding, Firmware, Severity};
use vmdk2kvm_plugin_api::{FileKind, Guest, Result};

use crate::grub::{read, visit};

/// LILO's name here.
const LILO: &str = "lilo";
/// LILO's configuration, and what it makes of it: the blocks of kernels and initramfs on the disk (lilo.conf(5), `map`).
const LILO_FILES: [&str; 2] = ["/etc/lilo.conf", "/boot/map"];

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
    // The last, as it stays behind where another took over.
    Ok(has_lilo(guest, firmware)?.then(|| (LILO, LILO_FILES[0].to_owned())))
}

/// What LILO means for the move, when it is there: `found` is the name of the boot loader.
pub(super) fn lilo(guest: &dyn Guest, firmware: Option<Firmware>, found: Option<&str>) -> Result<Option<Finding>> {
    if !has_lilo(guest, firmware)? {
        return Ok(None);
    }
    Ok(Some(match found {
        Some(other) if other != LILO => {
            let message = format!(
                "LILO is there beside {other}; if it is what starts the guest, it will not find a changed initramfs"
            );
            Finding::new("lilo", Severity::Warn, message).hint("remove LILO in the guest, if it is left over")
        }
        _ => {
            let message = "LILO starts the guest; it knows kernel and initramfs by their places on the disk, which the fixes change";
            Finding::new("lilo", Severity::Block, message)
                .hint("install GRUB 2 in the guest in its place (grub-install), and migrate again")
        }
    }))
}

fn has_lilo(guest: &dyn Guest, firmware: Option<Firmware>) -> Result<bool> {
    if firmware == Some(Firmware::Uefi) {
        return Ok(false);
    }
    for path in LILO_FILES {
        if guest.stat(path)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
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
        let mut is_menu = false;
        visit(&read(&text), &mut |command| is_menu |= matches!(command.name().as_str(), "menuentry" | "blscfg"));
        if is_menu {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::MapGuest;

    #[test]
    fn lilo_blocks_where_nothing_else_starts_the_guest() {
        let config = ("/etc/lilo.conf", "boot=/dev/sda\nimage=/vmlinuz\n");
        let (map, grub) = (("/boot/map", "x"), ("/boot/grub/menu.lst", "x"));
        let look = |files: &[(&str, &str)], firmware| {
            let guest = MapGuest::new(files);
            let found = find(&guest, firmware).unwrap().map(|(name, _)| name);
            (found, lilo(&guest, firmware, found).unwrap().map(|finding| finding.severity))
        };
        let bios = Some(Firmware::Bios);
        assert_eq!(look(&[config, map], bios), (Some("lilo"), Some(Severity::Block)));
        assert_eq!(look(&[config, map, grub], bios), (Some("grub-legacy"), Some(Severity::Warn)));
        assert_eq!(look(&[config], bios), (None, None));
        assert_eq!(look(&[config, map], Some(Firmware::Uefi)), (None, None));
    }
}

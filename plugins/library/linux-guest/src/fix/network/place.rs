//! Where a pin is written: at a place that this guest's udev reads, before everything else that may name the card, as a regular file.

use vmdk2kvm_plugin_api::{FileKind, Guest, Result};

use crate::careful::real_path;
use crate::inspect::network::udev::LINKS;

/// Where udev's own rules are.
const RULES_FOLDER: &str = "/etc/udev/rules.d";
/// Beginnings of a `.link` file's name: the first of all files that match a card is the one that counts.
const BEGINNINGS: [&str; 3] = ["10-vmdk2kvm-", "00-vmdk2kvm-", "00-00-vmdk2kvm-"];
/// Names of files for rules: what udev's own generator writes, and ours where that name is taken by something else.
const RULES: [&str; 3] = ["70-persistent-net.rules", "70-vmdk2kvm-net.rules", "71-vmdk2kvm-net.rules"];
/// The first line of a file that is ours.
pub(super) const OURS: &str = "# Written by vmdk2kvm: the card keeps the name that the configuration uses.";

/// The `.link` files that pins are in, and the files for rules, of this guest.
pub(crate) fn is_pin(name: &str) -> bool {
    RULES.contains(&name) || (name.ends_with(".link") && BEGINNINGS.iter().any(|begin| name.starts_with(begin)))
}

/// The path of the `.link` file for a name, which sorts before these files; `None`: there is no place for one.
pub(super) fn link(guest: &dyn Guest, name: &str, rivals: &[String]) -> Result<Option<String>> {
    if !is_folder(guest, LINKS)? {
        return Ok(None);
    }
    for begin in BEGINNINGS {
        let file = format!("{begin}{name}.link");
        let path = format!("{LINKS}/{file}");
        if rivals.iter().all(|rival| file < *rival) && is_free(guest, &path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The path of the file for rules; `None`: there is no place for one.
pub(super) fn rules(guest: &dyn Guest) -> Result<Option<String>> {
    if !is_folder(guest, RULES_FOLDER)? {
        return Ok(None);
    }
    for name in RULES {
        let path = format!("{RULES_FOLDER}/{name}");
        if is_free(guest, &path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Whether files can be made in this folder: it is one, or nothing is there. What a link puts in its place from outside of /etc belongs to
/// somebody else.
fn is_folder(guest: &dyn Guest, path: &str) -> Result<bool> {
    let place = real_path(guest, path, true)?;
    Ok(place.starts_with("/etc/") && guest.stat(&place)?.is_none_or(|own| own.kind == FileKind::Dir))
}

/// Whether a file can be at this path: one is, or nothing. What is a link leads elsewhere, and may be there to keep files away.
fn is_free(guest: &dyn Guest, path: &str) -> Result<bool> {
    Ok(guest.stat(path)?.is_none_or(|own| own.kind == FileKind::File))
}

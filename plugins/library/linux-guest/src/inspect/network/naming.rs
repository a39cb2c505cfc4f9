//! Who gave the cards their names on the old machine: the kernel, in the order in which it found them, or udev by their places.

use vmdk2kvm_plugin_api::{FileKind, Guest, Result};

use super::command_line::CommandLine;
use super::{files, ini};
use crate::careful::real_path;
use crate::textfile::TextFile;

/// Who names the cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// udev, by the place (`ens192`).
    Place,
    /// The kernel, in its order (`eth0`).
    Kernel,
    /// Both can be: some boot entries ask for the one and some for the other, or udev's rules were not found.
    Either,
}

/// What this guest's udev reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Udev {
    /// `.link` files (systemd 209 and later).
    pub links: bool,
    /// Rules at all: there is an udev.
    pub rules: bool,
}

/// The rule that takes names from `.link` files, and that of systemd before it (also RHEL 7).
const LINK_RULE: &str = "80-net-setup-link.rules";
const SLOT_RULE: &str = "80-net-name-slot.rules";

impl Udev {
    pub fn read(guest: &dyn Guest) -> Result<Self> {
        let mut rules = false;
        for place in [
            "/etc/udev",
            "/usr/lib/udev",
            "/lib/udev",
            "/sbin/udevd",
            "/usr/lib/systemd/systemd-udevd",
            "/lib/systemd/systemd-udevd",
        ] {
            rules |= guest.stat(&real_path(guest, place, true)?)?.is_some();
        }
        Ok(Self { links: is_read(guest, LINK_RULE)? == Some(true), rules })
    }
}

/// Whether udev reads the rule of this name; `None`: it is not there. A file in /etc hides the packages', and an empty one, or a link to
/// /dev/null, hides them for good.
fn is_read(guest: &dyn Guest, rule: &str) -> Result<Option<bool>> {
    let own = format!("/etc/udev/rules.d/{rule}");
    if guest.stat(&own)?.is_some() {
        let place = real_path(guest, &own, true)?;
        let there = guest.stat(&place)?.is_some_and(|own| own.kind == FileKind::File && own.size > 0);
        return Ok(Some(there && !place.starts_with("/dev/")));
    }
    for folder in ["/usr/lib/udev/rules.d", "/lib/udev/rules.d"] {
        if guest.stat(&format!("{folder}/{rule}"))?.is_some() {
            return Ok(Some(true));
        }
    }
    Ok(None)
}

impl Naming {
    pub fn read(guest: &dyn Guest, lines: &[CommandLine]) -> Result<Self> {
        let asked = |line: &&CommandLine| line.has("net.ifnames=0") && !line.has("net.ifnames=1");
        let entries: Vec<&CommandLine> = lines.iter().filter(|line| line.is_entry).collect();
        let off = entries.iter().filter(|line| asked(line)).count();
        let by_rule = match (is_read(guest, LINK_RULE)?, is_read(guest, SLOT_RULE)?) {
            (Some(true), _) => policy(guest)?,
            (_, Some(true)) => Self::Place,
            (Some(false), _) | (_, Some(false)) => Self::Kernel,
            (None, None) => Self::Either,
        };
        Ok(match by_rule {
            Self::Place if off > 0 && off == entries.len() => Self::Kernel,
            Self::Place if off > 0 => Self::Either,
            other => other,
        })
    }
}

/// What the `.link` file for all other cards says, where somebody has changed it.
fn policy(guest: &dyn Guest) -> Result<Naming> {
    const DEFAULT: &str = "/etc/systemd/network/99-default.link";
    if files::is_masked(guest, DEFAULT)? {
        return Ok(Naming::Kernel);
    }
    let Some(file) = TextFile::read(guest, DEFAULT, &mut Vec::new())? else { return Ok(Naming::Place) };
    let settings = ini::parse(&file.text);
    let policy = settings.iter().rfind(|(section, key, _)| section == "Link" && key == "NamePolicy");
    let by_place = policy
        .is_some_and(|(.., words)| words.split_whitespace().any(|word| matches!(word, "slot" | "path" | "onboard")));
    Ok(if by_place { Naming::Place } else { Naming::Kernel })
}

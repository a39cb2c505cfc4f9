//! Names in `/dev` that the guest's own udev rules give to disks, and by what they find them.

use vmdk2kvm_plugin_api::{FileKind, Guest, Result};

use super::place::{Place, naa, parse};
use crate::textfile::TextFile;
use crate::udev_rule::{Key, rules};

const FOLDER: &str = "/etc/udev/rules.d";

/// A link that a rule makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// Its name below `/dev`.
    name: String,
    /// The partition's number follows the name.
    numbered: bool,
    by: By,
}

/// By what a rule finds its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum By {
    /// By what is on it, in the words of fstab.
    Content(String),
    /// By its place or its serial number.
    Place(Place),
    /// In a way that says nothing here.
    Unknown,
}

/// The links of the guest's own rules.
pub(super) fn links(guest: &dyn Guest) -> Result<Vec<Link>> {
    let mut out = Vec::new();
    for entry in guest.list(FOLDER)?.into_iter().flatten() {
        if entry.kind != FileKind::File || !entry.name.ends_with(".rules") {
            continue;
        }
        if let Some(file) = TextFile::read(guest, &format!("{FOLDER}/{}", entry.name), &mut Vec::new())? {
            out.extend(rules(&file.text).iter().flat_map(|rule| of_rule(rule)));
        }
    }
    Ok(out)
}

fn of_rule(rule: &[Key<'_>]) -> Vec<Link> {
    let of_network = rule.iter().any(|key| key.name == "SUBSYSTEM" && key.value == "net");
    let names = rule.iter().filter(|key| {
        !of_network && matches!(key.name, "SYMLINK" | "NAME") && matches!(key.operator, "=" | "+=" | ":=")
    });
    let names = names.flat_map(|key| key.value.split_whitespace());
    let by = identity(rule);
    names
        .filter_map(|name| {
            let plain = name.strip_suffix("%n").or_else(|| name.strip_suffix("$number"));
            let name = plain.unwrap_or(name).trim_start_matches("/dev/");
            // What else is put into a name is not known here.
            (!name.is_empty() && !name.contains(['%', '$'])).then(|| Link {
                name: name.to_owned(),
                numbered: plain.is_some(),
                by: by.clone(),
            })
        })
        .collect()
}

fn identity(rule: &[Key<'_>]) -> By {
    let matches = || rule.iter().filter(|key| key.operator == "==");
    let content = matches().find_map(|key| {
        let tag = match key.name {
            "ENV{ID_FS_UUID}" | "ENV{ID_FS_UUID_ENC}" => "UUID",
            "ENV{ID_FS_LABEL}" | "ENV{ID_FS_LABEL_ENC}" => "LABEL",
            "ENV{ID_PART_ENTRY_UUID}" => "PARTUUID",
            "ENV{ID_PART_ENTRY_NAME}" => "PARTLABEL",
            _ => return None,
        };
        Some(format!("{tag}={}", key.value))
    });
    if let Some(content) = content {
        return By::Content(content);
    }
    let kernel = matches().find(|key| key.name == "KERNEL").map_or("", |key| key.value);
    let digits = kernel.len() - kernel.trim_end_matches(|letter: char| letter.is_ascii_digit()).len();
    let partition = kernel[kernel.len() - digits..].parse().unwrap_or(0);
    let serial = matches().filter(|key| {
        key.name == "RESULT"
            || key.name == "PROGRAM"
            || ["ID_SERIAL", "ID_WWN", "wwid", "ID_UID"].iter().any(|word| key.name.contains(word))
    });
    let serial = serial.filter_map(|key| naa(key.value.trim_start_matches("0x").trim_start_matches('3'))).next();
    match (serial, parse(&format!("/dev/{kernel}"))) {
        (Some(serial), _) => By::Place(Place::Serial { serial, partition }),
        (None, Some(place)) => By::Place(place),
        _ => By::Unknown,
    }
}

/// By what the guest finds the device of this name; `None` when no rule makes it.
pub(super) fn find(links: &[Link], name: &str) -> Option<By> {
    links.iter().find_map(|link| {
        let rest = name.strip_prefix(&link.name)?;
        let partition = if rest.is_empty() { 0 } else { rest.parse().ok().filter(|_| link.numbered)? };
        Some(match &link.by {
            By::Place(Place::Serial { serial, partition: 0 }) => {
                By::Place(Place::Serial { serial: serial.clone(), partition })
            }
            by => by.clone(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::MapGuest;

    #[test]
    fn links_and_what_they_mean() {
        let serial = "6000c29f0b1c2d3e4f5a6b7c8d9e0f1a";
        let text = format!(
            "KERNEL==\"sd?1\", SUBSYSTEM==\"block\", PROGRAM==\"/usr/lib/udev/scsi_id -g -u -d /dev/$parent\", RESULT==\"3{serial}\", SYMLINK+=\"oracleasm/asm1\"\n\
             ENV{{ID_SERIAL}}==\"3{serial}\", SYMLINK+=\"disk-a%n\"\n\
             ENV{{ID_FS_UUID}}==\"1-2\", SYMLINK+=\"data other\"\nKERNEL==\"sdb1\", NAME=\"archive\"\n\
             ENV{{ID_PATH}}==\"pci-0\", SYMLINK+=\"odd\"\nSUBSYSTEM==\"net\", NAME=\"lan\"\nKERNEL==\"x\", SYMLINK+=\"by-$env{{A}}\"\n"
        );
        let links =
            links(&MapGuest::new(&[("/etc/udev/rules.d/99-a.rules", &text), ("/etc/udev/rules.d/README", "x")]))
                .unwrap();
        let of_serial = |partition| By::Place(Place::Serial { serial: serial.to_owned(), partition });
        for (name, want) in [
            ("oracleasm/asm1", Some(of_serial(1))),
            ("disk-a", Some(of_serial(0))),
            ("disk-a2", Some(of_serial(2))),
            ("data", Some(By::Content("UUID=1-2".to_owned()))),
            ("other", Some(By::Content("UUID=1-2".to_owned()))),
            ("archive", Some(By::Place(Place::Letter { index: 1, partition: 1 }))),
            ("odd", Some(By::Unknown)),
            ("data1", None),
            ("lan", None),
            ("by-", None),
        ] {
            assert_eq!(find(&links, name), want, "{name}");
        }
    }
}

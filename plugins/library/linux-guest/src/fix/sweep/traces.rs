//! What in a line of configuration names the old machine: disks by letter, by place or by VMware's serial number, VMware's drivers, the old
//! hypervisor's clocks. Comments name nothing.

use std::sync::LazyLock;

use regex::Regex;

use crate::udev_rule::{Key, rules};

/// A longer line is shown to here, in characters.
const SHOWN: usize = 120;

/// A place that names the old machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trace {
    /// Line, from 1.
    pub line: usize,
    /// What is named.
    pub name: String,
    /// The line, or its beginning.
    pub text: String,
    /// The question of debconf's that the line answers.
    pub question: Option<String>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Disk,
    Driver,
    Clock,
}

impl Trace {
    /// Whether it is a driver's name.
    pub fn is_driver(&self) -> bool {
        self.kind == Kind::Driver
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match (self.kind, self.question.as_deref()) {
            (_, Some(question)) if question.starts_with("grub-") => {
                "run dpkg-reconfigure for that package in the guest after the move, or its next update fails"
            }
            (Kind::Disk, _) => "name the disk by the UUID of what is on it, or by its new name, in that file",
            (Kind::Driver, _) => "the driver has no device on KVM: remove it from that file if something waits for it",
            (Kind::Clock, _) => {
                "name /dev/ptp_kvm there (module ptp_kvm), or remove the line: chronyd does not start without its clock"
            }
        }
    }
}

/// Boundaries are those of words: `/dev/sda` in `/dev/sdaemon` is none.
static NAMES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let disk = r"/dev/[sh]d[a-z]{1,2}[0-9]{0,3}|(?:/dev/disk/)?by-path/pci-[0-9A-Za-z:._-]+|(?:/dev/disk/by-id/)?(?:scsi-|wwn-0x|0x)?3?6000c29[0-9a-f]{6,25}(?:-part[0-9]+)?|/dev/disk/by-id/(?:scsi|ata|nvme)-[0-9S]?VMware[0-9A-Za-z_-]*";
    let driver = r"vmxnet[23]?|vmw_pvscsi|vmw_balloon|vmw_vmci|vmwgfx|vmhgfs|mptspi";
    let clock = r"/dev/ptp(?:[0-9]+|_hyperv|_vmw)";
    Regex::new(&format!(
        "(?:^|[^0-9A-Za-z_./-])(?:(?P<disk>{disk})|(?P<driver>{driver})|(?P<clock>{clock}))(?:$|[^0-9A-Za-z_/-])"
    ))
    .ok()
});

/// The traces in a file; nothing in what is no text.
pub(super) fn traces(bytes: &[u8]) -> Vec<Trace> {
    let Some(names) = NAMES.as_ref().filter(|_| !bytes.contains(&0)) else { return Vec::new() };
    let text = String::from_utf8_lossy(bytes);
    let mut out = Vec::new();
    // debconf's records: the question stands before its answer.
    let mut question = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() {
            question = None;
        } else if let Some(name) = line.strip_prefix("Name: ") {
            question = Some(name.to_owned());
        }
        if line.starts_with(['#', ';', '!']) || line.starts_with("//") {
            continue;
        }
        let line = line.split(" #").next().unwrap_or(line);
        let Some(found) = names.captures(line) else { continue };
        let kinds = [("disk", Kind::Disk), ("driver", Kind::Driver), ("clock", Kind::Clock)];
        let Some((name, kind)) = kinds.iter().find_map(|(group, kind)| Some((found.name(group)?.as_str(), *kind)))
        else {
            continue;
        };
        let text = line.chars().take(SHOWN).collect();
        out.push(Trace { line: number, name: name.to_owned(), text, question: question.clone(), kind });
    }
    out
}

/// The rules of udev's that give what they find a name or an owner, and find it by VMware's name or by a PCI slot. What a rule only tunes
/// needs no tuning where it is not found; cards are the network's.
pub(super) fn traces_in_rules(bytes: &[u8]) -> Vec<Trace> {
    const GIVEN: [&str; 4] = ["SYMLINK", "OWNER", "GROUP", "MODE"];
    let text = String::from_utf8_lossy(bytes);
    let mut out = Vec::new();
    for rule in rules(&text) {
        let gives = rule.iter().any(|key| GIVEN.contains(&key.name) && ["=", "+=", ":="].contains(&key.operator));
        let Some(key) = rule.iter().find(|key| gives && key.operator == "==" && is_of_the_old_machine(key)) else {
            continue;
        };
        let line = text.lines().position(|line| line.contains(key.text)).unwrap_or_default();
        let text = text.lines().nth(line).unwrap_or_default().trim().chars().take(SHOWN).collect();
        out.push(Trace { line: line + 1, name: key.text.to_owned(), text, question: None, kind: Kind::Disk });
    }
    out
}

fn is_of_the_old_machine(key: &Key<'_>) -> bool {
    let is_slot = |place: &str| {
        place.len() > 4 && place.as_bytes()[..4].iter().all(u8::is_ascii_hexdigit) && place[4..].starts_with(':')
    };
    match key.name {
        "KERNELS" => is_slot(key.value),
        "ENV{ID_PATH}" => key.value.strip_prefix("pci-").is_some_and(is_slot),
        name if name.starts_with("ATTR") || name.starts_with("ENV{ID_") => {
            key.value.to_ascii_lowercase().contains("vmware")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_find_by_what_is_gone() {
        for (rule, name) in [
            ("KERNEL==\"sd*\", ATTRS{vendor}==\"VMware*\", SYMLINK+=\"data\"", Some("ATTRS{vendor}==\"VMware*\"")),
            ("ENV{ID_VENDOR}==\"VMware\", \\\n  OWNER=\"grid\"", Some("ENV{ID_VENDOR}==\"VMware\"")),
            ("KERNELS==\"0000:03:00.0\", MODE:=\"0660\"", Some("KERNELS==\"0000:03:00.0\"")),
            (
                "ENV{ID_PATH}==\"pci-0000:0b:00.0-scsi-0:0:1:0\", GROUP=\"x\"",
                Some("ENV{ID_PATH}==\"pci-0000:0b:00.0-scsi-0:0:1:0\""),
            ),
            ("ATTRS{vendor}==\"VMware*\", RUN+=\"/bin/sh -c 'echo 180 >/sys$DEVPATH/timeout'\"", None),
            ("ATTRS{vendor}!=\"VMware*\", MODE=\"0600\"", None),
            ("KERNELS==\"*:*\", MODE=\"0600\"", None),
            ("KERNELS==\"ä:ö:00\", MODE=\"0600\"", None),
            ("ATTRS{vendor}==\"DELL\", SYMLINK+=\"vmware\"", None),
            ("# ATTRS{vendor}==\"VMware*\", SYMLINK+=\"data\"", None),
        ] {
            let found = traces_in_rules(format!("\n{rule}\n").as_bytes());
            assert_eq!(
                found.first().map(|trace| (trace.line, trace.name.as_str())),
                name.map(|name| (2, name)),
                "{rule}"
            );
        }
    }

    #[test]
    fn names_of_the_old_machine() {
        for (line, name) in [
            ("disk=/dev/sda", Some("/dev/sda")),
            ("DEVICES=\"/dev/sdb1 /dev/sdc1\"", Some("/dev/sdb1")),
            (
                "KERNEL==\"sd?1\", RESULT==\"36000c29f0b1c2d3e4f5a6b7c8d9e0f1a\"",
                Some("36000c29f0b1c2d3e4f5a6b7c8d9e0f1a"),
            ),
            (
                "dev /dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0",
                Some("/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0"),
            ),
            (
                "x /dev/disk/by-id/wwn-0x6000c29f0b1c2d3e4f5a6b7c8d9e0f1a-part1",
                Some("/dev/disk/by-id/wwn-0x6000c29f0b1c2d3e4f5a6b7c8d9e0f1a-part1"),
            ),
            (
                "x=/dev/disk/by-id/ata-VMware_Virtual_SATA_Hard_Drive_00000000000000000001",
                Some("/dev/disk/by-id/ata-VMware_Virtual_SATA_Hard_Drive_00000000000000000001"),
            ),
            ("add_drivers+=\" vmw_pvscsi \"", Some("vmw_pvscsi")),
            ("INITRD_MODULES=\"mptspi ata_piix\"", Some("mptspi")),
            ("refclock PHC /dev/ptp0 poll 2", Some("/dev/ptp0")),
            ("refclock PHC /dev/ptp_kvm", None),
            ("# disk=/dev/sda", None),
            ("; disk=/dev/sda", None),
            ("//disk=/dev/sda", None),
            ("path=/srv # was /dev/sda", None),
            ("/dev/sdaemon", None),
            ("/usr/share/dev/sda", None),
            ("my_vmxnet3_notes", None),
            ("UUID=1-2 /dev/vda", None),
            ("/dev/sd*", None),
        ] {
            assert_eq!(traces(line.as_bytes()).first().map(|trace| trace.name.as_str()), name, "{line}");
        }
        assert_eq!(traces(b"\0disk=/dev/sda"), []);
    }
}

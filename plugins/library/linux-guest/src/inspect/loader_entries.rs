//! Entries of systemd-boot that lead nowhere: their kernel or initramfs is not where the boot loader looks for it.
//!
//! Format: the Boot Loader Specification, "Type #1". Paths are those of the partition that holds the entry, which the firmware can read: a
//! vfat. GRUB's own use of such entries, with variables and paths of its own, is not looked at.

use vmdk2kvm_plugin_api::model::{Finding, Inspection, Severity};
use vmdk2kvm_plugin_api::{FileKind, Guest, Result};

/// An entry is a few lines, in bytes.
const LONGEST: u64 = 64 << 10;

/// An entry.
struct LoaderEntry {
    path: String,
    /// Its name without folder.
    name: String,
    /// The first file that it starts and that is not there.
    missing: Option<String>,
}

/// A finding for each entry that leads nowhere: of severity `block` when no other is left to start, or none that is the default.
pub(super) fn find(inspection: &Inspection, guest: &dyn Guest) -> Result<Vec<Finding>> {
    if inspection.bootloader.as_deref() != Some("systemd-boot") {
        return Ok(Vec::new());
    }
    let (mut entries, mut unified) = (Vec::new(), false);
    for mount in inspection.mounts.iter().filter(|mount| mount.fstype == "vfat") {
        let partition = mount.mountpoint.trim_end_matches('/');
        entries.extend(of_partition(partition, guest)?);
        let mut kernels = guest.list(&format!("{partition}/EFI/Linux"))?.into_iter().flatten();
        unified |= kernels.any(|file| file.name.to_ascii_lowercase().ends_with(".efi"));
    }
    let nothing_left = !unified && entries.iter().all(|entry| entry.missing.is_some());
    let default = default_pattern(inspection, guest)?;
    let is_default = |entry: &LoaderEntry| default.as_deref().is_some_and(|pattern| names(pattern, &entry.name));
    let no_default_left = entries.iter().filter(|entry| is_default(entry)).all(|entry| entry.missing.is_some());
    let finding = |entry: &LoaderEntry| {
        let missing = entry.missing.as_ref()?;
        let blocks = nothing_left || (no_default_left && is_default(entry));
        let severity = if blocks { Severity::Block } else { Severity::Warn };
        let message = format!("{} starts {missing}, which is not there", entry.path);
        let hint = "reinstall the kernel in the guest (kernel-install add), or remove the entry, and migrate again";
        Some(Finding::new("loader-entry-broken", severity, message).hint(hint))
    };
    Ok(entries.iter().filter_map(finding).collect())
}

fn of_partition(partition: &str, guest: &dyn Guest) -> Result<Vec<LoaderEntry>> {
    let folder = format!("{partition}/loader/entries");
    let mut entries = Vec::new();
    for file in guest.list(&folder)?.into_iter().flatten() {
        let path = format!("{folder}/{}", file.name);
        if file.kind != FileKind::File || !file.name.ends_with(".conf") {
            continue;
        }
        let Some(text) = guest.read(&path, LONGEST)? else { continue };
        let mut missing = None;
        for named in files(&String::from_utf8_lossy(&text)) {
            let named = format!("{partition}/{}", named.replace('\\', "/").trim_start_matches('/'));
            if guest.stat(&named)?.is_none() {
                missing = Some(named);
                break;
            }
        }
        entries.push(LoaderEntry { path, name: file.name, missing });
    }
    Ok(entries)
}

/// The files that an entry names.
fn files(text: &str) -> impl Iterator<Item = &str> {
    values(text, |key| matches!(key, "linux" | "initrd" | "efi" | "uki"))
}

/// The values of these keys.
fn values(text: &str, wanted: fn(&str) -> bool) -> impl Iterator<Item = &str> {
    let pairs = text.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    pairs.filter(move |(key, _)| wanted(key)).map(|(_, value)| value.trim())
}

/// What `default` in `loader.conf` says: a name in which `*` stands for anything.
fn default_pattern(inspection: &Inspection, guest: &dyn Guest) -> Result<Option<String>> {
    let Some(config) = &inspection.bootloader_config else { return Ok(None) };
    let text = guest.read(config, LONGEST)?.unwrap_or_default();
    Ok(values(&String::from_utf8_lossy(&text), |key| key == "default").last().map(str::to_owned))
}

/// Whether the pattern means the entry of this name; older versions left the `.conf` out.
fn names(pattern: &str, name: &str) -> bool {
    matches(pattern, name) || matches(pattern, name.trim_end_matches(".conf"))
}

/// Each piece between the stars comes after the one before: the first at the beginning, the last at the end.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(name) = name.strip_prefix(first).and_then(|name| name.strip_suffix(last)) else { return false };
    let mut left = Some(name);
    for piece in middle.split('*') {
        left = left.and_then(|name| name.split_once(piece)).map(|(_, after)| after);
    }
    left.is_some()
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::model::MountInfo;

    use super::*;
    use crate::fixture::{self, MapGuest};

    const GOOD: &str = "title x\nlinux /1/linux\ninitrd \\1\\initrd\noptions root=UUID=x\n";
    const BAD: &str = "title x\r\nlinux    /2/linux\r\ninitrd /2/initrd\r\n";

    fn found(more: &[(&str, &str)]) -> Vec<(Severity, String)> {
        let mut files = vec![("/efi/1/linux", ""), ("/efi/1/initrd", ""), ("/efi/2/linux", "")];
        files.extend(more);
        let mount = |mountpoint: &str, fstype: &str| {
            MountInfo::default().with(|it| {
                it.mountpoint = mountpoint.into();
                it.fstype = fstype.into();
            })
        };
        let mut inspection = fixture::context().inspection;
        inspection.bootloader = Some("systemd-boot".into());
        inspection.bootloader_config = Some("/efi/loader/loader.conf".into());
        inspection.mounts = vec![mount("/", "ext4"), mount("/efi", "vfat")];
        let findings = find(&inspection, &MapGuest::new(&files)).unwrap();
        assert!(findings.iter().all(|finding| finding.code == "loader-entry-broken" && !finding.hint.is_empty()));
        findings.into_iter().map(|finding| (finding.severity, finding.message)).collect()
    }

    #[test]
    fn an_entry_that_leads_nowhere_is_told_with_the_file_that_is_missing() {
        let (good, bad) = (("/efi/loader/entries/a-1.conf", GOOD), ("/efi/loader/entries/a-2.conf", BAD));
        let text = "/efi/loader/entries/a-2.conf starts /efi/2/initrd, which is not there".to_owned();
        let default = |text| ("/efi/loader/loader.conf", text);
        assert_eq!(found(&[good]), []);
        assert_eq!(found(&[good, bad]), [(Severity::Warn, text.clone())]);
        for one_that_works in [
            "timeout 3\n",
            "default a-1.conf\n",
            "default a-*\n",
            "#default a-2\n",
            "default-x a-2\n",
            "default @saved\n",
        ] {
            assert_eq!(found(&[good, bad, default(one_that_works)]), [(Severity::Warn, text.clone())]);
        }
        for the_broken in ["default a-2\n", "default  a-2.conf\n", "timeout 3\ndefault *-2*\n"] {
            assert_eq!(found(&[good, bad, default(the_broken)]), [(Severity::Block, text.clone())]);
        }
        assert_eq!(found(&[bad]), [(Severity::Block, text.clone())]);
        assert_eq!(found(&[bad, ("/efi/EFI/Linux/debian.EFI", "")]), [(Severity::Warn, text)]);
        // On the root: no firmware reads that.
        assert_eq!(found(&[("/boot/loader/entries/a.conf", BAD)]), []);
    }

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, name, expected) in [
            ("a", "a.conf", true),
            ("a*", "a.conf", true),
            ("*-6.1*x*", "a-6.1-xy.conf", true),
            ("a*a", "a", false),
            ("*b*c*", "acb", false),
            ("", "a.conf", false),
        ] {
            assert_eq!(names(pattern, name), expected, "{pattern} {name}");
        }
    }
}

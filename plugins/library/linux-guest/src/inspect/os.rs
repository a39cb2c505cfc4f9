//! Which operating system it is: os-release(5), older distributions' own files, and the architecture of a program.

use vmdk2kvm_plugin_api::model::{OsFamily, OsInfo};
use vmdk2kvm_plugin_api::{ErrorKind, Guest, Result};

use crate::textfile::TextFile;

/// A shell is smaller.
const PROGRAM_LIMIT: u64 = 16 << 20;

/// Reads it; family `unknown` when nothing says that it is a Linux.
pub(super) fn read(guest: &dyn Guest) -> Result<OsInfo> {
    let mut os = OsInfo::default();
    for path in ["/etc/os-release", "/usr/lib/os-release"] {
        if let Some(file) = TextFile::read(guest, path, &mut Vec::new())? {
            os_release(&file.text, &mut os);
            break;
        }
    }
    if os.distro.is_empty() {
        old_release(guest, &mut os)?;
    }
    if os.distro.is_empty() && (guest.stat("/etc/fstab")?.is_none() || guest.list("/lib/modules")?.is_none()) {
        return Ok(os);
    }
    os.family = OsFamily::Linux;
    if os.product.is_empty() {
        os.product = format!("{} {}", os.distro, os.version).trim().to_owned();
    }
    os.arch = arch(guest)?;
    os.hostname = hostname(guest)?;
    Ok(os)
}

fn os_release(text: &str, os: &mut OsInfo) {
    for (key, value) in text.lines().filter_map(|line| line.trim().split_once('=')) {
        let value = unquote(value);
        match key {
            "ID" => os.distro = value,
            "VERSION_ID" => os.version = value,
            "PRETTY_NAME" => os.product = value,
            "ID_LIKE" => os.like = value.split_whitespace().map(str::to_owned).collect(),
            _ => {}
        }
    }
}

/// Distributions from before os-release.
fn old_release(guest: &dyn Guest, os: &mut OsInfo) -> Result<()> {
    for (path, distro) in [
        ("/etc/redhat-release", "rhel"),
        ("/etc/SuSE-release", "sles"),
        ("/etc/debian_version", "debian"),
        ("/etc/alpine-release", "alpine"),
        ("/etc/gentoo-release", "gentoo"),
        ("/etc/slackware-version", "slackware"),
    ] {
        let Some(file) = TextFile::read(guest, path, &mut Vec::new())? else { continue };
        let line = file.text.lines().next().unwrap_or_default().trim();
        let lower = line.to_ascii_lowercase();
        let own = ["centos", "fedora", "opensuse", "oracle"].into_iter().find(|name| lower.contains(name));
        os.distro = match own {
            Some("oracle") => "ol",
            Some(name) => name,
            None => distro,
        }
        .to_owned();
        let version = line.split_whitespace().find(|word| word.starts_with(|letter: char| letter.is_ascii_digit()));
        os.version = version.unwrap_or_default().to_owned();
        os.product = if version == Some(line) { String::new() } else { line.to_owned() };
        break;
    }
    Ok(())
}

/// A shell word's value: quotes off, escapes of double quotes resolved.
fn unquote(value: &str) -> String {
    let value = value.trim();
    if let Some(inner) = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')) {
        return inner.to_owned();
    }
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let mut out = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        out.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    out
}

/// The machine that the guest's programs are for, from an ELF header (System V ABI, "ELF Header").
fn arch(guest: &dyn Guest) -> Result<String> {
    for path in ["/usr/bin/env", "/bin/sh", "/bin/busybox"] {
        let bytes = match guest.read(path, PROGRAM_LIMIT) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => continue,
            Err(error) if error.kind == ErrorKind::Unusable => continue,
            Err(error) => return Err(error),
        };
        if let Some(arch) = elf_machine(&bytes) {
            return Ok(arch.to_owned());
        }
    }
    Ok(String::new())
}

fn elf_machine(bytes: &[u8]) -> Option<&'static str> {
    let header = bytes.get(..20).filter(|header| header.starts_with(b"\x7fELF"))?;
    let little = header[5] == 1;
    let machine = [header[18], header[19]];
    let machine = if little { u16::from_le_bytes(machine) } else { u16::from_be_bytes(machine) };
    Some(match (machine, little) {
        (62, _) => "x86_64",
        (3, _) => "i686",
        (183, _) => "aarch64",
        (40, _) => "armv7l",
        (243, _) => "riscv64",
        (22, _) => "s390x",
        (21, true) => "ppc64le",
        (21, false) => "ppc64",
        (258, _) => "loongarch64",
        _ => return None,
    })
}

fn hostname(guest: &dyn Guest) -> Result<String> {
    for path in ["/etc/hostname", "/etc/HOSTNAME"] {
        if let Some(file) = TextFile::read(guest, path, &mut Vec::new())? {
            let name = file.text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
            return Ok(name.unwrap_or_default().to_owned());
        }
    }
    let file = TextFile::read(guest, "/etc/sysconfig/network", &mut Vec::new())?;
    let name = file.as_ref().and_then(|file| file.text.lines().find_map(|line| line.trim().strip_prefix("HOSTNAME=")));
    Ok(name.map(unquote).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::MapGuest;

    fn os(files: &[(&str, &str)]) -> OsInfo {
        read(&MapGuest::new(files)).unwrap()
    }

    #[test]
    fn releases() {
        let debian = os(&[
            ("/etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n"),
            ("/etc/hostname", "web\n"),
        ]);
        assert_eq!((debian.family, debian.distro.as_str(), debian.version.as_str()), (OsFamily::Linux, "debian", "12"));
        assert_eq!((debian.product.as_str(), debian.hostname.as_str()), ("Debian GNU/Linux 12 (bookworm)", "web"));
        let rocky = os(&[("/usr/lib/os-release", "ID='rocky'\nID_LIKE=\"rhel centos fedora\"\n")]);
        assert_eq!((rocky.distro.as_str(), rocky.like.len()), ("rocky", 3));
        let centos = os(&[
            ("/etc/redhat-release", "CentOS release 6.10 (Final)\n"),
            ("/etc/sysconfig/network", "NETWORKING=yes\nHOSTNAME=\"old.example\"\n"),
        ]);
        assert_eq!(
            (centos.distro.as_str(), centos.version.as_str(), centos.hostname.as_str()),
            ("centos", "6.10", "old.example")
        );
        assert_eq!(os(&[("/etc/debian_version", "7.11\n")]).product, "debian 7.11");
        assert_eq!(os(&[("/Windows/System32/x", "")]).family, OsFamily::Unknown);
        assert_eq!(os(&[("/etc/fstab", ""), ("/lib/modules/6.1/modules.dep", "")]).family, OsFamily::Linux);
    }

    #[test]
    fn machines() {
        let mut elf = [0u8; 20];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[18] = 62;
        assert_eq!(elf_machine(&elf), Some("x86_64"));
        assert_eq!(elf_machine(b"#!/bin/sh"), None);
        assert_eq!(unquote("\"a \\\"b\\\" $\""), "a \"b\" $");
    }
}

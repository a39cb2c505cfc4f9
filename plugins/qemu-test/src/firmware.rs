//! Finds the firmware that a guest is booted with: UEFI images of the distributions. The BIOS (SeaBIOS) comes with qemu.

use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::{PluginError, Result};

/// A UEFI's code and the variables it begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uefi {
    /// Shared, read-only.
    pub code: PathBuf,
    /// Template of the variables; each boot gets a private copy.
    pub variables: PathBuf,
    /// Enforces Secure Boot with Microsoft's keys; needs SMM.
    pub secure: bool,
}

/// Where distributions keep them; settings may name other folders.
pub const FOLDERS: [&str; 5] = [
    // Debian, Ubuntu
    "/usr/share/OVMF",
    // Fedora, RHEL
    "/usr/share/edk2/ovmf",
    // Arch
    "/usr/share/edk2/x64",
    // SUSE
    "/usr/share/qemu",
    // Older Arch and others
    "/usr/share/edk2-ovmf/x64",
];

/// Pairs of code and variables, larger flash first: newer packages have nothing else.
const PLAIN: [(&str, &str); 5] = [
    ("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"),
    ("OVMF_CODE.4m.fd", "OVMF_VARS.4m.fd"),
    ("ovmf-x86_64-4m-code.bin", "ovmf-x86_64-4m-vars.bin"),
    ("OVMF_CODE.fd", "OVMF_VARS.fd"),
    ("ovmf-x86_64-code.bin", "ovmf-x86_64-vars.bin"),
];

/// The same with Microsoft's keys enrolled.
const SECURE: [(&str, &str); 4] = [
    ("OVMF_CODE_4M.ms.fd", "OVMF_VARS_4M.ms.fd"),
    ("OVMF_CODE.secboot.fd", "OVMF_VARS.secboot.fd"),
    ("ovmf-x86_64-smm-ms-code.bin", "ovmf-x86_64-smm-ms-vars.bin"),
    ("OVMF_CODE.ms.fd", "OVMF_VARS.ms.fd"),
];

/// The first pair that is complete.
pub fn find(folders: &[PathBuf], secure: bool) -> Result<Uefi> {
    let pairs: &[(&str, &str)] = if secure { &SECURE } else { &PLAIN };
    let found =
        folders.iter().flat_map(|folder| pairs.iter().map(move |pair| (folder.join(pair.0), folder.join(pair.1))));
    found
        .into_iter()
        .find(|(code, variables)| is_file(code) && is_file(variables))
        .map(|(code, variables)| Uefi { code, variables, secure })
        .ok_or_else(|| {
            let what = if secure { "a UEFI firmware with Secure Boot keys" } else { "a UEFI firmware" };
            let places: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
            PluginError::missing(format!("{what} was not found in {}", places.join(", ")))
                .hint("install the package ovmf (edk2-ovmf on Fedora and Arch, qemu-ovmf-x86_64 on SUSE)")
        })
}

fn is_file(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_counts_only_when_complete() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["OVMF_CODE_4M.fd", "OVMF_CODE.fd", "OVMF_VARS.fd"] {
            std::fs::write(at(name), "").unwrap();
        }
        let found = find(&[at("nowhere"), folder.path().to_owned()], false).unwrap();
        assert_eq!(found, Uefi { code: at("OVMF_CODE.fd"), variables: at("OVMF_VARS.fd"), secure: false });
    }

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let error = find(&[PathBuf::from("/nowhere")], true).unwrap_err();
        assert_eq!(error.kind, vmdk2kvm_plugin_api::ErrorKind::Missing);
        assert_eq!(error.message, "a UEFI firmware with Secure Boot keys was not found in /nowhere");
        assert!(error.hint.unwrap().contains("package ovmf"));
    }
}

//! The loader that a UEFI firmware finds without a boot entry: the entries were in the old machine's NVRAM and are gone.
//!
//! The vendor's shim is copied to `\EFI\BOOT\BOOTX64.EFI` with the GRUB that it loads from its own folder. `fbx64.efi` is not: it
//! would write boot entries and, with a TPM, restart the machine at its first boot. Signed files stay as they are, so Secure
//! Boot accepts them. (UEFI specification 2.10, 3.5.1.1 "Removable Media Boot Behavior", for the names.)

use vmdk2kvm_plugin_api::model::{Action, Finding, Firmware, FixerPlan, OsFamily, PlanContext, Severity};
use vmdk2kvm_plugin_api::{Entry, FileKind, Fixer, Guest, Result};

use crate::textfile::{Why, read, sha256_hex};

/// The fixer of the fallback loader.
pub(super) struct UefiFallback;

/// No loader is larger; a unified kernel image may be.
const LOADER_LIMIT: u64 = 256 << 20;

impl Fixer for UefiFallback {
    fn name(&self) -> String {
        "linux-uefi-fallback".to_owned()
    }

    fn guests(&self) -> Vec<OsFamily> {
        vec![OsFamily::Linux]
    }

    fn order(&self) -> u32 {
        250
    }

    fn live(&self) -> bool {
        true
    }

    fn plan(&self, context: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
        let mut plan = FixerPlan::default();
        if context.inspection.firmware.unwrap_or(context.vm.firmware) != Firmware::Uefi {
            return Ok(plan);
        }
        let suffix = suffix(&context.inspection.os.arch);
        let Some(partition) = SystemPartition::find(guest)? else {
            plan.findings.push(no_loader("the EFI system partition was not found"));
            return Ok(plan);
        };
        if partition.file("BOOT", &format!("boot{suffix}.efi"), guest)?.is_some() {
            return Ok(plan);
        }
        let Some(vendor) = partition.vendor(suffix, &context.inspection.os.distro, guest)? else {
            plan.findings.push(no_loader(&format!("{} holds no boot loader", partition.folder)));
            return Ok(plan);
        };
        for (from, to) in vendor.copies(suffix) {
            let from = format!("{}/{}/{from}", partition.folder, vendor.name);
            let Some(bytes) = read(guest, &from, LOADER_LIMIT, &mut plan.findings)? else { continue };
            // A complete menu beside GRUB would grow old there; a wrapper that leads to the real one does not.
            if to == "grub.cfg" && !is_wrapper(&bytes) {
                continue;
            }
            let boot = partition.boot.as_deref().unwrap_or("BOOT");
            let why = Why {
                summary: &format!("fallback loader {to}"),
                reason: "the boot entries were in the old machine's NVRAM; the firmware starts \\EFI\\BOOT without one",
                critical: true,
            };
            let target = format!("{}/{boot}/{to}", partition.folder);
            let old_sha256 = match guest.stat(&target)? {
                None => None,
                // An interrupted copy left it.
                Some(stat) if stat.kind == FileKind::File && stat.size == 0 => Some(sha256_hex(&[])),
                Some(_) => continue,
            };
            let action = Action::CopyFile { from, source_sha256: sha256_hex(&bytes), old_sha256 };
            plan.changes.push(why.change(action, &target));
        }
        Ok(plan)
    }
}

/// Whether the guest has a loader that a firmware finds without a boot entry; `None` without a system partition.
pub(crate) fn has_fallback_loader(arch: &str, guest: &dyn Guest) -> Result<Option<bool>> {
    let Some(partition) = SystemPartition::find(guest)? else { return Ok(None) };
    Ok(Some(partition.file("BOOT", &format!("boot{}.efi", suffix(arch)), guest)?.is_some()))
}

/// The machine's part of loaders' names.
fn suffix(arch: &str) -> &'static str {
    match arch {
        "aarch64" => "aa64",
        "i686" => "ia32",
        "riscv64" => "riscv64",
        _ => "x64",
    }
}

/// The folder `EFI` of the EFI system partition.
struct SystemPartition {
    folder: String,
    /// `BOOT` as it is written here.
    boot: Option<String>,
    vendors: Vec<String>,
}

impl SystemPartition {
    fn find(guest: &dyn Guest) -> Result<Option<Self>> {
        for mount in ["/boot/efi", "/efi", "/boot"] {
            let Some(efi) = folders(guest, mount)?.into_iter().find(|name| name.eq_ignore_ascii_case("EFI")) else {
                continue;
            };
            let folder = format!("{mount}/{efi}");
            let (boot, vendors): (Vec<_>, Vec<_>) =
                folders(guest, &folder)?.into_iter().partition(|name| name.eq_ignore_ascii_case("BOOT"));
            return Ok(Some(Self { folder, boot: boot.into_iter().next(), vendors }));
        }
        Ok(None)
    }

    /// The name of a file in a folder here, whatever its case.
    fn file(&self, folder: &str, name: &str, guest: &dyn Guest) -> Result<Option<String>> {
        let folder = if folder == "BOOT" { self.boot.as_deref() } else { Some(folder) };
        let Some(folder) = folder else { return Ok(None) };
        Ok(files(guest, &format!("{}/{folder}", self.folder))?.into_iter().find(|own| own.eq_ignore_ascii_case(name)))
    }

    /// The vendor's folder to take the loader from: the distribution's own, else the first that has one.
    fn vendor(&self, suffix: &str, distro: &str, guest: &dyn Guest) -> Result<Option<Vendor>> {
        let mut names: Vec<&String> =
            self.vendors.iter().filter(|name| !name.eq_ignore_ascii_case("Microsoft")).collect();
        names.sort_by_key(|name| !name.eq_ignore_ascii_case(distro));
        for name in names {
            let vendor = Vendor { name: name.clone(), files: files(guest, &format!("{}/{name}", self.folder))? };
            if !vendor.copies(suffix).is_empty() {
                return Ok(Some(vendor));
            }
        }
        Ok(None)
    }
}

struct Vendor {
    name: String,
    files: Vec<String>,
}

impl Vendor {
    fn has(&self, name: &str) -> Option<&str> {
        self.files.iter().find(|own| own.eq_ignore_ascii_case(name)).map(String::as_str)
    }

    /// What is copied to which name; empty when there is no loader. A shim loads its GRUB by the name that the vendor built
    /// into it (SUSE's asks for `grub.efi`), so all but the first loader keep their names.
    fn copies(&self, suffix: &str) -> Vec<(&str, String)> {
        let boot = format!("BOOT{}.EFI", suffix.to_ascii_uppercase());
        let shim = self.has(&format!("shim{suffix}.efi")).or_else(|| self.has("shim.efi"));
        let grubs: Vec<&str> =
            [format!("grub{suffix}.efi"), "grub.efi".to_owned()].iter().filter_map(|name| self.has(name)).collect();
        let beside = |names: &[&str]| -> Vec<(&str, String)> {
            names.iter().filter_map(|name| self.has(name)).map(|name| (name, name.to_owned())).collect()
        };
        let mut out = Vec::new();
        match (shim, grubs.first()) {
            (Some(shim), Some(_)) => {
                out.extend(grubs.iter().map(|grub| (*grub, (*grub).to_owned())));
                // Asks for a key to enroll when the shim refuses what it should load.
                out.extend(beside(&[&format!("mm{suffix}.efi"), "MokManager.efi", "grub.cfg"]));
                // Last: it is what makes the rest count.
                out.push((shim, boot));
            }
            (None, Some(grub)) => {
                out.extend(beside(&["grub.cfg"]));
                out.push((*grub, boot));
            }
            _ => {
                // systemd-boot, and vendors that have the fallback's own name in their folder.
                let loader =
                    [format!("systemd-boot{suffix}.efi"), boot.to_lowercase()].iter().find_map(|name| self.has(name));
                out.extend(loader.map(|loader| (loader, boot)));
            }
        }
        out
    }
}

fn is_wrapper(config: &[u8]) -> bool {
    let text = String::from_utf8_lossy(config);
    let first = |word: &str| text.lines().any(|line| line.split_whitespace().next() == Some(word));
    (first("configfile") || first("source")) && !first("menuentry")
}

fn no_loader(what: &str) -> Finding {
    Finding::new("uefi-no-loader", Severity::Warn, format!("{what}, so no fallback loader can be made"))
        .hint("add a boot entry by hand in the firmware's menu, or boot rescue media and run grub-install --removable")
}

fn folders(guest: &dyn Guest, path: &str) -> Result<Vec<String>> {
    names(guest, path, |entry| entry.kind == FileKind::Dir)
}

/// The files of a folder that have something in them: a loader of no bytes starts nothing.
fn files(guest: &dyn Guest, path: &str) -> Result<Vec<String>> {
    let mut out = names(guest, path, |entry| entry.kind == FileKind::File)?;
    let paths: Vec<String> = out.iter().map(|name| format!("{path}/{name}")).collect();
    let stats = guest.stat_many(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    let mut sound = stats
        .into_iter()
        .map(|stat| Ok(stat?.is_some_and(|stat| stat.size > 0)))
        .collect::<Result<Vec<_>>>()?
        .into_iter();
    out.retain(|_| sound.next().unwrap_or(false));
    Ok(out)
}

fn names(guest: &dyn Guest, path: &str, wanted: fn(&Entry) -> bool) -> Result<Vec<String>> {
    Ok(guest.list(path)?.into_iter().flatten().filter(wanted).map(|entry| entry.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, MapGuest};

    fn plan(files: &[(&str, &str)]) -> (Vec<(String, String)>, Vec<String>) {
        let mut context = fixture::context();
        context.inspection.firmware = Some(Firmware::Uefi);
        let plan = UefiFallback.plan(&context, &MapGuest::new(files)).unwrap();
        let copies = plan.changes.into_iter().map(|change| match change.action {
            Action::CopyFile { from, old_sha256: None, .. } => (from, change.target),
            other => panic!("{other:?}"),
        });
        (copies.collect(), plan.findings.into_iter().map(|finding| finding.message).collect())
    }

    const DEBIAN: [(&str, &str); 5] = [
        ("/boot/efi/EFI/debian/shimx64.efi", "shim"),
        ("/boot/efi/EFI/debian/grubx64.efi", "grub"),
        ("/boot/efi/EFI/debian/mmx64.efi", "mm"),
        ("/boot/efi/EFI/debian/fbx64.efi", "fb"),
        (
            "/boot/efi/EFI/debian/grub.cfg",
            "search.fs_uuid 1 root hd0,gpt2\nset prefix=($root)'/grub'\nconfigfile $prefix/grub.cfg\n",
        ),
    ];

    #[test]
    fn copies_shim_and_what_it_loads() {
        let (copies, findings) = plan(&DEBIAN);
        let names: Vec<(&str, &str)> = copies.iter().map(|(from, to)| (&from[21..], to.as_str())).collect();
        assert_eq!(
            names,
            [
                ("grubx64.efi", "/boot/efi/EFI/BOOT/grubx64.efi"),
                ("mmx64.efi", "/boot/efi/EFI/BOOT/mmx64.efi"),
                ("grub.cfg", "/boot/efi/EFI/BOOT/grub.cfg"),
                ("shimx64.efi", "/boot/efi/EFI/BOOT/BOOTX64.EFI"),
            ]
        );
        assert!(findings.is_empty());
    }

    #[test]
    fn leaves_what_is_there() {
        let mut files = DEBIAN.to_vec();
        files.push(("/boot/efi/EFI/Boot/bootx64.efi", "shim"));
        assert!(plan(&files).0.is_empty());
    }

    #[test]
    fn a_loader_of_no_bytes_is_none() {
        let mut files = DEBIAN.to_vec();
        files.extend([("/boot/efi/EFI/BOOT/BOOTX64.EFI", ""), ("/boot/efi/EFI/BOOT/mmx64.efi", "own")]);
        let guest = MapGuest::new(&files);
        assert_eq!(has_fallback_loader("x86_64", &guest).unwrap(), Some(false));
        let mut context = fixture::context();
        context.inspection.firmware = Some(Firmware::Uefi);
        let changes = UefiFallback.plan(&context, &guest).unwrap().changes;
        let old = changes.iter().map(|change| match &change.action {
            Action::CopyFile { old_sha256, .. } => {
                (&change.target["/boot/efi/EFI/BOOT/".len()..], old_sha256.is_some())
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(old.collect::<Vec<_>>(), [("grubx64.efi", false), ("grub.cfg", false), ("BOOTX64.EFI", true)]);
    }

    #[test]
    fn without_shim_and_without_anything() {
        let (copies, _) = plan(&[("/boot/efi/EFI/arch/grubx64.efi", "grub")]);
        assert_eq!(
            copies,
            [("/boot/efi/EFI/arch/grubx64.efi".to_owned(), "/boot/efi/EFI/BOOT/BOOTX64.EFI".to_owned())]
        );
        let (copies, _) = plan(&[("/boot/EFI/systemd/systemd-bootx64.efi", "sd")]);
        assert_eq!(copies[0].1, "/boot/EFI/BOOT/BOOTX64.EFI");
        let suse =
            ["shim.efi", "grub.efi", "MokManager.efi", "boot.csv"].map(|name| format!("/boot/efi/EFI/opensuse/{name}"));
        let (copies, _) = plan(&suse.each_ref().map(|path| (path.as_str(), "x")));
        let names: Vec<&str> = copies.iter().map(|(_, to)| &to["/boot/efi/EFI/BOOT/".len()..]).collect();
        assert_eq!(names, ["grub.efi", "MokManager.efi", "BOOTX64.EFI"]);
        assert_eq!(
            plan(&[("/boot/efi/EFI/debian/x", "")]).1,
            ["/boot/efi/EFI holds no boot loader, so no fallback loader can be made"]
        );
        assert_eq!(
            plan(&[("/boot/x", "")]).1,
            ["the EFI system partition was not found, so no fallback loader can be made"]
        );
        let full =
            [("/boot/efi/EFI/redhat/grubx64.efi", "g"), ("/boot/efi/EFI/redhat/grub.cfg", "menuentry 'x' {\n}\n")];
        assert_eq!(plan(&full).0.len(), 1);
    }
}

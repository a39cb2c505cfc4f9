//! Which files are kernels and their boot archives: by the release in their name, by kernel-install's folders, and where a name says nothing
//! by the image itself and by the boot loader's menu.

use vmdk2kvm_plugin_api::{FileKind, Guest, Result};

use super::menu::Menu;
use crate::kernel_image::release;
use crate::textfile::read as read_file;

/// No kernel's image is larger.
const IMAGE_LIMIT: u64 = 128 << 20;
/// How many images of which the name says nothing are read.
const MOST_READ: usize = 8;

/// Folders beside kernel-install's.
const OTHERS: [&str; 8] = ["grub", "grub2", "efi", "EFI", "loader", "lost+found", "extlinux", "syslinux"];

/// A kernel's image and its boot archive.
type Pair = (String, Option<String>);

/// What is in `/boot`.
pub(super) struct BootFiles {
    names: Vec<String>,
    /// Folders that may be kernel-install's: named by the machine id, or by a word of the administrator's, on the boot partition
    /// or on the EFI system partition.
    tokens: Vec<String>,
}

/// The kernels of a guest.
#[derive(Default)]
pub(super) struct Found {
    /// By release, those that have modules. With systemd-boot Debian has each kernel twice: in `/boot`, and a copy that is booted on the
    /// EFI system partition.
    pub kernels: Vec<(String, Vec<Pair>)>,
    /// Images with their releases that have no modules.
    pub without_modules: Vec<(String, String)>,
}

impl BootFiles {
    /// Lists them.
    pub fn list(guest: &dyn Guest) -> Result<Self> {
        let mut tokens = Vec::new();
        for place in ["/boot", "/boot/efi", "/efi"] {
            let folders = guest.list(place)?.unwrap_or_default().into_iter();
            let folders = folders.filter(|entry| entry.kind == FileKind::Dir && !OTHERS.contains(&entry.name.as_str()));
            tokens.extend(folders.map(|entry| format!("{place}/{}", entry.name)));
        }
        let entries = guest.list("/boot")?.unwrap_or_default().into_iter();
        Ok(Self {
            names: entries.filter(|entry| entry.kind != FileKind::Dir).map(|entry| entry.name).collect(),
            tokens,
        })
    }

    /// The kernels of these releases, and others that are there.
    pub fn find(&self, versions: &[String], menu: &Menu, guest: &dyn Guest) -> Result<Found> {
        let mut found = Found::default();
        let mut nameless = Vec::new();
        for version in versions {
            let mut pairs = Vec::from_iter(self.by_version(version));
            for token in &self.tokens {
                let folder = format!("{token}/{version}");
                let names: Vec<String> = guest.list(&folder)?.into_iter().flatten().map(|entry| entry.name).collect();
                if names.iter().any(|name| name == "linux") {
                    let initrd = names.iter().find(|name| name.starts_with("initrd"));
                    pairs.push((format!("{folder}/linux"), initrd.map(|name| format!("{folder}/{name}"))));
                }
            }
            if pairs.is_empty() {
                nameless.push(version);
            } else {
                found.kernels.push((version.clone(), pairs));
            }
        }
        // Every image has been found: none is read.
        if nameless.is_empty() && !found.kernels.is_empty() {
            return Ok(found);
        }
        let images = self.by_header(versions, menu, guest)?;
        for version in nameless {
            let of_image = images.iter().filter(|(_, own)| own == version);
            let mut pairs: Vec<Pair> =
                of_image.map(|(image, _)| (image.clone(), self.archive_of(image, menu))).collect();
            if pairs.is_empty() {
                pairs.extend(self.by_flavour(version, guest)?);
            }
            if !pairs.is_empty() {
                found.kernels.push((version.clone(), pairs));
            }
        }
        found.without_modules = images.into_iter().filter(|(_, version)| !versions.contains(version)).collect();
        Ok(found)
    }

    fn by_version(&self, version: &str) -> Option<Pair> {
        let of = |kind: Kind| self.names.iter().find(|name| Kind::of(name) == Some(kind) && has_version(name, version));
        let path = |name: &String| format!("/boot/{name}");
        Some((path(of(Kind::Image)?), of(Kind::Archive).map(path)))
    }

    /// Images of which the name says no release that has modules: those with a kernel's name, and what the boot loader starts.
    fn by_header(&self, versions: &[String], menu: &Menu, guest: &dyn Guest) -> Result<Vec<(String, String)>> {
        let mut paths: Vec<String> = menu.kernels().map(str::to_owned).collect();
        let images = self.names.iter().filter(|name| Kind::of(name) == Some(Kind::Image));
        paths.extend(images.map(|name| format!("/boot/{name}")));
        paths.retain(|path| !versions.iter().any(|version| has_version(path, version)));
        paths.sort();
        paths.dedup();
        let mut found = Vec::new();
        for path in paths.into_iter().take(MOST_READ) {
            let image = read_file(guest, &path, IMAGE_LIMIT, &mut Vec::new())?;
            found.extend(image.and_then(|image| release(&image)).map(|release| (path, release)));
        }
        Ok(found)
    }

    /// The boot archive of an image: the one that the boot loader gives it, or the one with the same word behind its stem.
    fn archive_of(&self, image: &str, menu: &Menu) -> Option<String> {
        let of_menu = menu.archive_of(image).map(str::to_owned);
        let flavour = image.rsplit('/').next().and_then(|name| name.split_once('-')).map_or("", |(_, flavour)| flavour);
        of_menu.or_else(|| self.of_flavour(flavour))
    }

    /// Arch and Alpine name images by flavour, of which one kernel is installed at a time.
    fn by_flavour(&self, kernel: &str, guest: &dyn Guest) -> Result<Option<Pair>> {
        let base = read_file(guest, &format!("/lib/modules/{kernel}/pkgbase"), 4096, &mut Vec::new())?;
        let flavour = match &base {
            Some(base) => String::from_utf8_lossy(base).trim().to_owned(),
            None => kernel.rsplit('-').next().unwrap_or(kernel).to_owned(),
        };
        let Some(image) = self.first(&[format!("vmlinuz-{flavour}")]) else { return Ok(None) };
        Ok(Some((image, self.of_flavour(&flavour))))
    }

    fn of_flavour(&self, flavour: &str) -> Option<String> {
        self.first(&[format!("initramfs-{flavour}.img"), format!("initramfs-{flavour}"), format!("initrd-{flavour}")])
    }

    fn first(&self, candidates: &[String]) -> Option<String> {
        candidates.iter().find(|name| self.names.contains(name)).map(|name| format!("/boot/{name}"))
    }
}

/// What a file of `/boot` is, by its stem.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Image,
    Archive,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        if name.starts_with("initr") {
            return Some(Self::Archive);
        }
        ["vmlinu", "kernel", "image", "bzimage", "zimage", "linux"]
            .iter()
            .any(|stem| name.starts_with(stem))
            .then_some(Self::Image)
    }
}

/// Whether a name ends in this release: an architecture, and endings of archives, may follow. A release that only begins so is another.
fn has_version(name: &str, version: &str) -> bool {
    let Some(at) = name.rfind(version) else { return false };
    let is_apart = name[..at].ends_with(|letter: char| !letter.is_alphanumeric());
    let mut rest = &name[at + version.len()..];
    for ending in [".gz", ".xz", ".zst", ".lz4", ".bz2", ".img", ".cpio", ".efi"] {
        rest = rest.strip_suffix(ending).unwrap_or(rest);
    }
    let rest = rest.strip_prefix(['-', '.', '_']).unwrap_or(rest);
    is_apart && matches!(rest, "" | "x86_64" | "amd64" | "i686" | "i586" | "aarch64" | "arm64")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::MapGuest;
    use crate::kernel_image;

    fn shown(found: &Found) -> Vec<String> {
        let kernels = found.kernels.iter().flat_map(|(version, pairs)| pairs.iter().map(move |pair| (version, pair)));
        kernels
            .map(|(version, (image, archive))| format!("{version} {image} {}", archive.as_deref().unwrap_or("-")))
            .collect()
    }

    #[test]
    fn names_of_every_family() {
        for (version, files, want) in [
            (
                "6.1.0-9-amd64",
                &["vmlinuz-6.1.0-9-amd64", "initrd.img-6.1.0-9-amd64", "config-6.1.0-9-amd64"][..],
                "/boot/vmlinuz-6.1.0-9-amd64 /boot/initrd.img-6.1.0-9-amd64",
            ),
            (
                "5.14.0-1.el9.x86_64",
                &[
                    "vmlinuz-5.14.0-1.el9.x86_64",
                    ".vmlinuz-5.14.0-1.el9.x86_64.hmac",
                    "initramfs-5.14.0-1.el9.x86_64kdump.img",
                    "initramfs-5.14.0-1.el9.x86_64.img",
                ],
                "/boot/vmlinuz-5.14.0-1.el9.x86_64 /boot/initramfs-5.14.0-1.el9.x86_64.img",
            ),
            (
                "5.3.18-default",
                &["vmlinuz-5.3.18-default", "initrd-5.3.18-default-kdump", "initrd-5.3.18-default"],
                "/boot/vmlinuz-5.3.18-default /boot/initrd-5.3.18-default",
            ),
            (
                "5.15.80-gentoo",
                &[
                    "kernel-genkernel-x86_64-5.15.80-gentoo",
                    "initramfs-genkernel-x86_64-5.15.80-gentoo.img",
                    "System.map-genkernel-x86_64-5.15.80-gentoo",
                ],
                "/boot/kernel-genkernel-x86_64-5.15.80-gentoo /boot/initramfs-genkernel-x86_64-5.15.80-gentoo.img",
            ),
            (
                "6.1.60-gentoo",
                &[
                    "vmlinuz-6.1.60-gentoo-x86_64",
                    "initramfs-6.1.60-gentoo-x86_64.img",
                    "vmlinuz-6.1.60-gentoo-x86_64.old",
                ],
                "/boot/vmlinuz-6.1.60-gentoo-x86_64 /boot/initramfs-6.1.60-gentoo-x86_64.img",
            ),
            (
                "6.6.9",
                &["vmlinuz-6.6.9-lts", "vmlinuz-16.6.9", "bzImage-6.6.9", "initrd-6.6.9.gz"],
                "/boot/bzImage-6.6.9 /boot/initrd-6.6.9.gz",
            ),
            ("6.6.30-0-lts", &["vmlinuz-lts", "initramfs-lts"], "/boot/vmlinuz-lts /boot/initramfs-lts"),
        ] {
            let paths: Vec<String> = files.iter().map(|name| format!("/boot/{name}")).collect();
            let guest = MapGuest::new(&paths.iter().map(|path| (path.as_str(), "x")).collect::<Vec<_>>());
            let found = BootFiles::list(&guest).unwrap().find(&[version.to_owned()], &Menu::default(), &guest).unwrap();
            assert_eq!(shown(&found), [format!("{version} {want}")]);
        }
    }

    #[test]
    fn an_image_whose_name_says_nothing_is_asked_itself() {
        let mut guest =
            MapGuest::new(&[("/boot/initramfs-own.img", "x"), ("/boot/initrd.gz", "x"), ("/boot/vmlinuz-6.1", "x")]);
        for (path, release) in [
            ("/boot/bzImage", "6.6.1-own"),
            ("/boot/vmlinuz-own", "6.6.2"),
            ("/boot/linux", "6.9.0"),
            ("/srv/k", "6.6.3"),
        ] {
            guest.0.insert(path.to_owned(), kernel_image::image(release));
        }
        let menu = Menu::of(&[("/boot/bzImage", &["/boot/ucode.img", "/boot/initrd.gz"]), ("/srv/k", &[])]);
        let versions = ["6.1", "6.6.1-own", "6.6.2", "6.6.3", "6.6.4"].map(str::to_owned);
        let found = BootFiles::list(&guest).unwrap().find(&versions, &menu, &guest).unwrap();
        assert_eq!(
            shown(&found),
            [
                "6.1 /boot/vmlinuz-6.1 -",
                "6.6.1-own /boot/bzImage /boot/initrd.gz",
                "6.6.2 /boot/vmlinuz-own /boot/initramfs-own.img",
                "6.6.3 /srv/k -",
            ]
        );
        assert_eq!(found.without_modules, [("/boot/linux".to_owned(), "6.9.0".to_owned())]);
    }
}

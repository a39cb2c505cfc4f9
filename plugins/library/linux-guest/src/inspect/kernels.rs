//! Installed kernels: their images, boot archives, and where their virtio drivers are.

use vmdk2kvm_plugin_api::model::{Finding, KernelInfo, Severity, VirtioDrivers};
use vmdk2kvm_plugin_api::{ErrorKind, FileKind, Guest, Result};

use crate::initramfs::{contents, has_driver};
use crate::kernel_version;
use crate::modules::ModuleIndex;
use crate::textfile::read as read_file;

/// The drivers that are reported.
const VIRTIO: [&str; 6] = ["virtio", "virtio_ring", "virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net"];

const INDEX_LIMIT: u64 = 64 << 20;
const IMAGE_LIMIT: u64 = 1 << 30;

/// The kernels that have modules and an image, newest first.
pub(super) fn read(guest: &dyn Guest, findings: &mut Vec<Finding>) -> Result<Vec<KernelInfo>> {
    let boot = Boot::list(guest)?;
    let mut kernels = Vec::new();
    for entry in guest.list("/lib/modules")?.into_iter().flatten().filter(|entry| entry.kind == FileKind::Dir) {
        let places = boot.find(&entry.name, guest)?;
        if places.is_empty() {
            continue;
        }
        let index = index(&entry.name, guest, findings)?;
        for (image, initramfs) in places {
            let virtio = drivers(&entry.name, &index, initramfs.as_deref(), guest, findings)?;
            kernels.push(KernelInfo::new(entry.name.clone()).with(|it| {
                it.image = Some(image);
                it.initramfs = initramfs;
                it.virtio = virtio;
            }));
        }
    }
    kernels.sort_by(|a, b| kernel_version::compare(&b.version, &a.version));
    let known = findings.len();
    unified(guest, findings)?;
    if kernels.is_empty() && findings.len() == known {
        findings.push(
            Finding::new("no-kernel", Severity::Warn, "no installed kernel was found")
                .hint("is /boot on a disk that was not given? add it with --disk"),
        );
    }
    Ok(kernels)
}

/// Where a kernel's virtio drivers are.
fn drivers(
    kernel: &str,
    index: &ModuleIndex,
    initramfs: Option<&str>,
    guest: &dyn Guest,
    findings: &mut Vec<Finding>,
) -> Result<VirtioDrivers> {
    let names = |wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
        VIRTIO.into_iter().filter(|driver| wanted(driver)).map(str::to_owned).collect()
    };
    let mut virtio = VirtioDrivers::default().with(|it| {
        it.in_kernel = names(&|driver| index.has(driver));
        it.built_in = names(&|driver| index.is_built_in(driver));
    });
    if virtio.in_kernel.len() == virtio.built_in.len() {
        virtio.in_initramfs.clone_from(&virtio.built_in);
    } else if let Some(path) = initramfs {
        match guest.read(path, IMAGE_LIMIT).and_then(|image| image.map(|image| contents(&image)).transpose()) {
            Ok(Some(inside)) => {
                let there = |driver: &str| index.is_built_in(driver) || has_driver(&inside, kernel, driver);
                virtio.in_initramfs = names(&there);
            }
            Ok(None) => {}
            Err(error) if error.kind == ErrorKind::Unusable => findings.push(
                Finding::new("initramfs-unreadable", Severity::Warn, format!("{path}: {}", error.message))
                    .hint(error.hint.unwrap_or_default()),
            ),
            Err(error) => return Err(error),
        }
    } else {
        virtio.in_initramfs.clone_from(&virtio.built_in);
    }
    Ok(virtio)
}

fn index(kernel: &str, guest: &dyn Guest, findings: &mut Vec<Finding>) -> Result<ModuleIndex> {
    let mut text = |name: &str| -> Result<String> {
        let path = format!("/lib/modules/{kernel}/{name}");
        let bytes = read_file(guest, &path, INDEX_LIMIT, findings)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(ModuleIndex::parse(&text("modules.dep")?, &text("modules.builtin")?))
}

/// Folders beside kernel-install's.
const OTHERS: [&str; 8] = ["grub", "grub2", "efi", "EFI", "loader", "lost+found", "extlinux", "syslinux"];

/// Kernels that carry their boot archive inside (unified kernel images): it is not read here, and nothing can be appended.
fn unified(guest: &dyn Guest, findings: &mut Vec<Finding>) -> Result<()> {
    for folder in ["/boot/efi/EFI/Linux", "/efi/EFI/Linux", "/boot/EFI/Linux"] {
        for entry in guest.list(folder)?.into_iter().flatten().filter(|entry| entry.name.ends_with(".efi")) {
            findings.push(
                Finding::new(
                    "unified-kernel-image",
                    Severity::Warn,
                    format!("{folder}/{} carries its own boot archive, which was not looked into", entry.name),
                )
                .hint("make sure in the guest that it has virtio_pci and virtio_blk, or boot another kernel"),
            );
        }
    }
    Ok(())
}

/// What is in `/boot`.
struct Boot {
    names: Vec<String>,
    /// Folders that may be kernel-install's: named by the machine id, or by a word of the administrator's, on the boot partition
    /// or on the EFI system partition.
    tokens: Vec<String>,
}

impl Boot {
    fn list(guest: &dyn Guest) -> Result<Self> {
        let mut tokens = Vec::new();
        for place in ["/boot", "/boot/efi", "/efi"] {
            let folders = guest.list(place)?.unwrap_or_default().into_iter();
            let folders = folders.filter(|entry| entry.kind == FileKind::Dir && !OTHERS.contains(&entry.name.as_str()));
            tokens.extend(folders.map(|entry| format!("{place}/{}", entry.name)));
        }
        let entries = guest.list("/boot")?.unwrap_or_default();
        Ok(Self { names: entries.into_iter().map(|entry| entry.name).collect(), tokens })
    }

    /// Images and initramfs of a kernel, by every family's naming. With systemd-boot Debian has each kernel twice: in `/boot`, and
    /// a copy that is booted on the EFI system partition.
    fn find(&self, kernel: &str, guest: &dyn Guest) -> Result<Vec<(String, Option<String>)>> {
        let mut found = Vec::from_iter(self.by_version(kernel));
        if found.is_empty() {
            found.extend(self.by_flavour(kernel, guest)?);
        }
        for token in &self.tokens {
            let folder = format!("{token}/{kernel}");
            let names: Vec<String> = guest.list(&folder)?.into_iter().flatten().map(|entry| entry.name).collect();
            if names.iter().any(|name| name == "linux") {
                let initrd = names.iter().find(|name| name.starts_with("initrd"));
                found.push((format!("{folder}/linux"), initrd.map(|name| format!("{folder}/{name}"))));
            }
        }
        Ok(found)
    }

    fn by_version(&self, kernel: &str) -> Option<(String, Option<String>)> {
        let image = self.first(&[
            format!("vmlinuz-{kernel}"),
            format!("vmlinux-{kernel}"),
            format!("kernel-{kernel}"),
            format!("Image-{kernel}"),
        ])?;
        let initramfs = self.first(&[
            format!("initrd.img-{kernel}"),
            format!("initramfs-{kernel}.img"),
            format!("initrd-{kernel}"),
            format!("initrd-{kernel}.img"),
            format!("initramfs-{kernel}"),
        ]);
        Some((image, initramfs))
    }

    /// Arch and Alpine name images by flavour, of which one kernel is installed at a time.
    fn by_flavour(&self, kernel: &str, guest: &dyn Guest) -> Result<Option<(String, Option<String>)>> {
        let base = read_file(guest, &format!("/lib/modules/{kernel}/pkgbase"), 4096, &mut Vec::new())?;
        let flavour = match &base {
            Some(base) => String::from_utf8_lossy(base).trim().to_owned(),
            None => kernel.rsplit('-').next().unwrap_or(kernel).to_owned(),
        };
        let Some(image) = self.first(&[format!("vmlinuz-{flavour}")]) else { return Ok(None) };
        Ok(Some((image, self.first(&[format!("initramfs-{flavour}.img"), format!("initramfs-{flavour}")]))))
    }

    fn first(&self, candidates: &[String]) -> Option<String> {
        candidates.iter().find(|name| self.names.contains(name)).map(|name| format!("/boot/{name}"))
    }
}

//! Installed kernels: their images, boot archives, and where their virtio drivers are.

use vmdk2kvm_plugin_api::model::{Finding, KernelInfo, Severity, VirtioDrivers};
use vmdk2kvm_plugin_api::{ErrorKind, FileKind, Guest, Result};

use super::boot_files::BootFiles;
use super::menu::Menu;
use crate::initramfs::{contents, has_driver};
use crate::kernel_version;
use crate::modules::ModuleIndex;
use crate::textfile::read as read_file;

/// The drivers that are reported.
const VIRTIO: [&str; 6] = ["virtio", "virtio_ring", "virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net"];

const INDEX_LIMIT: u64 = 64 << 20;
const IMAGE_LIMIT: u64 = 1 << 30;

/// The kernels that have modules and an image, newest first; `menu` is what the boot loader starts.
pub(super) fn read(menu: &Menu, guest: &dyn Guest, findings: &mut Vec<Finding>) -> Result<Vec<KernelInfo>> {
    let folders = guest.list("/lib/modules")?.into_iter().flatten().filter(|entry| entry.kind == FileKind::Dir);
    let versions: Vec<String> = folders.map(|entry| entry.name).collect();
    let found = BootFiles::list(guest)?.find(&versions, menu, guest)?;
    let mut kernels = Vec::new();
    for (version, places) in found.kernels {
        let index = index(&version, guest, findings)?;
        for (image, initramfs) in places {
            let virtio = drivers(&version, &index, initramfs.as_deref(), guest, findings)?;
            kernels.push(KernelInfo::new(version.clone()).with(|it| {
                it.image = Some(image);
                it.initramfs = initramfs;
                it.virtio = virtio;
            }));
        }
    }
    kernels.sort_by(|a, b| kernel_version::compare(&b.version, &a.version));
    let known = findings.len();
    findings.extend(found.without_modules.iter().map(|(image, version)| {
        let message = format!("{image} is kernel {version}, which has no modules here; whether it has virtio drivers built in is not known");
        Finding::new("kernel-without-modules", Severity::Warn, message)
            .hint("make sure that it has, boot another kernel, or give the VM a SATA disk and an e1000e card")
    }));
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

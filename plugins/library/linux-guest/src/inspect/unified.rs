//! Unified kernel images: a program for UEFI that carries kernel, boot archive and command line in sections of its own. Nothing can be
//! appended to one, and it may be signed, so it is read and told, not changed.
//!
//! Format: the UAPI Group's "Unified Kernel Image" (`.initrd`, `.cmdline`, `.uname`), in Microsoft's PE.

use object::read::pe::PeFile64;
use object::{Object, ObjectSection};
use vmdk2kvm_plugin_api::model::{Finding, Severity};
use vmdk2kvm_plugin_api::{ErrorKind, FileKind, Guest, Result};

use crate::devices::Devices;
use crate::fix::unstable_in_line;
use crate::initramfs::contents;

const FOLDERS: [&str; 3] = ["/boot/efi/EFI/Linux", "/efi/EFI/Linux", "/boot/EFI/Linux"];
const IMAGE_LIMIT: u64 = 512 << 20;

/// What one is made of.
struct Unified {
    /// Virtio drivers in its boot archive.
    drivers: Vec<&'static str>,
    command_line: String,
}

/// The images of a guest: what there is to say, and the drivers of virtual hardware that all of them start with.
#[derive(Default)]
pub(super) struct Images {
    /// There is one.
    pub found: bool,
    pub findings: Vec<Finding>,
    /// In the words of [`vmdk2kvm_plugin_api::model::Inspection::drives`].
    pub drives: Vec<String>,
}

/// Reads the images; `alone`: no other kernel is there to start.
pub(super) fn read(alone: bool, devices: &Devices<'_>, guest: &dyn Guest) -> Result<Images> {
    let mut out = Images::default();
    let mut all: Option<Vec<&str>> = None;
    for folder in FOLDERS {
        for entry in guest.list(folder)?.into_iter().flatten() {
            if entry.kind != FileKind::File || !entry.name.to_ascii_lowercase().ends_with(".efi") {
                continue;
            }
            let path = format!("{folder}/{}", entry.name);
            let image = match guest.read(&path, IMAGE_LIMIT) {
                Ok(image) => image.unwrap_or_default(),
                Err(error) if error.kind == ErrorKind::Unusable => Vec::new(),
                Err(error) => return Err(error),
            };
            let Some(unified) = Unified::read(&image) else {
                let message = format!("{path} carries its own boot archive, which could not be looked into");
                let hint = "make sure in the guest that it has virtio_pci and virtio_blk, or boot another kernel";
                out.findings.push(Finding::new("unified-kernel-image", Severity::Warn, message).hint(hint));
                all = Some(Vec::new());
                continue;
            };
            out.findings.extend(unified.findings(&path, alone, devices));
            all = Some(match all {
                None => unified.drivers,
                Some(before) => before.into_iter().filter(|driver| unified.drivers.contains(driver)).collect(),
            });
        }
    }
    out.found = all.is_some();
    out.drives = all.unwrap_or_default().into_iter().map(|driver| driver.replace('_', "-")).collect();
    Ok(out)
}

impl Unified {
    /// Reads an image; `None` when it is none, or its boot archive cannot be read.
    fn read(image: &[u8]) -> Option<Self> {
        let file = PeFile64::parse(image).ok()?;
        let sections = |name: &str| -> Vec<&[u8]> {
            file.sections()
                .filter(|section| section.name() == Ok(name))
                .filter_map(|section| section.data().ok())
                .collect()
        };
        let mut drivers = Vec::new();
        let archives = sections(".initrd");
        for archive in &archives {
            let inside = contents(archive).ok()?;
            drivers.extend(
                ["virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net"]
                    .iter()
                    .filter(|driver| inside.has_module(driver)),
            );
        }
        let command_line = sections(".cmdline")
            .first()
            .map(|line| String::from_utf8_lossy(line).trim_end_matches(['\0', '\n']).to_owned());
        (!archives.is_empty()).then(|| Self { drivers, command_line: command_line.unwrap_or_default() })
    }

    fn findings(&self, path: &str, alone: bool, devices: &Devices<'_>) -> Vec<Finding> {
        let severity = if alone { Severity::Block } else { Severity::Warn };
        let mut out = Vec::new();
        let can_start = self.drivers.contains(&"virtio_pci")
            && ["virtio_blk", "virtio_scsi"].iter().any(|disk| self.drivers.contains(disk));
        if !can_start {
            let message = format!("{path} carries its own boot archive, without virtio drivers for its disk");
            out.push(Finding::new("unified-kernel-image", severity, message).hint(
                "rebuild it in the guest with virtio_pci and virtio_blk (dracut --add-drivers, MODULES of mkinitcpio), and migrate again",
            ));
        }
        for argument in unstable_in_line(&self.command_line, devices) {
            let message = format!("{path} has {argument} in its own command line, a name that the move changes");
            out.push(Finding::new("unified-unstable-device", severity, message).hint(
                "name the device by UUID in /etc/kernel/cmdline, rebuild the image in the guest, and migrate again",
            ));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, MapGuest};
    use crate::initramfs::tests::archive;

    /// A PE with these sections and nothing to run.
    fn image(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut headers = vec![0u8; 0x40];
        headers[..2].copy_from_slice(b"MZ");
        headers[0x3c] = 0x40;
        headers.extend(b"PE\0\0\x64\x86");
        headers.extend((sections.len() as u16).to_le_bytes());
        headers.extend([0; 12]);
        headers.extend(112u16.to_le_bytes());
        headers.extend([0, 0]);
        let mut optional = vec![0u8; 112];
        optional[..2].copy_from_slice(&0x20bu16.to_le_bytes());
        headers.extend(optional);
        let mut data = Vec::new();
        let start = headers.len() + 40 * sections.len();
        for (name, content) in sections {
            let mut header = [0u8; 40];
            header[..name.len()].copy_from_slice(name.as_bytes());
            let (size, at) = (content.len() as u32, (start + data.len()) as u32);
            for (place, value) in [(8, size), (12, 0x1000), (16, size), (20, at)] {
                header[place..place + 4].copy_from_slice(&value.to_le_bytes());
            }
            headers.extend(header);
            data.extend_from_slice(content);
        }
        [headers, data].concat()
    }

    fn found(image: Vec<u8>, alone: bool) -> (Vec<(String, Severity)>, Vec<String>) {
        let mut guest = MapGuest::default();
        guest.0.insert("/efi/EFI/Linux/arch.EFI".to_owned(), image);
        let context = fixture::context();
        let devices = Devices::new(&context.inspection.disks, Some(&context.vm));
        let images = read(alone, &devices, &guest).unwrap();
        let findings = images.findings.into_iter().map(|finding| (finding.code, finding.severity)).collect();
        (findings, images.drives)
    }

    #[test]
    fn sections_are_read() {
        let module = |name: &str| (format!("usr/lib/modules/6.9/kernel/{name}.ko.zst"), "x");
        let modules = [module("virtio_pci"), module("virtio_blk"), module("virtio_net")];
        let modules: Vec<(&str, &str)> = modules.iter().map(|(path, data)| (path.as_str(), *data)).collect();
        let (good, bare) = (archive(&modules), archive(&[("init", "x")]));
        let by_uuid: &[u8] = b"root=UUID=uuid-0-1 rw\n\0";
        let kernel = ("unified-kernel-image".to_owned(), Severity::Block);
        let device = ("unified-unstable-device".to_owned(), Severity::Warn);
        let drives = ["virtio-pci", "virtio-blk", "virtio-net"].map(str::to_owned).to_vec();
        assert_eq!(found(image(&[(".cmdline", by_uuid), (".initrd", &good)]), true), (vec![], drives.clone()));
        assert_eq!(found(image(&[(".cmdline", by_uuid), (".initrd", &bare)]), true), (vec![kernel], vec![]));
        assert_eq!(found(image(&[(".cmdline", b"root=/dev/sda1"), (".initrd", &good)]), false), (vec![device], drives));
        for nothing in [b"MZ".to_vec(), image(&[(".cmdline", by_uuid)]), image(&[(".initrd", b"no archive")])] {
            assert_eq!(found(nothing, true), (vec![("unified-kernel-image".to_owned(), Severity::Warn)], vec![]));
        }
    }
}

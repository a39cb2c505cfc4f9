//! The one decision about a file's format: content decides, the name confirms.
//!
//! It is taken once; from here on the format travels as a word beside the object. Two names are declarations and win: `.raw`
//! and the flat extent of a VMDK (`-flat.vmdk`). Such a disk stays raw whatever its guest wrote into its first sectors,
//! because whoever may write there could otherwise make it name other files as its backing.

use std::path::Path;

use vmdk2kvm_plugin_api::tracing::warn;
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, read_exact_at};

use crate::file_source::FileSource;
use crate::magic::{self, DiskFormat, Foreign, HEAD, Magic, TAIL, magic};

const SECTOR: u64 = 512;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The description of a VMware virtual machine.
    Vmx,
    /// A disk.
    Disk(DiskFormat),
}

/// What a file's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Vmx,
    Vmdk,
    Qcow2,
    /// Declared to be raw.
    Raw,
    /// An image of any format: cloud images in QCOW2 are called `.img` as well.
    Image,
    Foreign(&'static Foreign),
    /// Says nothing.
    Nothing,
}

fn named(name: &str) -> Named {
    let name = name.to_lowercase();
    if name.ends_with("-flat.vmdk") {
        return Named::Raw;
    }
    let Some((_, extension)) = name.rsplit_once('.') else { return Named::Image };
    match extension {
        "vmx" | "vmtx" => Named::Vmx,
        "vmdk" => Named::Vmdk,
        "qcow2" | "qcow" => Named::Qcow2,
        "raw" | "dd" => Named::Raw,
        "img" | "image" | "bin" | "disk" => Named::Image,
        "iso" => Named::Foreign(&magic::ISO),
        "ovf" => Named::Foreign(&magic::OVF),
        "ova" | "tar" => Named::Foreign(&magic::TAR),
        "vhd" | "vpc" => Named::Foreign(&magic::VHD),
        "vhdx" => Named::Foreign(&magic::VHDX),
        "vdi" => Named::Foreign(&magic::VDI),
        "gz" | "tgz" | "xz" | "txz" | "bz2" | "zst" => Named::Foreign(&magic::COMPRESSED),
        "zip" | "7z" => Named::Foreign(&magic::ZIP),
        _ => Named::Nothing,
    }
}

/// Whether a name alone makes a file worth looking at among others in a folder: 0 no, 1 a disk, 2 a VMX.
pub fn interest(name: &str) -> u8 {
    match named(name) {
        // Changed block tracking: beside each disk it tracks, and no disk itself.
        Named::Vmdk if name.to_lowercase().ends_with("-ctk.vmdk") => 0,
        Named::Vmx => 2,
        Named::Vmdk | Named::Qcow2 | Named::Raw => 1,
        Named::Image => u8::from(name.contains('.')),
        Named::Foreign(_) | Named::Nothing => 0,
    }
}

/// The format that a name alone promises and that is not read, to be named when a folder holds nothing else.
pub fn foreign_by_name(name: &str) -> Option<&'static Foreign> {
    match named(name) {
        Named::Foreign(foreign) => Some(foreign),
        _ => None,
    }
}

/// Decides what `source` is. `path` is where it lies; its last part is the name that confirms.
pub fn detect(source: &FileSource, path: &Path) -> Result<Kind> {
    let size = source.size();
    if size == 0 {
        return Err(PluginError::unusable(format!("{}: the file is empty", source.name()))
            .hint("copy the file again from where it came"));
    }
    let mut head = vec![0; size.min(HEAD as u64) as usize];
    read_exact_at(source, 0, &mut head)?;
    let mut tail = vec![0; size.min(TAIL as u64) as usize];
    read_exact_at(source, size - tail.len() as u64, &mut tail)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    decide(source.name(), &name, magic(&head, &tail), size % SECTOR == 0)
}

fn decide(shown: &str, name: &str, content: Magic, whole_sectors: bool) -> Result<Kind> {
    let refuse = |what: &str, hint: &str| Err(PluginError::unusable(format!("{shown}: {what}")).hint(hint));
    let foreign = |foreign: &Foreign| refuse(&format!("it is {}, which is not read yet", foreign.what), foreign.hint);
    match (named(name), content) {
        (Named::Vmx, Magic::Text) => Ok(Kind::Vmx),
        (Named::Vmx, _) => refuse("it is named like a VMX and is not text", "give the VMX of the virtual machine"),
        // A disk may begin with text; text does not come in whole sectors.
        (Named::Raw | Named::Image, Magic::Text) if whole_sectors => Ok(Kind::Disk(DiskFormat::Raw)),
        (_, Magic::Text) => refuse(
            "it is a text file, not a disk",
            "give a VMX, a VMDK, a QCOW2 or a raw image; a VMX's name ends in .vmx",
        ),
        (Named::Raw, content) => {
            if let Magic::Disk(format) = content {
                warn!(
                    "{shown}: it begins like a {} image and is read as raw, because its name says so; if that is wrong, rename it",
                    format.as_str()
                );
            }
            Ok(Kind::Disk(DiskFormat::Raw))
        }
        (_, Magic::Foreign(kind)) => foreign(kind),
        (Named::Foreign(_), Magic::Disk(format)) => mismatch(shown, format),
        (Named::Foreign(kind), Magic::Zeros | Magic::Unknown(_)) => foreign(kind),
        (Named::Vmdk, Magic::Disk(DiskFormat::Vmdk)) => Ok(Kind::Disk(DiskFormat::Vmdk)),
        (Named::Qcow2, Magic::Disk(DiskFormat::Qcow2)) => Ok(Kind::Disk(DiskFormat::Qcow2)),
        (Named::Vmdk | Named::Qcow2, Magic::Disk(format)) => mismatch(shown, format),
        (Named::Vmdk, _) => refuse(
            "it is named like a VMDK and does not begin like one",
            "copy it again from the datastore; for the flat part of a disk give the small .vmdk beside it",
        ),
        (Named::Qcow2, _) => {
            refuse("it is named like a QCOW2 image and does not begin like one", "copy it again from where it came")
        }
        (Named::Image | Named::Nothing, Magic::Disk(format)) => Ok(Kind::Disk(format)),
        (Named::Image, _) | (Named::Nothing, Magic::Unknown(true)) => Ok(Kind::Disk(DiskFormat::Raw)),
        (Named::Nothing, _) => refuse(
            "its format is not recognised",
            "rename it to .raw when it holds a disk's bytes as they are; else convert it to qcow2 or raw",
        ),
    }
}

fn mismatch(shown: &str, format: DiskFormat) -> Result<Kind> {
    let word = format.as_str();
    Err(PluginError::unusable(format!("{shown}: it begins like a {word} image, and its name says something else"))
        .hint(format!("rename it to .{word} when that is what it is")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::magic::{TAR, VHD};

    #[test]
    fn content_decides_and_the_name_confirms() {
        let vmdk = Magic::Disk(DiskFormat::Vmdk);
        let qcow2 = Magic::Disk(DiskFormat::Qcow2);
        let (boot, other) = (Magic::Unknown(true), Magic::Unknown(false));
        for (name, content, expected) in [
            ("web.vmx", Magic::Text, Ok(Kind::Vmx)),
            ("web.vmx", other, Err("it is named like a VMX and is not text")),
            ("web.vmdk", vmdk, Ok(Kind::Disk(DiskFormat::Vmdk))),
            ("WEB.VMDK", vmdk, Ok(Kind::Disk(DiskFormat::Vmdk))),
            ("web.vmdk", qcow2, Err("it begins like a qcow2 image, and its name says something else")),
            ("web.vmdk", boot, Err("it is named like a VMDK and does not begin like one")),
            ("web-flat.vmdk", boot, Ok(Kind::Disk(DiskFormat::Raw))),
            ("web.qcow2", qcow2, Ok(Kind::Disk(DiskFormat::Qcow2))),
            ("web.qcow2", Magic::Zeros, Err("it is named like a QCOW2 image and does not begin like one")),
            ("cloud.img", qcow2, Ok(Kind::Disk(DiskFormat::Qcow2))),
            ("cloud.img", boot, Ok(Kind::Disk(DiskFormat::Raw))),
            ("data.img", Magic::Zeros, Ok(Kind::Disk(DiskFormat::Raw))),
            // Raw stays raw, whatever a guest wrote there.
            ("data.raw", qcow2, Ok(Kind::Disk(DiskFormat::Raw))),
            ("data.raw", Magic::Foreign(&TAR), Ok(Kind::Disk(DiskFormat::Raw))),
            ("disk", other, Ok(Kind::Disk(DiskFormat::Raw))),
            ("disk.backup", boot, Ok(Kind::Disk(DiskFormat::Raw))),
            ("photo.jpg", other, Err("its format is not recognised")),
            ("notes.txt", Magic::Text, Err("it is a text file, not a disk")),
            ("notes.raw", Magic::Text, Err("it is a text file, not a disk")),
            ("web.vhd", Magic::Foreign(&VHD), Err("it is a VHD image, which is not read yet")),
            ("web.img", Magic::Foreign(&VHD), Err("it is a VHD image, which is not read yet")),
            ("web.ova", Magic::Foreign(&TAR), Err("it is a tar archive (OVA), which is not read yet")),
            ("web.iso", other, Err("it is a CD-ROM image, which is not read yet")),
        ] {
            let got = decide("x", name, content, false).map_err(|error| {
                assert!(error.hint.is_some());
                error.message
            });
            assert_eq!(got, expected.map_err(|message: &str| format!("x: {message}")), "{name} {content:?}");
        }
        assert_eq!(decide("x", "sevens.raw", Magic::Text, true), Ok(Kind::Disk(DiskFormat::Raw)));
        assert!(decide("x", "sevens.vmdk", Magic::Text, true).is_err());
    }
}

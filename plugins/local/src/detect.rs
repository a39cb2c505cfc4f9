//! The one decision about a file's format: content decides, the name confirms.
//!
//! It is taken once; from here on the format travels as a word beside the object. Two names are declarations and win: `.raw`
//! and the flat extent of a VMDK (`-flat.vmdk`). Such a disk stays raw whatever its guest wrote into its first sectors,
//! because whoever may write there could otherwise make it name other files as its backing.

use std::path::Path;

use vmdk2kvm_plugin_api::tracing::warn;
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result};

use crate::magic::{self, Archive, DiskFormat, Foreign, Magic};
use crate::object::Object;

const SECTOR: u64 = 512;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The description of a VMware virtual machine.
    Vmx,
    /// The description of one or several virtual machines in OVF.
    Ovf,
    /// An archive, or a compressed file.
    Archive(Archive),
    /// A disk.
    Disk(DiskFormat),
}

impl Kind {
    /// With its article, for messages about something else that was wanted.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Vmx => "a VMX",
            Self::Ovf => "an OVF description",
            Self::Archive(archive) => archive.what(),
            Self::Disk(_) => "a disk",
        }
    }
}

/// What a file's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Vmx,
    Ovf,
    Archive,
    /// A disk of this format.
    Format(DiskFormat),
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
        "ovf" => Named::Ovf,
        "vmdk" => Named::Format(DiskFormat::Vmdk),
        "qcow2" | "qcow" => Named::Format(DiskFormat::Qcow2),
        "vhd" | "vpc" | "avhd" => Named::Format(DiskFormat::Vhd),
        "vhdx" | "avhdx" => Named::Format(DiskFormat::Vhdx),
        "vdi" => Named::Format(DiskFormat::Vdi),
        "raw" | "dd" => Named::Raw,
        "img" | "image" | "bin" | "disk" => Named::Image,
        "iso" => Named::Foreign(&magic::ISO),
        "ova" | "tar" | "tgz" | "txz" | "gz" | "xz" | "bz2" | "zst" | "zip" => Named::Archive,
        _ => Named::Nothing,
    }
}

/// What a name alone makes of a file among others in a folder or an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Nothing to look at.
    None,
    /// A disk, or a part of one.
    Disk,
    /// A VMX.
    Vmx,
    /// An OVF.
    Ovf,
    /// An archive or a compressed file.
    Archive,
}

/// Whether a name alone makes a file worth looking at.
pub fn interest(name: &str) -> Interest {
    match named(name) {
        // Changed block tracking: beside each disk it tracks, and no disk itself.
        Named::Format(DiskFormat::Vmdk) if name.to_lowercase().ends_with("-ctk.vmdk") => Interest::None,
        Named::Vmx => Interest::Vmx,
        Named::Ovf => Interest::Ovf,
        Named::Archive => Interest::Archive,
        Named::Format(_) | Named::Raw => Interest::Disk,
        Named::Image if name.contains('.') => Interest::Disk,
        Named::Image | Named::Foreign(_) | Named::Nothing => Interest::None,
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
pub fn detect(source: &Object, path: &Path) -> Result<Kind> {
    refuse_empty(source)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    decide(source.name(), &name, magic::of(source)?, source.size() % SECTOR == 0)
}

/// Holds a disk against the format that its package declares. A disk that is declared raw is raw, whatever it begins with.
pub fn declared(source: &Object, format: DiskFormat) -> Result<()> {
    refuse_empty(source)?;
    match (format, magic::of(source)?) {
        (DiskFormat::Raw, _) | (DiskFormat::Vhd, Magic::VhdFooter) => Ok(()),
        (wanted, Magic::Disk(found)) if wanted == found => Ok(()),
        (wanted, _) => Err(PluginError::unusable(format!(
            "{}: its package declares it as {}, and it does not begin like one",
            source.name(),
            wanted.as_str()
        ))
        .hint("export the virtual machine again, or copy the package again")),
    }
}

fn refuse_empty(source: &Object) -> Result<()> {
    if source.size() > 0 {
        return Ok(());
    }
    Err(PluginError::unusable(format!("{}: the file is empty", source.name())).hint("copy the file again"))
}

fn decide(shown: &str, name: &str, content: Magic, whole_sectors: bool) -> Result<Kind> {
    let refuse = |what: &str, hint: &str| Err(PluginError::unusable(format!("{shown}: {what}")).hint(hint));
    let foreign = |foreign: &Foreign| refuse(&format!("it is {}, which is not read yet", foreign.what), foreign.hint);
    match (named(name), content) {
        (Named::Vmx, Magic::Text) => Ok(Kind::Vmx),
        (Named::Vmx, _) => refuse("it is named like a VMX and is not text", "give the VMX of the virtual machine"),
        // A disk may begin with text; text does not come in whole sectors.
        (Named::Raw | Named::Image, Magic::Text | Magic::Ovf) if whole_sectors => Ok(Kind::Disk(DiskFormat::Raw)),
        (_, Magic::Text) => refuse(
            "it is a text file, not a disk",
            "give an OVF, a VMX, a VMDK, a QCOW2 or a raw image; a VMX's name ends in .vmx",
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
        (Named::Ovf | Named::Nothing, Magic::Ovf) => Ok(Kind::Ovf),
        (Named::Ovf, _) => {
            refuse("it is named like an OVF and does not begin like one", "export the virtual machine again")
        }
        (Named::Archive | Named::Nothing, Magic::Archive(archive)) => Ok(Kind::Archive(archive)),
        (Named::Archive, _) => refuse(
            "it is named like an archive and does not begin like one",
            "copy it again; tar, zip, gzip, xz, bzip2 and zstd are read",
        ),
        (Named::Foreign(_), Magic::Disk(format)) => mismatch(shown, format.as_str()),
        (Named::Foreign(kind), _) => foreign(kind),
        (Named::Format(wanted), Magic::Disk(format)) if wanted == format => Ok(Kind::Disk(format)),
        (Named::Format(DiskFormat::Vhd), Magic::VhdFooter) => Ok(Kind::Disk(DiskFormat::Vhd)),
        (Named::Format(_), Magic::Disk(format)) => mismatch(shown, format.as_str()),
        (Named::Format(_) | Named::Image, Magic::Archive(archive)) => mismatch(shown, archive.what()),
        (Named::Format(DiskFormat::Vmdk), _) => refuse(
            "it is named like a VMDK and does not begin like one",
            "copy it again from the datastore; for the flat part of a disk give the small .vmdk beside it",
        ),
        (Named::Format(format), _) => refuse(
            &format!("it is named like a {} image and does not begin like one", format.as_str().to_uppercase()),
            "copy it again",
        ),
        (Named::Image | Named::Nothing, Magic::Disk(format)) => Ok(Kind::Disk(format)),
        // Whoever may write the last sector of a raw disk can make it end like that.
        (Named::Image | Named::Nothing, Magic::VhdFooter) => refuse(
            "it ends like a fixed VHD, and its name does not say so",
            "rename it to .vhd when that is what it is, to .raw when it is a disk's bytes as they are",
        ),
        (Named::Image, _) | (Named::Nothing, Magic::Unknown(true)) => Ok(Kind::Disk(DiskFormat::Raw)),
        (Named::Nothing, _) => refuse(
            "its format is not recognised",
            "rename it to .raw when it holds a disk's bytes as they are; else convert it to qcow2 or raw",
        ),
    }
}

fn mismatch(shown: &str, what: &str) -> Result<Kind> {
    let what = if what.contains(' ') { what.to_owned() } else { format!("a {what} image") };
    Err(PluginError::unusable(format!("{shown}: it begins like {what}, and its name says something else"))
        .hint("give it the extension of what it is"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::compressed::Compression;

    #[test]
    fn content_decides_and_the_name_confirms() {
        let vmdk = Magic::Disk(DiskFormat::Vmdk);
        let qcow2 = Magic::Disk(DiskFormat::Qcow2);
        let tar = Magic::Archive(Archive::Tar);
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
            ("data.raw", tar, Ok(Kind::Disk(DiskFormat::Raw))),
            ("disk", other, Ok(Kind::Disk(DiskFormat::Raw))),
            ("disk.backup", boot, Ok(Kind::Disk(DiskFormat::Raw))),
            ("photo.jpg", other, Err("its format is not recognised")),
            ("notes.txt", Magic::Text, Err("it is a text file, not a disk")),
            ("notes.raw", Magic::Text, Err("it is a text file, not a disk")),
            ("web.vhd", Magic::Disk(DiskFormat::Vhd), Ok(Kind::Disk(DiskFormat::Vhd))),
            ("web.vhd", Magic::VhdFooter, Ok(Kind::Disk(DiskFormat::Vhd))),
            ("web.vhd", other, Err("it is named like a VHD image and does not begin like one")),
            ("web.img", Magic::VhdFooter, Err("it ends like a fixed VHD, and its name does not say so")),
            ("web.raw", Magic::VhdFooter, Ok(Kind::Disk(DiskFormat::Raw))),
            ("web.ova", tar, Ok(Kind::Archive(Archive::Tar))),
            (
                "web",
                Magic::Archive(Archive::Compressed(Compression::Xz)),
                Err("it begins like an xz file, and its name says something else"),
            ),
            ("web.img", tar, Err("it begins like a tar archive, and its name says something else")),
            ("web.ova", other, Err("it is named like an archive and does not begin like one")),
            ("web.ovf", Magic::Ovf, Ok(Kind::Ovf)),
            ("web.ovf", vmdk, Err("it is named like an OVF and does not begin like one")),
            ("web.ova", Magic::Ovf, Err("it is named like an archive and does not begin like one")),
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

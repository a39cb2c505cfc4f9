//! What a file's bytes say about its format.
//!
//! Takes the first and last bytes of a file and knows nothing of names. [`crate::detect`] holds the answer against the file's name.

use vmdk2kvm_plugin_api::{BlockSource, Result, read_exact_at};

use crate::container::compressed::Compression;
use crate::container::tar::sums_up;
use crate::root_element::{Root, root_element};

/// How many bytes of the beginning are looked at.
pub const HEAD: usize = 4096;
/// How many bytes of an XML document are looked at for its root element: comments with licences come first.
pub const PROLOGUE: usize = 1 << 20;
/// How many bytes of the end are looked at (a VHD footer).
pub const TAIL: usize = 512;

/// A format that a flattener reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFormat {
    /// Any VMDK: descriptor or one of the sparse kinds.
    Vmdk,
    /// QCOW2 of any version (and QCOW, which its flattener refuses).
    Qcow2,
    /// VHD, also called VPC.
    Vhd,
    /// VHDX.
    Vhdx,
    /// VDI of VirtualBox.
    Vdi,
    /// Bytes as the guest sees them.
    Raw,
}

/// A kind of archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archive {
    /// Tar of any dialect, and so OVA.
    Tar,
    /// ZIP.
    Zip,
    /// One file behind a compressor, often a tar.
    Compressed(Compression),
}

impl Archive {
    /// With its article.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Tar => "a tar archive",
            Self::Zip => "a ZIP archive",
            Self::Compressed(compression) => compression.what(),
        }
    }
}

impl DiskFormat {
    /// The word that chooses the flattener.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vmdk => "vmdk",
            Self::Qcow2 => "qcow2",
            Self::Vhd => "vhd",
            Self::Vhdx => "vhdx",
            Self::Vdi => "vdi",
            Self::Raw => "raw",
        }
    }
}

/// What bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Magic {
    /// A disk image of a known format.
    Disk(DiskFormat),
    /// The footer of a VHD and nothing at the beginning: a fixed VHD, or a raw disk whose guest wrote that there.
    VhdFooter,
    /// An archive.
    Archive(Archive),
    /// An OVF description, by its root element.
    Ovf,
    /// A format that is known and not read.
    Foreign(&'static Foreign),
    /// Text of some kind.
    Text,
    /// Only zeros, as far as was looked.
    Zeros,
    /// Binary without a known signature; `true` when it ends its first sector as a boot sector does.
    Unknown(bool),
}

/// A format that is recognised and refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Foreign {
    /// With its article, e.g. `a VHD image`.
    pub what: &'static str,
    /// What the user can do.
    pub hint: &'static str,
}

const CONVERT: &str = "convert it to qcow2 or raw first, and give that";
static QED: Foreign = Foreign { what: "a QED image", hint: CONVERT };
static PARALLELS: Foreign = Foreign { what: "a Parallels image", hint: CONVERT };
static XML: Foreign = Foreign { what: "an XML document", hint: "give an OVF, a VMX, a disk image or a folder" };
static SEVEN_ZIP: Foreign =
    Foreign { what: "a 7z archive", hint: "unpack it into an empty folder, and give that folder" };
/// ISO 9660.
pub static ISO: Foreign = Foreign { what: "a CD-ROM image", hint: "give the disk of an installed machine" };

/// Signatures at fixed offsets of the beginning.
static SIGNATURES: &[(usize, &[u8], Magic)] = &[
    (0, b"KDMV", Magic::Disk(DiskFormat::Vmdk)),
    (0, b"COWD", Magic::Disk(DiskFormat::Vmdk)),
    // seSparse: a 64-bit little-endian 0xcafebabe.
    (0, b"\xbe\xba\xfe\xca\0\0\0\0", Magic::Disk(DiskFormat::Vmdk)),
    (0, b"QFI\xfb", Magic::Disk(DiskFormat::Qcow2)),
    (0, b"conectix", Magic::Disk(DiskFormat::Vhd)),
    (0, b"vhdxfile", Magic::Disk(DiskFormat::Vhdx)),
    (0x40, b"\x7f\x10\xda\xbe", Magic::Disk(DiskFormat::Vdi)),
    (0, b"QED\0", Magic::Foreign(&QED)),
    (0, b"WithoutFreeSpace", Magic::Foreign(&PARALLELS)),
    (0, b"WithouFreSpacExt", Magic::Foreign(&PARALLELS)),
    (257, b"ustar", Magic::Archive(Archive::Tar)),
    (0, b"PK\x03\x04", Magic::Archive(Archive::Zip)),
    (0, b"\x1f\x8b\x08", Magic::Archive(Archive::Compressed(Compression::Gzip))),
    (0, b"\xfd7zXZ\0", Magic::Archive(Archive::Compressed(Compression::Xz))),
    (0, b"BZh", Magic::Archive(Archive::Compressed(Compression::Bzip2))),
    (0, b"\x28\xb5\x2f\xfd", Magic::Archive(Archive::Compressed(Compression::Zstd))),
    (0, b"7z\xbc\xaf\x27\x1c", Magic::Foreign(&SEVEN_ZIP)),
];

/// First line of a VMDK's text descriptor (VMware Virtual Disk Format 5.0, "The Descriptor File").
const DESCRIPTOR: &[u8] = b"# Disk DescriptorFile";

/// What the bytes of `source` say.
pub fn of(source: &dyn BlockSource) -> Result<Magic> {
    let size = source.size();
    let mut head = vec![0; size.min(HEAD as u64) as usize];
    read_exact_at(source, 0, &mut head)?;
    let mut tail = vec![0; size.min(TAIL as u64) as usize];
    read_exact_at(source, size - tail.len() as u64, &mut tail)?;
    if size > HEAD as u64 && is_text(&head) && root_element(&text_of(&head)) == Root::Beyond {
        head = vec![0; size.min(PROLOGUE as u64) as usize];
        read_exact_at(source, 0, &mut head)?;
    }
    Ok(magic(&head, &tail))
}

/// What the first and the last bytes of a file say.
pub fn magic(head: &[u8], tail: &[u8]) -> Magic {
    for (offset, signature, magic) in SIGNATURES {
        if head.get(*offset..).is_some_and(|rest| rest.starts_with(signature)) {
            return *magic;
        }
    }
    if tail.len() == TAIL && tail.starts_with(b"conectix") {
        return Magic::VhdFooter;
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    if text.get(..DESCRIPTOR.len()).is_some_and(|line| line.eq_ignore_ascii_case(DESCRIPTOR)) {
        return Magic::Disk(DiskFormat::Vmdk);
    }
    if is_text(head) {
        let text = text_of(head);
        return match root_element(&text) {
            Root::Element("Envelope") => Magic::Ovf,
            Root::Element(_) | Root::Beyond if text.trim_start().starts_with("<?xml") => Magic::Foreign(&XML),
            _ => Magic::Text,
        };
    }
    if head.iter().all(|byte| *byte == 0) {
        return Magic::Zeros;
    }
    if head.first_chunk().is_some_and(sums_up) {
        return Magic::Archive(Archive::Tar);
    }
    Magic::Unknown(head.get(510..512) == Some(b"\x55\xaa"))
}

/// The beginning of a text: UTF-16 by its byte order mark, else UTF-8. What is neither, or cut in the midst of a character, is replaced.
fn text_of(head: &[u8]) -> std::borrow::Cow<'_, str> {
    let encoding = encoding_rs::Encoding::for_bom(head).map_or(encoding_rs::UTF_8, |(encoding, _)| encoding);
    encoding.decode_with_bom_removal(head).0
}

/// Whether all of it could be typed: no control characters but white space, or the byte order mark of UTF-16.
fn is_text(head: &[u8]) -> bool {
    let utf16 = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
    utf16 || head.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || b"\t\n\r\x0b\x0c\x1b".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: usize, bytes: &[u8]) -> Vec<u8> {
        let mut head = vec![0; 1024];
        head[offset..offset + bytes.len()].copy_from_slice(bytes);
        head
    }

    fn utf16(text: &str) -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect()
    }

    #[test]
    fn every_signature_is_recognised() {
        for (head, expected) in [
            (at(0, b"KDMV\x01"), Magic::Disk(DiskFormat::Vmdk)),
            (at(0, b"COWD\x01"), Magic::Disk(DiskFormat::Vmdk)),
            (at(0, &0xcafe_babe_u64.to_le_bytes()), Magic::Disk(DiskFormat::Vmdk)),
            (b"\xef\xbb\xbf\r\n# disk descriptorfile\r\nversion=1".to_vec(), Magic::Disk(DiskFormat::Vmdk)),
            (at(0, b"QFI\xfb\0\0\0\x03"), Magic::Disk(DiskFormat::Qcow2)),
            (at(0, b"conectix"), Magic::Disk(DiskFormat::Vhd)),
            (at(0, b"vhdxfile"), Magic::Disk(DiskFormat::Vhdx)),
            (at(0x40, &0xbeda_107f_u32.to_le_bytes()), Magic::Disk(DiskFormat::Vdi)),
            (at(257, b"ustar\x0000"), Magic::Archive(Archive::Tar)),
            (at(0, b"PK\x03\x04"), Magic::Archive(Archive::Zip)),
            (at(0, b"\x1f\x8b\x08"), Magic::Archive(Archive::Compressed(Compression::Gzip))),
            (at(0, b"\xfd7zXZ\0"), Magic::Archive(Archive::Compressed(Compression::Xz))),
            (b"<?xml version='1.0'?>\n<ovf:Envelope xmlns=''>".to_vec(), Magic::Ovf),
            (b"<?xml version='1.0'?>\n<Envelope\r\n xmlns=''>".to_vec(), Magic::Ovf),
            (b"\xef\xbb\xbf<!-- a -->\n<Envelope>".to_vec(), Magic::Ovf),
            (utf16("<?xml version='1.0'?><ovf:Envelope\txmlns=''>"), Magic::Ovf),
            (b"<?xml version='1.0'?>\n<domain/>".to_vec(), Magic::Foreign(&XML)),
            (b"<?xml version='1.0'?>\n<!-- <Envelope > --><domain/>".to_vec(), Magic::Foreign(&XML)),
            (b"memsize = \"1\"\n".to_vec(), Magic::Text),
            (at(510, b"\x55\xaa"), Magic::Unknown(true)),
            (at(3, b"x"), Magic::Unknown(false)),
            (vec![0; 512], Magic::Zeros),
        ] {
            assert_eq!(magic(&head, &[]), expected);
        }
        assert_eq!(magic(&[0; 512], &at(0, b"conectix")[..TAIL]), Magic::VhdFooter);
    }
}

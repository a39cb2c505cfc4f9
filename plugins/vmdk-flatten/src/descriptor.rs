//! The text descriptor: parsed from bytes into what a link needs to know.
//!
//! Format: "Virtual Disk Format 5.0", section "The Descriptor File". Keys are case-insensitive, spaces occur around `=`, lines end
//! in LF or CRLF, names are in the declared encoding. Opens no files; extent lines are parsed in `extent_line.rs`.

use vmdk2kvm_plugin_api::Result;

use crate::create_type::CreateType;
use crate::extent_line::{self, ExtentLine};
use crate::fault::{CLONE_FIRST, damaged, shown, unusable};
use crate::names::decode;
use crate::storage::SECTOR;

/// The longest descriptor that is read, in bytes. A 62 TiB disk in 2 GiB pieces with long names takes 3 MiB.
pub const LONGEST: u64 = 4 << 20;

/// The largest number of extents of one link.
pub const MOST_EXTENTS: usize = 100_000;

/// The largest capacity accepted, in bytes. VMware's own limit is 62 TiB.
pub const LARGEST_DISK: u64 = 64 << 40;

/// The `parentCID` of a disk without a parent.
const NO_PARENT: u32 = 0xffff_ffff;

/// What a descriptor says.
#[derive(Debug)]
pub struct Descriptor {
    /// The subformat.
    pub create_type: CreateType,
    /// Content id; very old and some foreign descriptors have none.
    pub cid: Option<u32>,
    /// The `parentCID` line as it stands, `ffffffff` included.
    pub parent_cid: Option<u32>,
    /// What the disk is a snapshot of.
    pub parent: Option<Parent>,
    /// The extents in the order of the disk; at least one.
    pub extents: Vec<ExtentLine>,
    /// Sum of the extents, in bytes.
    pub capacity: u64,
    /// `ddb.uuid` as a guest that was shown it saw it: 32 hexadecimal digits. `None`: there is none, or two that differ.
    pub serial: Option<String>,
}

/// A reference to a parent disk.
#[derive(Debug, PartialEq, Eq)]
pub struct Parent {
    /// The content id that the parent must have.
    pub cid: u32,
    /// `parentFileNameHint`: where the parent was.
    pub name: String,
}

/// Whether the first bytes of a file are a descriptor's.
pub fn looks_like_text(head: &[u8]) -> bool {
    let (text, _) = split_at_zero(head);
    let lower = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).to_ascii_lowercase();
    let has = |word: &[u8]| lower.windows(word.len()).any(|window| window == word);
    has(b"disk descriptorfile") || (has(b"version") && has(b"cid"))
}

/// The text before the first zero byte, and what lies behind it. Writers fill a descriptor up with zero bytes.
pub fn split_at_zero(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| *byte == 0).unwrap_or(text.len()))
}

/// Settings of a descriptor that matter, as they stand.
#[derive(Default)]
struct Settings<'a> {
    encoding: Option<&'a [u8]>,
    cid: Option<&'a [u8]>,
    parent_cid: Option<&'a [u8]>,
    create_type: Option<&'a [u8]>,
    hint: Option<&'a [u8]>,
    filters: Option<&'a [u8]>,
}

impl<'a> Settings<'a> {
    fn slot(&mut self, key: &[u8]) -> Option<&mut Option<&'a [u8]>> {
        match key.to_ascii_lowercase().as_slice() {
            b"encoding" => Some(&mut self.encoding),
            b"cid" => Some(&mut self.cid),
            b"parentcid" => Some(&mut self.parent_cid),
            b"createtype" => Some(&mut self.create_type),
            b"parentfilenamehint" => Some(&mut self.hint),
            b"ddb.iofilters" => Some(&mut self.filters),
            _ => None,
        }
    }
}

impl Descriptor {
    /// Parses the text of `object`'s descriptor.
    pub fn parse(object: &str, text: &[u8]) -> Result<Self> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut settings = Settings::default();
        let (mut lines, mut serials) = (Vec::new(), Vec::new());
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            if extent_line::is_extent(line) {
                if lines.len() == MOST_EXTENTS {
                    return Err(unusable(object, format_args!("its descriptor has more than {MOST_EXTENTS} extents"))
                        .hint(CLONE_FIRST));
                }
                lines.push((index + 1, line));
            } else if let Some(at) = line.iter().position(|byte| *byte == b'=') {
                let key = line[..at].trim_ascii();
                let value = unquoted(line[at + 1..].trim_ascii());
                if let Some(slot) = settings.slot(key) {
                    // Two readers would disagree on which line counts.
                    if slot.is_some_and(|first| first != value) {
                        let key = String::from_utf8_lossy(key).into_owned();
                        return Err(unusable(
                            object,
                            format_args!("its descriptor has two {} lines that differ", shown(&key)),
                        ));
                    }
                    *slot = Some(value);
                } else if key.eq_ignore_ascii_case(b"ddb.uuid") {
                    serials.extend(serial(value));
                }
            } else {
                return Err(damaged(
                    object,
                    format_args!("line {} of its descriptor is neither a comment, a setting nor an extent", index + 1),
                ));
            }
        }
        let mut descriptor = Self::resolve(object, &settings, &lines)?;
        serials.dedup();
        // Nothing is read by it, so that two of them refuse nothing.
        descriptor.serial = serials.pop().filter(|_| serials.is_empty());
        Ok(descriptor)
    }

    fn resolve(object: &str, settings: &Settings<'_>, lines: &[(usize, &[u8])]) -> Result<Self> {
        let filters = String::from_utf8_lossy(settings.filters.unwrap_or_default()).to_ascii_lowercase();
        if filters.contains("vmwarevmcrypt") {
            return Err(unusable(object, "the disk is encrypted by VMware")
                .hint("decrypt the virtual machine in VMware (change its storage policy), then try again"));
        }
        let encoding = settings.encoding.map(String::from_utf8_lossy);
        let create_type = String::from_utf8_lossy(settings.create_type.unwrap_or_default()).into_owned();
        if create_type.is_empty() {
            return Err(damaged(object, "its descriptor has no createType"));
        }
        let create_type = CreateType::parse(object, &create_type)?;
        let cid = settings.cid.map(|value| content_id(object, "CID", value)).transpose()?;
        let parent_cid = settings.parent_cid.map(|value| content_id(object, "parentCID", value)).transpose()?;
        let hint = match settings.hint {
            Some(bytes) if !bytes.is_empty() => Some(decode(object, bytes, encoding.as_deref())?),
            _ => None,
        };
        let extents = lines
            .iter()
            .map(|(number, line)| extent_line::parse(object, *number, line, encoding.as_deref()))
            .collect::<Result<Vec<_>>>()?;
        if extents.is_empty() {
            return Err(damaged(object, "its descriptor names no extents"));
        }
        let capacity = extents
            .iter()
            .try_fold(0u64, |sum, extent| sum.checked_add(extent.sectors))
            .and_then(|sectors| sectors.checked_mul(SECTOR))
            .filter(|bytes| *bytes <= LARGEST_DISK)
            .ok_or_else(|| {
                unusable(object, format_args!("its extents add up to more than {} TiB", LARGEST_DISK >> 40))
                    .hint(CLONE_FIRST)
            })?;
        let parent = parent(object, parent_cid, hint)?;
        Ok(Self { create_type, cid, parent_cid, parent, extents, capacity, serial: None })
    }
}

/// The reference to a parent. A descriptor that half says that there is one is refused: reading it without its parent would
/// give zeros in place of the parent's data.
fn parent(object: &str, cid: Option<u32>, hint: Option<String>) -> Result<Option<Parent>> {
    let cid = cid.filter(|cid| *cid != NO_PARENT);
    match (cid, hint) {
        (None, None) => Ok(None),
        (Some(cid), Some(name)) => Ok(Some(Parent { cid, name })),
        (Some(cid), None) => Err(unusable(
            object,
            format_args!("it is a snapshot of a disk with content id {cid:08x}, but does not name that disk's file"),
        )
        .hint("add the line parentFileNameHint=\"FILE\" to its descriptor")),
        (None, Some(name)) => Err(unusable(
            object,
            format_args!("it names {} as its parent, but its parentCID says that it has none", shown(&name)),
        )
        .hint("remove the line parentFileNameHint from its descriptor, or correct parentCID")),
    }
}

fn content_id(object: &str, key: &str, value: &[u8]) -> Result<u32> {
    std::str::from_utf8(value)
        .ok()
        .filter(|text| text.len() <= 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .and_then(|text| u32::from_str_radix(text, 16).ok())
        .ok_or_else(|| {
            let value = String::from_utf8_lossy(value).into_owned();
            damaged(object, format_args!("its {key} {} is not a hexadecimal number of 32 bits", shown(&value)))
        })
}

/// The serial number of a `ddb.uuid` as VMware writes it: `60 00 C2 9a b4 1b 2c 3d-4e 5f 60 71 82 93 a4 b5`.
fn serial(value: &[u8]) -> Option<String> {
    let digits: Vec<u8> = value.iter().copied().filter(|byte| !b" -".contains(byte)).collect();
    let digits = String::from_utf8(digits).ok()?.to_ascii_lowercase();
    (digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(digits)
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extent_line::{Place, SparseFormat};

    #[test]
    fn spaces_case_crlf_and_encodings() {
        let text = b"# Disk DescriptorFile\r\nversion=1\r\nEncoding = \"windows-1252\"\r\nCid = 00abCDef \r\nPARENTCID=12345678\r\n\
            isNativeSnapshot=\"no\"\r\ncreateTYPE = \"TwoGBMaxExtentSparse\"\r\nparentFileNameHint = \"M\xfcller.vmdk\"\r\n\r\n\
            # Extents\r\n  rw 100 sparse \"a=b.vmdk\"\r\nRDONLY 28 ZERO\r\n\r\n#DDB\r\nddb.adapterType = \"lsilogic\"\r\n";
        let parsed = Descriptor::parse("d", text).unwrap();
        assert_eq!(parsed.create_type.as_str(), "twoGbMaxExtentSparse");
        assert_eq!(parsed.cid, Some(0x00ab_cdef));
        assert_eq!(parsed.parent, Some(Parent { cid: 0x1234_5678, name: "Müller.vmdk".into() }));
        assert_eq!(parsed.capacity, 128 * 512);
        assert_eq!(parsed.extents[0].place, Place::Sparse { name: "a=b.vmdk".into(), format: SparseFormat::Hosted });
        assert_eq!(parsed.extents[1].place, Place::Zero);
    }

    #[test]
    fn faults_are_named() {
        let base =
            "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"vmfs\"\nRW 8 VMFS \"a\"\n";
        assert!(Descriptor::parse("d", base.as_bytes()).is_ok());
        let cases = [
            ("CID=1\n", "CID=1\nCID=2\n", "d: its descriptor has two CID lines that differ"),
            ("CID=1\n", "CID=123456789\n", "d: its CID 123456789 is not a hexadecimal number of 32 bits"),
            ("CID=1\n", "CID=+1\n", "d: its CID +1 is not a hexadecimal number of 32 bits"),
            ("createType=\"vmfs\"\n", "", "d: its descriptor has no createType"),
            ("RW 8 VMFS \"a\"\n", "", "d: its descriptor names no extents"),
            ("version=1\n", "version 1\n", "d: line 2 of its descriptor is neither a comment, a setting nor an extent"),
            ("RW 8 ", "RW 999999999999 ", "d: its extents add up to more than 64 TiB"),
            (
                "parentCID=ffffffff",
                "parentCID=2",
                "d: it is a snapshot of a disk with content id 00000002, but does not name that disk's file",
            ),
            (
                "version=1",
                "parentFileNameHint=p\u{1b}",
                "d: it names p\\u{1b} as its parent, but its parentCID says that it has none",
            ),
            ("version=1", "ddb.iofilters = \"vmwarevmcrypt\"", "d: the disk is encrypted by VMware"),
            (
                "\"vmfs\"",
                "\"vmfsRawDeviceMap\"",
                "d: createType vmfsRawDeviceMap cannot be read: it maps a raw device of the storage (RDM), and the data is not in this file",
            ),
            (
                "\"vmfs\"",
                "\"custom\"",
                "d: createType custom cannot be read: its parts are arranged by hand, often on devices",
            ),
            ("\"vmfs\"", "\"vmfs2\"", "d: createType vmfs2 is not known"),
        ];
        for (from, to, expected) in cases {
            let text = base.replace(from, to);
            assert_eq!(Descriptor::parse("d", text.as_bytes()).unwrap_err().message, expected, "{text}");
        }
        let many = base.to_owned() + &"RW 1 ZERO\n".repeat(MOST_EXTENTS);
        assert_eq!(
            Descriptor::parse("d", many.as_bytes()).unwrap_err().message,
            "d: its descriptor has more than 100000 extents"
        );
    }

    #[test]
    fn the_serial_is_that_of_ddb_uuid() {
        let base = "# Disk DescriptorFile\nCID=1\ncreateType=\"vmfs\"\nRW 8 VMFS \"a\"\n";
        let uuid = "ddb.uuid = \"60 00 C2 9f 0b 1c 2d 3e-4f 5a 6b 7c 8d 9e 0f 1a\"\n";
        let serial = |lines: &str| Descriptor::parse("d", format!("{base}{lines}").as_bytes()).unwrap().serial;
        let expected = Some("6000c29f0b1c2d3e4f5a6b7c8d9e0f1a".to_owned());
        assert_eq!(serial(uuid), expected);
        assert_eq!(serial(&format!("{uuid}DDB.UUID=\"6000C29f0b1c2d3e4f5a6b7c8d9e0f1a\"\n")), expected);
        assert_eq!(serial("ddb.uuid = \"60 00\"\n"), None);
        assert_eq!(serial("ddb.uuid.image = \"6000C29f0b1c2d3e4f5a6b7c8d9e0f1a\"\n"), None);
        assert_eq!(serial(&format!("{uuid}{}", uuid.replace("1a", "1b"))), None);
    }

    #[test]
    fn text_is_told_from_other_files() {
        assert!(looks_like_text(b"# Disk DescriptorFile\nversion=1\n"));
        assert!(looks_like_text(b"version = 1\ncid=fffffffe\n\0\0\0"));
        assert!(!looks_like_text(b"\0\0# Disk DescriptorFile"));
        assert!(!looks_like_text(b"hello"));
    }
}

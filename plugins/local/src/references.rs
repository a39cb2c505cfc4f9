//! Which other files of its folder a disk file names, as far as a glance tells.
//!
//! Serves two questions: which of a folder's disk files is the head of the chain, and which are extents and parents of others; and
//! whether a disk is the delta that its package says it is. Not a reader of these formats: what is read here decides nothing else.

use std::collections::BTreeSet;

use vmdk2kvm_plugin_api::{BlockSource, Result, read_exact_at};

use crate::magic::{self, DiskFormat, Magic};
use crate::object::Object;

/// The most text of a descriptor that is looked at; a longer one has thousands of extents, whose names differ in a number.
const MAX_TEXT: u64 = 1 << 20;
const SECTOR: u64 = 512;

/// The last parts, in lower case, of the names that the disk file mentions.
pub fn mentioned(source: &Object, format: DiskFormat) -> Result<BTreeSet<String>> {
    let text = match format {
        // A VHD's parent lies in a table that is not worth a glance; VDI and VHDX chains are refused.
        DiskFormat::Raw | DiskFormat::Vhd | DiskFormat::Vhdx | DiskFormat::Vdi => return Ok(BTreeSet::new()),
        DiskFormat::Qcow2 => return Ok(backing(source)?.iter().map(|name| last_part(name)).collect()),
        DiskFormat::Vmdk => descriptor(source)?,
    };
    Ok(text.lines().filter_map(name_in).map(last_part).collect())
}

/// Whether the disk says that it is a delta on another one; `false` for formats that are not looked into.
pub fn is_delta(source: &Object) -> Result<bool> {
    Ok(match magic::of(source)? {
        Magic::Disk(DiskFormat::Qcow2) => backing(source)?.is_some(),
        Magic::Disk(DiskFormat::Vmdk) => {
            let text = descriptor(source)?;
            let ids = text.lines().filter_map(|line| line.split_once('=')).filter(|(key, _)| is_key(key, "parentCID"));
            ids.map(|(_, id)| id).any(|id| !id.trim().eq_ignore_ascii_case("ffffffff"))
        }
        _ => false,
    })
}

/// Whether the disk has an extent of this name in a file beside it.
pub fn has_extent(source: &Object, name: &str) -> Result<bool> {
    let mut head = vec![0; source.size().min(SECTOR) as usize];
    read_exact_at(source, 0, &mut head)?;
    // A sparse disk that holds data is its own extent, whatever its descriptor calls it.
    let own = head.starts_with(b"KDMV") && u64_at(&head, 12, u64::from_le_bytes) > 0;
    if own || magic::of(source)? != Magic::Disk(DiskFormat::Vmdk) {
        return Ok(false);
    }
    Ok(descriptor(source)?.lines().filter(|line| is_extent(line)).filter_map(name_in).any(|extent| extent == name))
}

/// The text descriptor: the whole file, or what the header of a sparse file says (Virtual Disk Format 5.0: magic, version and
/// flags of 4 bytes each, then capacity, grainSize, descriptorOffset, descriptorSize of 8 bytes each, in sectors).
fn descriptor(source: &Object) -> Result<String> {
    let size = source.size();
    let mut head = vec![0; size.min(SECTOR) as usize];
    read_exact_at(source, 0, &mut head)?;
    let (offset, length) = if head.starts_with(b"KDMV") {
        (
            u64_at(&head, 28, u64::from_le_bytes).saturating_mul(SECTOR),
            u64_at(&head, 36, u64::from_le_bytes).saturating_mul(SECTOR),
        )
    } else if head.starts_with(b"COWD") || head.starts_with(b"\xbe\xba\xfe\xca") {
        (0, 0)
    } else {
        (0, size)
    };
    let mut text = vec![0; length.min(MAX_TEXT).min(size.saturating_sub(offset)) as usize];
    if !text.is_empty() {
        read_exact_at(source, offset, &mut text)?;
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The name in an extent line (`RW 100 FLAT "x-flat.vmdk" 0`) or a `parentFileNameHint`.
fn name_in(line: &str) -> Option<&str> {
    let parent = is_key(line.split('=').next()?, "parentFileNameHint");
    if is_extent(line) || parent { line.split('"').nth(1) } else { None }
}

fn is_extent(line: &str) -> bool {
    let access = line.split_ascii_whitespace().next().unwrap_or_default();
    ["RW", "RDONLY", "NOACCESS"].iter().any(|word| word.eq_ignore_ascii_case(access))
}

fn is_key(text: &str, key: &str) -> bool {
    text.trim().eq_ignore_ascii_case(key)
}

/// The backing name of a QCOW2: offset at byte 8, length at byte 16, big-endian, at most 1023 bytes.
fn backing(source: &Object) -> Result<Option<String>> {
    let mut head = vec![0; source.size().min(SECTOR) as usize];
    read_exact_at(source, 0, &mut head)?;
    let offset = u64_at(&head, 8, u64::from_be_bytes);
    let length = u64_at(&head, 12, u64::from_be_bytes) & 0xffff_ffff;
    if offset == 0 || length > 1023 || offset.checked_add(length).is_none_or(|end| end > source.size()) {
        return Ok(None);
    }
    let mut name = vec![0; length as usize];
    read_exact_at(source, offset, &mut name)?;
    Ok(Some(String::from_utf8_lossy(&name).into_owned()))
}

fn u64_at(bytes: &[u8], at: usize, order: fn([u8; 8]) -> u64) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, order)
}

fn last_part(name: &str) -> String {
    name.rsplit(['/', '\\']).next().unwrap_or(name).to_lowercase()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;
    use crate::file_source::FileSource;

    fn of(bytes: &[u8], format: DiskFormat) -> Vec<String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let source = FileSource::new(File::open(file.path()).unwrap(), "x".into()).unwrap();
        let source = Object::new(std::sync::Arc::new(source), "x".into());
        mentioned(&source, format).unwrap().into_iter().collect()
    }

    #[test]
    fn extents_parents_and_backings_are_found() {
        let text = "# Disk DescriptorFile\r\nparentFileNameHint=\"../base/Web.vmdk\"\r\nRW 1 SPARSE \"web-000001-s001.vmdk\"\r\n";
        assert_eq!(of(text.as_bytes(), DiskFormat::Vmdk), ["web-000001-s001.vmdk", "web.vmdk"]);

        let mut sparse = b"KDMV".to_vec();
        sparse.resize(2048, 0);
        sparse[28] = 1;
        sparse[36] = 2;
        sparse[512..512 + 29].copy_from_slice(b"parentFileNameHint = \"a.vmdk\"");
        assert_eq!(of(&sparse, DiskFormat::Vmdk), ["a.vmdk"]);
        sparse[28..44].fill(0xff);
        assert!(of(&sparse, DiskFormat::Vmdk).is_empty());

        let mut qcow2 = b"QFI\xfb\0\0\0\x03".to_vec();
        qcow2.extend(200u64.to_be_bytes());
        qcow2.extend(9u32.to_be_bytes());
        qcow2.resize(200, 0);
        qcow2.extend(b"base.img!");
        assert_eq!(of(&qcow2, DiskFormat::Qcow2), ["base.img!"]);
        qcow2[16..20].fill(0xff);
        assert!(of(&qcow2, DiskFormat::Qcow2).is_empty());
        assert!(of(b"QFI\xfb", DiskFormat::Qcow2).is_empty());
    }
}

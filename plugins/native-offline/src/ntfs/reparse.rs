//! Reparse points: links, and files whose content somebody else than NTFS gives.

use vmdk2kvm_plugin_api::Result;

use super::record::units;
use crate::bytes::{damaged, le16, le32};
use crate::tree::MAX_TARGET;

/// A junction, and what is mounted in a folder.
const MOUNT_POINT: u32 = 0xa000_0003;
/// A symlink.
const SYMLINK: u32 = 0xa000_000c;
/// Most bytes of a reparse point.
pub const MAX_BYTES: u64 = 16 << 10;

/// Whether a kind of reparse points is a link to another place.
pub fn is_link(tag: u32) -> bool {
    matches!(tag, MOUNT_POINT | SYMLINK)
}

/// The kind of a reparse point.
pub fn tag(raw: &[u8]) -> Result<u32> {
    if raw.len() < 8 || usize::from(le16(raw, 4)) != raw.len() - 8 {
        return Err(damaged("a reparse point is damaged"));
    }
    Ok(le32(raw, 0))
}

/// Where a link leads: `\` as `/`, and a drive by its letter at the top, as in `/C:/Users`.
pub fn target(raw: &[u8]) -> Result<String> {
    let bad = || damaged("a link is damaged");
    let kind = tag(raw)?;
    // A symlink has its flags before the names.
    let names = if kind == SYMLINK { 20 } else { 16 };
    let (at, length) = (names + usize::from(le16(raw, 8)), usize::from(le16(raw, 10)));
    let name = raw.get(at..at + length).filter(|name| name.len() % 2 == 0 && raw.len() >= names).ok_or_else(bad)?;
    let name = String::from_utf16(&units(name)).map_err(|_| bad())?;
    if name.is_empty() || name.contains('\0') {
        return Err(bad());
    }
    let is_relative = kind == SYMLINK && le32(raw, 16) & 1 != 0;
    let path = name.strip_prefix("\\??\\").unwrap_or(&name).replace('\\', "/");
    let path = if is_relative || path.starts_with('/') { path } else { format!("/{path}") };
    if path.len() as u64 > MAX_TARGET { Err(bad()) } else { Ok(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(kind: u32, flags: Option<u32>, name: &str) -> Vec<u8> {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let length = name.len() as u16;
        let mut body = [0, length, length, 0].map(u16::to_le_bytes).concat();
        body.extend(flags.map(u32::to_le_bytes).into_iter().flatten());
        body.extend(name);
        [&kind.to_le_bytes()[..], &(body.len() as u16).to_le_bytes(), &[0, 0], &body].concat()
    }

    #[test]
    fn targets_are_paths() {
        for (raw, wanted) in [
            (link(MOUNT_POINT, None, "\\??\\C:\\Users"), "/C:/Users"),
            (link(SYMLINK, Some(0), "\\??\\D:\\Data\\x"), "/D:/Data/x"),
            (link(SYMLINK, Some(1), "..\\etc\\hosts"), "../etc/hosts"),
            (link(SYMLINK, Some(1), "\\Windows"), "/Windows"),
            (link(MOUNT_POINT, None, "\\??\\Volume{1}\\"), "/Volume{1}/"),
        ] {
            assert_eq!(target(&raw).unwrap(), wanted);
            assert!(is_link(tag(&raw).unwrap()));
        }
        for cut in [7, 12, 15] {
            assert!(target(&link(SYMLINK, Some(1), "a")[..cut]).is_err());
        }
        assert!(!is_link(0x8000_0017));
    }
}

//! Which filesystem or container begins at a device, with its UUID and label, named as `blkid` names them.
//!
//! Offsets are those of the formats' own headers: ext (fs/ext4/ext4.h of Linux), XFS (xfs_format.h), btrfs (btrfs_tree.h), swap
//! (swap.h), FAT and exFAT (Microsoft's specifications), NTFS, LUKS (on-disk format 1.2.3 and 2), LVM2 (lib/format_text), MD
//! (md_p.h), F2FS (f2fs_fs.h), ReiserFS, JFS, SquashFS (squashfs_fs.h), EROFS (erofs_fs.h), dm-verity (Documentation of cryptsetup).

use super::bytes::{has, le16, le32, le64, text, utf16, uuid};

/// Bytes from the start of a device that [`Superblock::read`] looks at.
pub const WINDOW: u32 = 72 << 10;

/// What begins at a device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Superblock {
    /// `ext4`, `vfat`, `LVM2_member`, `crypto_LUKS`, ...
    pub fstype: String,
    /// UUID of the filesystem or container, as `blkid` prints it.
    pub uuid: Option<String>,
    /// Label.
    pub label: Option<String>,
    /// Size in bytes that a filesystem says it has; 0 when it is not known.
    pub size: u64,
    /// What a filesystem says about its own state.
    pub health: Health,
    /// Where it says that it was mounted last.
    pub last_mounted: Option<String>,
}

/// What a filesystem says about its own state. Nothing is checked for it: a check of a large filesystem takes longer than its copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// Nothing that is wrong.
    #[default]
    Fine,
    /// It was in use: its journal has to be replayed, or it was not unmounted.
    InUse,
    /// Its kernel noticed errors, and nobody has checked it since.
    Errors,
}

impl Superblock {
    /// Reads what begins at these bytes; `None` when nothing is recognised.
    pub fn read(start: &[u8]) -> Option<Self> {
        // Containers first: what they hold may look like a filesystem at the same offset. FAT last: its magic is the weakest.
        [
            luks, lvm, md, verity, squashfs, erofs, btrfs, xfs, ext, swap, f2fs, reiserfs, jfs, bitlocker, ntfs, exfat,
            fat,
        ]
        .into_iter()
        .find_map(|reader| reader(start))
    }

    fn with_health(self, health: Health) -> Self {
        Self { health, ..self }
    }

    fn sized(mut self, size: Option<u64>) -> Self {
        self.size = size.unwrap_or(0);
        self
    }
}

fn found(fstype: &str, uuid: Option<String>, label: Option<String>) -> Option<Superblock> {
    Some(Superblock { fstype: fstype.to_owned(), uuid, label, ..Superblock::default() })
}

fn ext(start: &[u8]) -> Option<Superblock> {
    if le16(start, 1024 + 0x38)? != 0xef53 {
        return None;
    }
    let (compat, incompat, ro_compat) =
        (le32(start, 1024 + 0x5c)?, le32(start, 1024 + 0x60)?, le32(start, 1024 + 0x64)?);
    // What ext3's driver could mount: filetype, needs-recovery, meta-bg; sparse-super, large-file, btree-dir.
    let old = incompat & !0x16 == 0 && ro_compat & !0x7 == 0;
    let fstype = match (incompat & 0x8 != 0, old, compat & 0x4 != 0) {
        (true, ..) => "jbd",
        (_, true, true) => "ext3",
        (_, true, false) => "ext2",
        (_, false, _) => "ext4",
    };
    let size = le32(start, 1024 + 0x18).zip(le32(start, 1024 + 0x4)).and_then(|(log, blocks)| {
        // The high half of the count is beyond what any VM's disk has with 4 KiB blocks.
        u64::from(blocks).checked_mul(1024u64.checked_shl(log)?)
    });
    // s_state: bit 0 unmounted cleanly, bit 1 errors; "recover" among the incompatible features: a journal to replay.
    let state = le16(start, 1024 + 0x3a)?;
    let health = match (state & 0x2 != 0, incompat & 0x4 != 0 || state & 0x1 == 0) {
        (true, _) => Health::Errors,
        (false, true) => Health::InUse,
        (false, false) => Health::Fine,
    };
    let found = found(fstype, uuid(start, 1024 + 0x68), text(start, 1024 + 0x78, 16))?;
    let last_mounted = text(start, 1024 + 0x88, 64);
    Some(Superblock { last_mounted, ..found.sized(size).with_health(health) })
}

fn xfs(start: &[u8]) -> Option<Superblock> {
    if !has(start, 0, b"XFSB") {
        return None;
    }
    let big = |at: usize, length: usize| {
        start.get(at..at + length).map(|raw| raw.iter().fold(0u64, |all, byte| all << 8 | u64::from(*byte)))
    };
    let size = big(4, 4).zip(big(8, 8)).and_then(|(block, blocks)| block.checked_mul(blocks));
    Some(found("xfs", uuid(start, 32), text(start, 108, 12))?.sized(size))
}

fn btrfs(start: &[u8]) -> Option<Superblock> {
    if !has(start, 0x10040, b"_BHRfS_M") {
        return None;
    }
    // log_root: a log tree that the next mount replays.
    let health = if le64(start, 0x10060)? == 0 { Health::Fine } else { Health::InUse };
    let found = found("btrfs", uuid(start, 0x10020), text(start, 0x1012b, 256))?;
    Some(found.sized(le64(start, 0x10070)).with_health(health))
}

fn swap(start: &[u8]) -> Option<Superblock> {
    // The magic ends the first page, whose size is the guest's processor's.
    [4096usize, 8192, 16384, 32768, 65536].into_iter().find_map(|page| {
        let magic = start.get(page - 10..page)?;
        let fstype = match magic {
            b"SWAPSPACE2" => "swap",
            // A hibernated system: its memory is in there.
            _ if magic.starts_with(b"S1SUSPEND")
                || magic.starts_with(b"S2SUSPEND")
                || magic.starts_with(b"ULSUSPEND") =>
            {
                "swsuspend"
            }
            _ => return None,
        };
        found(fstype, uuid(start, 1036), text(start, 1052, 16))
    })
}

fn luks(start: &[u8]) -> Option<Superblock> {
    if !has(start, 0, b"LUKS\xba\xbe") {
        return None;
    }
    let second = has(start, 6, &[0, 2]);
    found("crypto_LUKS", text(start, 168, 40), second.then(|| text(start, 24, 48)).flatten())
}

fn lvm(start: &[u8]) -> Option<Superblock> {
    let sector = (0..4)
        .map(|sector| sector * 512)
        .find(|at| has(start, *at, b"LABELONE") && has(start, at + 24, b"LVM2 001"))?;
    let at = sector.checked_add(usize::try_from(le32(start, sector + 20)?).ok()?)?;
    let raw = text(start, at, 32)?;
    if raw.len() != 32 || !raw.is_ascii() {
        return found("LVM2_member", None, None);
    }
    let mut parts = Vec::new();
    let mut rest = raw.as_str();
    for length in [6, 4, 4, 4, 4, 4, 6] {
        let (part, tail) = rest.split_at(length);
        parts.push(part);
        rest = tail;
    }
    found("LVM2_member", Some(parts.join("-")), None)
}

fn md(start: &[u8]) -> Option<Superblock> {
    let at = [0usize, 4096]
        .into_iter()
        .find(|at| le32(start, *at) == Some(0xa92b_4efc) && le32(start, at + 4) == Some(1))?;
    found("linux_raid_member", uuid(start, at + 16), text(start, at + 32, 32))
}

fn f2fs(start: &[u8]) -> Option<Superblock> {
    (le32(start, 1024)? == 0xf2f5_2010)
        .then(|| found("f2fs", uuid(start, 1024 + 108), utf16(start, 1024 + 124, 512)))?
}

fn reiserfs(start: &[u8]) -> Option<Superblock> {
    let magic = [&b"ReIsErFs"[..], b"ReIsEr2Fs", b"ReIsEr3Fs"];
    magic
        .iter()
        .any(|magic| has(start, 0x10034, magic))
        .then(|| found("reiserfs", uuid(start, 0x10054), text(start, 0x10064, 16)))?
}

fn jfs(start: &[u8]) -> Option<Superblock> {
    has(start, 0x8000, b"JFS1").then(|| found("jfs", uuid(start, 0x8088), text(start, 0x8098, 16)))?
}

fn squashfs(start: &[u8]) -> Option<Superblock> {
    has(start, 0, b"hsqs").then(|| found("squashfs", None, None))?.map(|block| block.sized(le64(start, 40)))
}

fn erofs(start: &[u8]) -> Option<Superblock> {
    (le32(start, 1024)? == 0xe0f5_e1e2).then(|| found("erofs", uuid(start, 1024 + 48), text(start, 1024 + 64, 16)))?
}

fn verity(start: &[u8]) -> Option<Superblock> {
    has(start, 0, b"verity\0\0").then(|| found("DM_verity_hash", uuid(start, 16), None))?
}

fn bitlocker(start: &[u8]) -> Option<Superblock> {
    has(start, 3, b"-FVE-FS-").then(|| found("BitLocker", None, None))?
}

fn ntfs(start: &[u8]) -> Option<Superblock> {
    has(start, 3, b"NTFS    ").then(|| found("ntfs", le64(start, 72).map(|serial| format!("{serial:016X}")), None))?
}

fn exfat(start: &[u8]) -> Option<Superblock> {
    has(start, 3, b"EXFAT   ").then(|| found("exfat", le32(start, 100).map(volume_id), None))?
}

fn fat(start: &[u8]) -> Option<Superblock> {
    let (serial, name) = if has(start, 82, b"FAT32   ") {
        (67, 71)
    } else if has(start, 54, b"FAT12   ") || has(start, 54, b"FAT16   ") || has(start, 54, b"FAT     ") {
        (39, 43)
    } else {
        return None;
    };
    found("vfat", le32(start, serial).map(volume_id), text(start, name, 11).filter(|label| label != "NO NAME"))
}

fn volume_id(serial: u32) -> String {
    format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff)
}

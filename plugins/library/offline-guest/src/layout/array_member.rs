//! Members of MD arrays whose superblock is at their end, so that their start looks like the array's filesystem: metadata 1.0 (an
//! EFI system partition or a `/boot` that a firmware or an old boot loader reads as if it were no array) and 0.90 (years ago, of
//! everything).
//!
//! Places and fields: Linux's `include/uapi/linux/raid/md_p.h`, and md(4).

use super::Superblock;
use super::bytes::{has, le32, le64, text, uuid};

/// Bytes at the end of a device that hold either superblock.
pub const TAIL: u32 = 128 << 10;

const MAGIC: &[u8] = &0xa92b_4efc_u32.to_le_bytes();

/// The member that the last [`TAIL`] bytes of a device of `length` bytes say it is.
pub fn at_end(tail: &[u8], length: u64) -> Option<Superblock> {
    let begin = length.checked_sub(tail.len() as u64)?;
    version_1_0(tail, begin, length).or_else(|| version_0_90(tail, begin, length))
}

/// At a multiple of 4 KiB, 8 KiB or a little more before the end.
fn version_1_0(tail: &[u8], begin: u64, length: u64) -> Option<Superblock> {
    let sector = (length / 512).checked_sub(16)? & !7;
    let at = usize::try_from((sector * 512).checked_sub(begin)?).ok()?;
    // It says itself where it is: what is left over of a larger device says another place.
    let is_here = has(tail, at, MAGIC) && le32(tail, at + 4)? == 1 && le64(tail, at + 144)? == sector;
    is_here.then(|| member(uuid(tail, at + 16), text(tail, at + 32, 32)))
}

/// At a multiple of 64 KiB, 64 to 128 KiB before the end.
fn version_0_90(tail: &[u8], begin: u64, length: u64) -> Option<Superblock> {
    let place = (length & !0xffff).checked_sub(0x1_0000)?;
    let at = usize::try_from(place.checked_sub(begin)?).ok()?;
    if !has(tail, at, MAGIC) || le32(tail, at + 4)? != 0 {
        return None;
    }
    // The last partition of a disk ends where the disk ends: a whole disk's superblock speaks of more than fits here.
    if u64::from(le32(tail, at + 32)?).checked_mul(1024)? > place {
        return None;
    }
    let words = [20, 52, 56, 60].map(|word| le32(tail, at + word));
    let mut raw = Vec::with_capacity(16);
    for word in words {
        raw.extend_from_slice(&word?.to_be_bytes());
    }
    Some(member(uuid(&raw, 0), None))
}

fn member(uuid: Option<String>, label: Option<String>) -> Superblock {
    Superblock { fstype: "linux_raid_member".to_owned(), uuid, label, ..Superblock::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: u64 = (100 << 20) + 5 * 512;

    /// The tail of a device with these words at these bytes of the superblock at `place`.
    fn tail(place: u64, words: &[(usize, u32)]) -> Vec<u8> {
        let mut tail = vec![0; TAIL as usize];
        let at = usize::try_from(place - (LENGTH - u64::from(TAIL))).unwrap();
        tail[at..at + 4].copy_from_slice(MAGIC);
        for (word, value) in words {
            tail[at + word..at + word + 4].copy_from_slice(&value.to_le_bytes());
        }
        tail
    }

    #[test]
    fn members_say_so_at_their_end() {
        let place = (LENGTH & !0xffff) - 0x1_0000;
        let size = u32::try_from(place / 1024).unwrap();
        let old = [(8, 90), (20, 0x1122_3344), (52, 0x5566_7788), (56, 0x99aa_bbcc), (60, 0xddee_ff00)];
        let found = at_end(&tail(place, &[&old[..], &[(32, size)]].concat()), LENGTH).unwrap();
        assert_eq!(found.fstype, "linux_raid_member");
        assert_eq!(found.uuid.as_deref(), Some("11223344-5566-7788-99aa-bbccddeeff00"));
        // That of the whole disk, of which this is the last partition.
        assert_eq!(at_end(&tail(place, &[&old[..], &[(32, size + 1)]].concat()), LENGTH), None);

        let sector = (LENGTH / 512 - 16) & !7;
        let here = [(4, 1), (144, u32::try_from(sector).unwrap()), (16, 7), (32, u32::from_le_bytes(*b"boot"))];
        let found = at_end(&tail(sector * 512, &here), LENGTH).unwrap();
        assert_eq!(found.uuid.as_deref(), Some("07000000-0000-0000-0000-000000000000"));
        assert_eq!(found.label.as_deref(), Some("boot"));
        assert_eq!(at_end(&tail(sector * 512, &[(4, 1), (144, 8)]), LENGTH), None);

        assert_eq!(at_end(&[0; TAIL as usize], LENGTH), None);
        assert_eq!(at_end(&[0; 100], 100), None);
        assert_eq!(at_end(&[0; 100], 10), None);
    }
}

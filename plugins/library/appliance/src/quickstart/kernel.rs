//! The ELF image inside a bzImage, which a machine can start without unpacking it first.
//!
//! Formats: Documentation/arch/x86/boot.rst of the kernel (`setup_sects`, `payload_offset`, `payload_length`); ELF-64; the note type
//! 18 of Xen's elfnote.h, `XEN_ELFNOTE_PHYS32_ENTRY`, from which QEMU takes the kernel's PVH entry.

use std::io::Read;

/// Largest unpacked kernel, in bytes.
const MAX_UNPACKED: u64 = 512 << 20;

/// The kernel inside of a bzImage, when QEMU can start it.
pub fn unpacked(packed: &[u8]) -> Option<Vec<u8>> {
    inflate(payload(packed)?).filter(|image| has_pvh_entry(image))
}

/// The packed kernel inside a bzImage of boot protocol 2.08 or later.
fn payload(image: &[u8]) -> Option<&[u8]> {
    if image.get(0x202..0x206)? != b"HdrS" || le16(image, 0x206)? < 0x208 {
        return None;
    }
    let setup_sectors = match image.get(0x1f1)? {
        0 => 4,
        sectors => usize::from(*sectors),
    };
    let begin = (setup_sectors + 1) * 512 + usize::try_from(le32(image, 0x248)?).ok()?;
    let end = begin.checked_add(usize::try_from(le32(image, 0x24c)?).ok()?)?;
    image.get(begin..end)
}

fn inflate(payload: &[u8]) -> Option<Vec<u8>> {
    // The build appends the unpacked size as four bytes that are no part of the stream (gzip has them anyway).
    let stream = payload.get(..payload.len().checked_sub(4)?)?;
    let mut out = Vec::new();
    let read = match payload {
        [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            liblzma::read::XzDecoder::new(stream).take(MAX_UNPACKED).read_to_end(&mut out)
        }
        [0x1f, 0x8b, ..] => flate2::read::GzDecoder::new(payload).take(MAX_UNPACKED).read_to_end(&mut out),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            zstd::stream::read::Decoder::with_buffer(stream).ok()?.take(MAX_UNPACKED).read_to_end(&mut out)
        }
        // lz4, lzo and bzip2 kernels unpack fast enough or are not met.
        _ => return None,
    };
    read.ok()?;
    Some(out)
}

/// Whether an ELF-64 image has the note that gives QEMU its 32-bit entry.
fn has_pvh_entry(image: &[u8]) -> bool {
    segments(image).is_some_and(|mut notes| notes.any(|note| find_note(note, b"Xen\0", 18)))
}

/// The note segments (`PT_NOTE`) of an ELF-64 image.
fn segments(image: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    if image.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(le64(image, 0x20)?).ok()?;
    let (size, count) = (usize::from(le16(image, 0x36)?), usize::from(le16(image, 0x38)?));
    Some((0..count).filter_map(move |number| {
        let at = table.checked_add(number.checked_mul(size)?)?;
        if le32(image, at)? != 4 {
            return None;
        }
        let begin = usize::try_from(le64(image, at.checked_add(8)?)?).ok()?;
        let length = usize::try_from(le64(image, at.checked_add(32)?)?).ok()?;
        image.get(begin..begin.checked_add(length)?)
    }))
}

fn find_note(mut notes: &[u8], owner: &[u8], kind: u32) -> bool {
    let padded = |length: u32| usize::try_from(length).ok().map(|length| length.next_multiple_of(4));
    while let (Some(name), Some(data), Some(this)) = (le32(notes, 0), le32(notes, 4), le32(notes, 8)) {
        if this == kind && notes.get(12..12 + owner.len()) == Some(owner) {
            return true;
        }
        let next = padded(name)
            .zip(padded(data))
            .and_then(|(name, data)| notes.get(12usize.checked_add(name)?.checked_add(data)?..));
        let Some(next) = next else { return false };
        notes = next;
    }
    false
}

fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf_with_note(kind: u32) -> Vec<u8> {
        let mut image = vec![0u8; 0x100];
        image[..6].copy_from_slice(b"\x7fELF\x02\x01");
        image[0x20..0x28].copy_from_slice(&0x40u64.to_le_bytes());
        image[0x36..0x38].copy_from_slice(&56u16.to_le_bytes());
        image[0x38..0x3a].copy_from_slice(&1u16.to_le_bytes());
        image[0x40..0x44].copy_from_slice(&4u32.to_le_bytes());
        image[0x48..0x50].copy_from_slice(&0x80u64.to_le_bytes());
        image[0x60..0x68].copy_from_slice(&0x28u64.to_le_bytes());
        for (at, this) in [(0x80, 6), (0x94, kind)] {
            image[at..at + 4].copy_from_slice(&4u32.to_le_bytes());
            image[at + 4..at + 8].copy_from_slice(&4u32.to_le_bytes());
            image[at + 8..at + 12].copy_from_slice(&this.to_le_bytes());
            image[at + 12..at + 16].copy_from_slice(b"Xen\0");
        }
        image
    }

    #[test]
    fn only_a_kernel_with_a_pvh_entry_is_taken() {
        assert!(has_pvh_entry(&elf_with_note(18)));
        assert!(!has_pvh_entry(&elf_with_note(17)));
        assert!(!has_pvh_entry(b"\x7fELF\x02\x01"));
        assert!(!has_pvh_entry(b"MZ"));
        let mut endless = elf_with_note(17);
        endless[0x80..0x88].fill(0xff);
        assert!(!has_pvh_entry(&endless));
    }

    #[test]
    fn a_truncated_or_foreign_kernel_is_left_alone() {
        assert_eq!(payload(&[0; 0x300]), None);
        let mut image = vec![0u8; 0x1000];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
        image[0x1f1] = 1;
        image[0x248..0x24c].copy_from_slice(&0x10u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&0x20u32.to_le_bytes());
        assert_eq!(payload(&image).map(<[u8]>::len), Some(0x20));
        image[0x24c..0x250].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(payload(&image), None);
        assert_eq!(inflate(b"abc"), None);
        assert_eq!(inflate(b"\xfd7zXZ broken stream"), None);
    }
}

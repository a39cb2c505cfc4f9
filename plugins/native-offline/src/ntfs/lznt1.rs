//! LZNT1, by which NTFS compresses files: chunks of 4 KiB, each of literal bytes and of references to bytes before them.

use vmdk2kvm_plugin_api::Result;

use crate::bytes::{damaged, le16};

/// Bytes of a chunk.
const CHUNK: usize = 4096;

/// Unpacks into zeros.
pub fn unpack(mut raw: &[u8], out: &mut [u8]) -> Result<()> {
    for chunk in out.chunks_mut(CHUNK) {
        let head = le16(raw, 0);
        if head == 0 {
            return Ok(());
        }
        let length = usize::from(head & 0xfff) + 1;
        let body = raw.get(2..2 + length).filter(|_| head & 0x7000 == 0x3000);
        let body = body.ok_or_else(|| damaged("a compressed file is damaged"))?;
        if head & 0x8000 == 0 {
            // It could not be made smaller.
            chunk.get_mut(..length).ok_or_else(|| damaged("a compressed file is damaged"))?.copy_from_slice(body);
        } else {
            unpack_chunk(body, chunk)?;
        }
        raw = &raw[2 + length..];
    }
    Ok(())
}

/// A chunk that ends early ends in zeros.
fn unpack_chunk(raw: &[u8], out: &mut [u8]) -> Result<()> {
    let bad = || damaged("a compressed file is damaged");
    let (mut at, mut done) = (0, 0);
    while at < raw.len() {
        let marks = raw[at];
        at += 1;
        for bit in 0..8 {
            if at >= raw.len() {
                break;
            }
            if marks >> bit & 1 == 0 {
                *out.get_mut(done).ok_or_else(bad)? = raw[at];
                (at, done) = (at + 1, done + 1);
                continue;
            }
            if at + 2 > raw.len() || done == 0 {
                return Err(bad());
            }
            // The further on, the more bits are the distance's.
            let wide = (usize::BITS - (done - 1).leading_zeros()).saturating_sub(4);
            let token = usize::from(le16(raw, at));
            let (distance, length) = ((token >> (12 - wide)) + 1, (token & (0xfff >> wide)) + 3);
            let from = done.checked_sub(distance).ok_or_else(bad)?;
            if done + length > out.len() {
                return Err(bad());
            }
            for step in 0..length {
                out[done + step] = out[from + step];
            }
            (at, done) = (at + 2, done + length);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_may_reach_into_what_they_write() {
        // "ab", then 10 bytes from 2 before: abababababab.
        let body = [0b100, b'a', b'b', 0x07, 0x10];
        let mut raw = (0xb000 | (body.len() as u16 - 1)).to_le_bytes().to_vec();
        raw.extend(body);
        let mut out = [0; 16];
        unpack(&raw, &mut out).unwrap();
        assert_eq!(&out, b"abababababab\0\0\0\0");
    }

    #[test]
    fn what_leads_outside_is_damaged() {
        for body in [&[0b1, 0, 0][..], &[0b10, b'a', 0, 0x10], &[0b10, b'a', 0xff, 0x0f], &[0b10, b'a', 0]] {
            let mut raw = (0xb000 | (body.len() as u16 - 1)).to_le_bytes().to_vec();
            raw.extend(body);
            assert!(unpack(&raw, &mut [0; 64]).is_err(), "{body:?}");
        }
        assert!(unpack(&[9, 0xb0, 0, 0], &mut [0; 64]).is_err());
        assert!(unpack(&[0, 0x80, 0, 0], &mut [0; 64]).is_err());
    }
}

//! Replies of the transmission phase, built whole so that each is one write.

use super::handshake::{BASE_ALLOCATION_ID, Session};
use crate::nbd::wire::*;

/// Room before the data of a read, so that header and data leave together: the longest header plus the data's offset.
pub(super) const HEADROOM: usize = 28;

/// A reply without data.
pub(super) fn done(session: Session, cookie: u64) -> Vec<u8> {
    if session.structured { chunk(REPLY_NONE, cookie, &[]) } else { simple(cookie, 0).to_vec() }
}

/// A reply that says what went wrong. The text reaches the log of a client that speaks structured replies.
pub(super) fn error(session: Session, cookie: u64, number: u32, text: &str) -> Vec<u8> {
    if !session.structured {
        return simple(cookie, number).to_vec();
    }
    let end = (0..=text.len().min(MAX_ERROR_TEXT)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    let text = &text.as_bytes()[..end];
    let mut data = number.to_be_bytes().to_vec();
    data.extend((text.len() as u16).to_be_bytes());
    data.extend(text);
    chunk(REPLY_ERROR, cookie, &data)
}

/// Puts the header of a successful read before its data, which begins at [`HEADROOM`]; returns what to send.
pub(super) fn data(session: Session, cookie: u64, offset: u64, buffer: &mut [u8]) -> &[u8] {
    if session.structured {
        let length = buffer.len() - HEADROOM + 8;
        buffer[..20].copy_from_slice(&chunk_header(REPLY_OFFSET_DATA, cookie, length as u32));
        buffer[20..HEADROOM].copy_from_slice(&offset.to_be_bytes());
        buffer
    } else {
        let header = simple(cookie, 0);
        let start = HEADROOM - header.len();
        buffer[start..HEADROOM].copy_from_slice(&header);
        &buffer[start..]
    }
}

/// The answer to a block status request: lengths in bytes and their states.
pub(super) fn block_status(cookie: u64, extents: &[(u32, u32)]) -> Vec<u8> {
    let mut data = BASE_ALLOCATION_ID.to_be_bytes().to_vec();
    for (length, state) in extents {
        data.extend(length.to_be_bytes());
        data.extend(state.to_be_bytes());
    }
    chunk(REPLY_BLOCK_STATUS, cookie, &data)
}

fn simple(cookie: u64, error: u32) -> [u8; 16] {
    let mut reply = [0; 16];
    reply[..4].copy_from_slice(&SIMPLE_REPLY_MAGIC.to_be_bytes());
    reply[4..8].copy_from_slice(&error.to_be_bytes());
    reply[8..].copy_from_slice(&cookie.to_be_bytes());
    reply
}

fn chunk_header(kind: u16, cookie: u64, length: u32) -> [u8; 20] {
    let mut header = [0; 20];
    header[..4].copy_from_slice(&STRUCTURED_REPLY_MAGIC.to_be_bytes());
    header[4..6].copy_from_slice(&REPLY_FLAG_DONE.to_be_bytes());
    header[6..8].copy_from_slice(&kind.to_be_bytes());
    header[8..16].copy_from_slice(&cookie.to_be_bytes());
    header[16..].copy_from_slice(&length.to_be_bytes());
    header
}

fn chunk(kind: u16, cookie: u64, data: &[u8]) -> Vec<u8> {
    let mut reply = chunk_header(kind, cookie, data.len() as u32).to_vec();
    reply.extend(data);
    reply
}

//! The content digest: one number for what a disk holds, whatever the format it is stored in.
//!
//! **Definition.** Let `size` be the disk's size in bytes, rounded up to a multiple of 512 (a disk has no half sectors; the
//! bytes beyond are zero). Cut `0..size` into chunks of 1 MiB (1,048,576 bytes); the last may be shorter. `content_sha256` is the
//! SHA-256, in lower-case hexadecimal, of
//!
//! - `size` as 8 bytes, little endian;
//! - then, for each chunk that has a byte other than zero, in ascending order: its index (`offset / 1 MiB`) as 8 bytes, little
//!   endian, and the 32 bytes of the BLAKE3 hash of its bytes.
//!
//! So it does not depend on the format, on holes, or on the number of threads, and an empty terabyte costs nothing. Chunks are
//! hashed with BLAKE3 because every byte goes through it: it needs no SHA instructions, and less time than they do where there are some.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::tasks::CHUNK;

/// Size of a sector in bytes.
const SECTOR: u64 = 512;

/// The size of the disk that a source of `size` bytes becomes.
pub(super) fn virtual_size(size: u64) -> u64 {
    size.checked_next_multiple_of(SECTOR).unwrap_or(size)
}

/// A chunk that holds data, and its digest.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkDigest {
    pub index: u64,
    pub blake3: [u8; 32],
}

impl ChunkDigest {
    /// Digests the chunk at this offset of the disk.
    pub(super) fn of(offset: u64, bytes: &[u8]) -> Self {
        Self { index: offset / CHUNK as u64, blake3: blake3::hash(bytes).into() }
    }
}

/// Puts the chunks' digests together; they must come in ascending order.
pub(super) struct ContentDigest(Sha256);

impl ContentDigest {
    pub(super) fn new(virtual_size: u64) -> Self {
        Self(Sha256::new_with_prefix(virtual_size.to_le_bytes()))
    }

    pub(super) fn add(&mut self, chunk: &ChunkDigest) {
        self.0.update(chunk.index.to_le_bytes());
        self.0.update(chunk.blake3);
    }

    pub(super) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

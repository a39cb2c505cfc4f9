//! lzop's file format, the one in which the kernel reads LZO: a header, then blocks behind their lengths, to a length of zero. Numbers are
//! big-endian. The blocks themselves are the crate's; their checksums are passed over, as the kernel does.

use std::io::{self, Read};

use vmdk2kvm_plugin_api::Result;

use super::cpio::bad;

const MAGIC: [u8; 9] = [0x89, b'L', b'Z', b'O', 0, 0x0d, 0x0a, 0x1a, 0x0a];
/// The version of lzop since which headers have all members.
const VERSION: u16 = 0x0940;
/// LZO1X-1, LZO1X-1(15), LZO1X-999, which are packed in three ways and unpacked in one.
const METHODS: [u8; 3] = [1, 2, 3];
const FILTER: u32 = 0x800;
const EXTRA: u32 = 0x40;
/// Adler-32 and CRC-32, of what is inside and of what is stored.
const SUMS_INSIDE: [u32; 2] = [0x1, 0x100];
const SUMS_STORED: [u32; 2] = [0x2, 0x200];
/// The kernel refuses larger ones.
const LARGEST_BLOCK: usize = 256 << 10;

/// What is inside of a file at the start of `input`, which is left behind its end.
pub(super) struct Lzop<'a, 'b> {
    input: &'a mut &'b [u8],
    flags: u32,
    block: Vec<u8>,
    used: usize,
    ended: bool,
}

impl<'a, 'b> Lzop<'a, 'b> {
    pub(super) fn new(input: &'a mut &'b [u8]) -> Result<Self> {
        let flags = header(input).map_err(bad)?;
        Ok(Self { input, flags, block: Vec::new(), used: 0, ended: false })
    }

    fn next_block(&mut self) -> io::Result<()> {
        let inside = number(self.input)? as usize;
        if inside == 0 {
            self.ended = true;
            return Ok(());
        }
        let stored = number(self.input)? as usize;
        if inside > LARGEST_BLOCK || stored > inside {
            return Err(io::Error::other(format!("a block of lzop claims {stored} bytes for {inside}")));
        }
        let is_packed = stored < inside;
        let sums = SUMS_INSIDE.iter().chain(SUMS_STORED.iter().filter(|_| is_packed));
        take(self.input, 4 * sums.filter(|sum| self.flags & **sum != 0).count())?;
        let data = take(self.input, stored)?;
        self.used = 0;
        if is_packed {
            self.block.resize(inside, 0);
            let length = lzokay::decompress::decompress(data, &mut self.block).map_err(io::Error::other)?;
            self.block.truncate(length);
        } else {
            self.block = data.to_vec();
        }
        Ok(())
    }
}

impl Read for Lzop<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.used == self.block.len() && !self.ended {
            self.block.clear();
            self.used = 0;
            self.next_block()?;
        }
        let length = buffer.len().min(self.block.len() - self.used);
        buffer[..length].copy_from_slice(&self.block[self.used..self.used + length]);
        self.used += length;
        Ok(length)
    }
}

/// Passes over the header; gives its flags.
fn header(input: &mut &[u8]) -> io::Result<u32> {
    if take(input, MAGIC.len())? != MAGIC {
        return Err(io::Error::other("the data behind lzop's first bytes is not lzop's"));
    }
    let version = take(input, 2)?;
    let is_new = u16::from_be_bytes([version[0], version[1]]) >= VERSION;
    // The library's version, and the version that reads it.
    take(input, if is_new { 4 } else { 2 })?;
    let method = take(input, 1)?[0];
    if !METHODS.contains(&method) {
        return Err(io::Error::other(format!("the kernel does not read lzop's method {method}")));
    }
    take(input, usize::from(is_new))?;
    let flags = number(input)?;
    if flags & FILTER != 0 {
        return Err(io::Error::other("the kernel does not read lzop's filters"));
    }
    // Mode, time, name, checksum.
    take(input, if is_new { 12 } else { 8 })?;
    let name = take(input, 1)?[0];
    take(input, usize::from(name) + 4)?;
    if flags & EXTRA != 0 {
        let length = number(input)? as usize;
        take(input, length.saturating_add(4))?;
    }
    Ok(flags)
}

fn take<'b>(input: &mut &'b [u8], length: usize) -> io::Result<&'b [u8]> {
    let (taken, rest) = input.split_at_checked(length).ok_or(io::ErrorKind::UnexpectedEof)?;
    *input = rest;
    Ok(taken)
}

fn number(input: &mut &[u8]) -> io::Result<u32> {
    let taken = take(input, 4)?;
    Ok(u32::from_be_bytes([taken[0], taken[1], taken[2], taken[3]]))
}

#[cfg(test)]
pub(crate) mod tests;

//! The `newc` cpio format, reading and writing, as the kernel's `init/initramfs.c` takes it (initramfs buffer format,
//! Documentation/driver-api/early-userspace/buffer-format.rst).

use std::io::{BufRead, ErrorKind, Read};

use vmdk2kvm_plugin_api::{PluginError, Result};

/// Kind bits of a mode.
pub(super) const KIND: u32 = 0o170_000;
pub(super) const FOLDER: u32 = 0o040_000;
pub(super) const SYMLINK: u32 = 0o120_000;

const HEADER: usize = 110;
const TRAILER: &str = "TRAILER!!!";

/// An entry's header and name; the data follows in the stream.
#[derive(Debug)]
pub(super) struct Head {
    pub name: String,
    pub mode: u32,
    pub size: u64,
}

/// Reads one archive after the other from a stream. Counts what it read, since everything is aligned to that.
pub(super) struct Reader<R> {
    stream: R,
    at: u64,
    limit: u64,
}

impl<R: BufRead> Reader<R> {
    /// A reader that refuses to read more than `limit` bytes.
    pub fn new(stream: R, limit: u64) -> Self {
        Self { stream, at: 0, limit }
    }

    /// How many bytes were read.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The stream, behind what was read.
    pub fn into_inner(self) -> R {
        self.stream
    }

    /// Skips zeros; whether anything follows them.
    pub fn skip_zeros(&mut self) -> Result<bool> {
        loop {
            let buffer = fill(&mut self.stream)?;
            if buffer.is_empty() {
                return Ok(false);
            }
            let zeros = buffer.iter().position(|byte| *byte != 0).unwrap_or(buffer.len());
            let more = zeros < buffer.len();
            self.stream.consume(zeros);
            self.count(zeros as u64)?;
            if more {
                return Ok(true);
            }
        }
    }

    /// The next entry's head; `None` at the archive's trailer.
    pub fn head(&mut self) -> Result<Option<Head>> {
        let mut header = [0; HEADER];
        self.exact(&mut header)?;
        if !matches!(&header[..6], b"070701" | b"070702") {
            return Err(bad(format!("there is no cpio header at byte {}", self.at - HEADER as u64)));
        }
        let field = |index: usize| -> Result<u32> {
            std::str::from_utf8(&header[6 + index * 8..14 + index * 8])
                .ok()
                .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                .ok_or_else(|| bad("a cpio header holds something else than hexadecimal digits"))
        };
        let (mode, size, name_size) = (field(1)?, field(6)?, field(11)?);
        // PATH_MAX, the kernel's own limit.
        if !(1..=4096).contains(&name_size) {
            return Err(bad(format!("a cpio name has {name_size} bytes, the limit is 4096")));
        }
        let mut name = vec![0; name_size as usize];
        self.exact(&mut name)?;
        self.align()?;
        while name.last() == Some(&0) {
            name.pop();
        }
        let name = String::from_utf8_lossy(&name).into_owned();
        if name == TRAILER {
            self.skip(u64::from(size))?;
            return Ok(None);
        }
        Ok(Some(Head { name: name.trim_start_matches("./").trim_matches('/').to_owned(), mode, size: u64::from(size) }))
    }

    /// The data of the entry whose head was read last.
    pub fn data(&mut self, head: &Head) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        let read = (&mut self.stream).take(head.size).read_to_end(&mut data).map_err(io)? as u64;
        self.count(read)?;
        if read < head.size {
            return Err(bad(format!("the archive ends inside of {}", head.name)));
        }
        self.align()?;
        Ok(data)
    }

    /// Skips the data of the entry whose head was read last.
    pub fn skip_data(&mut self, head: &Head) -> Result<()> {
        self.skip(head.size)?;
        self.align()
    }

    fn align(&mut self) -> Result<()> {
        self.skip(self.at.next_multiple_of(4) - self.at)
    }

    fn skip(&mut self, mut length: u64) -> Result<()> {
        self.count(length)?;
        while length > 0 {
            let buffer = fill(&mut self.stream)?;
            if buffer.is_empty() {
                return Err(bad("the archive ends too early"));
            }
            let step = usize::try_from(length).map_or(buffer.len(), |length| length.min(buffer.len()));
            self.stream.consume(step);
            length -= step as u64;
        }
        Ok(())
    }

    fn exact(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.stream.read_exact(buffer).map_err(io)?;
        self.count(buffer.len() as u64)
    }

    fn count(&mut self, bytes: u64) -> Result<()> {
        self.at += bytes;
        if self.at > self.limit {
            return Err(bad(format!("its content is larger than {} MiB, the limit", self.limit >> 20)));
        }
        Ok(())
    }
}

fn fill<R: BufRead>(stream: &mut R) -> Result<&[u8]> {
    stream.fill_buf().map_err(io)
}

fn io(error: std::io::Error) -> PluginError {
    match error.kind() {
        ErrorKind::UnexpectedEof => bad("the archive ends too early"),
        _ => bad(format!("its compressed part cannot be read: {error}")),
    }
}

pub(super) fn bad(message: impl std::fmt::Display) -> PluginError {
    PluginError::unusable(format!("the initramfs is damaged: {message}"))
        .hint("rebuild it in the guest before the migration, or boot an older kernel")
}

/// Writes one archive whose bytes depend on nothing but its entries.
pub(super) struct Writer {
    out: Vec<u8>,
    next_inode: u32,
}

impl Writer {
    pub fn new() -> Self {
        // The kernel tells hard links by device and inode; 0 is used by other archives' writers for what has none.
        Self { out: Vec::new(), next_inode: 0x00f0_0000 }
    }

    /// Adds a folder.
    pub fn folder(&mut self, name: &str) -> Result<()> {
        self.entry(name, FOLDER | 0o755, 2, &[])
    }

    /// Adds a file.
    pub fn file(&mut self, name: &str, data: &[u8]) -> Result<()> {
        self.entry(name, 0o100_644, 1, data)
    }

    /// Adds a symlink.
    #[cfg(test)]
    pub fn symlink(&mut self, name: &str, to: &str) -> Result<()> {
        self.entry(name, SYMLINK | 0o777, 1, to.as_bytes())
    }

    /// The archive with its trailer, padded to a multiple of 512 bytes as cpio does.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.next_inode = 0;
        self.entry(TRAILER, 0, 1, &[])?;
        self.out.resize(self.out.len().next_multiple_of(512), 0);
        Ok(self.out)
    }

    fn entry(&mut self, name: &str, mode: u32, links: u32, data: &[u8]) -> Result<()> {
        let size = u32::try_from(data.len()).map_err(|_| bad(format!("{name} is too large for a cpio archive")))?;
        let fields = [self.next_inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        self.next_inode += 1;
        self.out.extend_from_slice(b"070701");
        for field in fields {
            self.out.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(0);
        self.out.resize(self.out.len().next_multiple_of(4), 0);
        self.out.extend_from_slice(data);
        self.out.resize(self.out.len().next_multiple_of(4), 0);
        Ok(())
    }
}

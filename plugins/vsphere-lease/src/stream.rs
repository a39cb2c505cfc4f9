//! A streamOptimized VMDK (Virtual Disk Format 5.0, "Stream-Optimized Compressed Sparse Extents"), read from its beginning to its end. Each grain is
//! handed on with its place, tables are passed over, and a stream without its end marker is incomplete. Hostile: every number is bounded before it is used.

use std::io::Read;

use vmdk2kvm_plugin_api::{PluginError, Result};

/// Bytes of a sector.
const SECTOR: u64 = 512;
/// The first bytes.
const MAGIC: &[u8] = b"KDMV";
/// The grains are compressed, and there are markers.
const FLAGS: u32 = 0x3_0000;
/// Deflate.
const ALGORITHM: u16 = 1;
/// The largest grain, and the longest descriptor with what pads it, in sectors.
const GRAIN_LIMIT: u64 = 2048;
const OVERHEAD_LIMIT: u64 = 4096;
/// The longest table behind a marker, in sectors: a directory of 64 TiB.
const TABLE_LIMIT: u64 = 1 << 16;

/// Takes what a stream holds.
pub trait Sink {
    /// The disk has so many bytes.
    fn begin(&mut self, capacity: u64) -> Result<()>;
    /// A grain as it came, to be inflated.
    fn grain(&mut self, grain: Grain, packed: &[u8]) -> Result<(), Broken>;
}

/// Where a grain belongs.
#[derive(Debug, Clone, Copy)]
pub struct Grain {
    /// Its offset in the disk, in bytes.
    pub offset: u64,
    /// How many of its bytes are the disk's: the last one may end with it.
    pub bytes: usize,
    /// The most that it may inflate to.
    pub limit: usize,
}

/// Where a stream fails: in what it is, or in how it came.
#[derive(Debug)]
pub enum Broken {
    /// It broke off, or the connection did.
    Off(std::io::Error),
    /// It is none, or what takes it fails.
    Wrong(PluginError),
}

impl From<PluginError> for Broken {
    fn from(error: PluginError) -> Self {
        Self::Wrong(error)
    }
}

/// What was sent may be right, and changed on its way: it may be worth another try.
pub fn wrong(why: &str) -> Broken {
    let error = PluginError::io(format!("the stream is no streamOptimized VMDK: {why}"));
    Broken::Wrong(error.hint("run the same command again; if it stays so, something in between changes what is sent"))
}

/// Reads a stream to its marker of the end. What follows is the caller's to look at.
pub fn decode(input: &mut impl Read, sink: &mut impl Sink) -> Result<(), Broken> {
    let mut sector = [0; SECTOR as usize];
    fill(input, &mut sector)?;
    let header = Header::read(&sector)?;
    skip(input, header.overhead - 1)?;
    let capacity = header.capacity * SECTOR;
    sink.begin(capacity)?;
    let grain_bytes = header.grain * SECTOR;
    let mut packed = Vec::new();
    loop {
        fill(input, &mut sector)?;
        let (value, size, kind) = (u64_at(&sector, 0), u32_at(&sector, 8), u32_at(&sector, 12));
        if size > 0 {
            // A grain: twelve bytes of marker, then its bytes, padded to a sector.
            if value >= header.capacity || value % header.grain != 0 {
                return Err(wrong("a grain lies outside of the disk"));
            }
            if u64::from(size) > 2 * grain_bytes + SECTOR {
                return Err(wrong("a grain is longer than it can be"));
            }
            let all = (12 + u64::from(size)).next_multiple_of(SECTOR);
            packed.resize(usize_of(all), 0);
            packed[..sector.len()].copy_from_slice(&sector);
            fill(input, &mut packed[sector.len()..])?;
            let offset = value * SECTOR;
            let bytes = usize_of(grain_bytes.min(capacity - offset));
            sink.grain(Grain { offset, bytes, limit: usize_of(grain_bytes) }, &packed[12..12 + size as usize])?;
            continue;
        }
        match kind {
            0 => return Ok(()),
            // A grain table, the directory, the footer: where the grains are has been seen.
            1..=3 if value <= TABLE_LIMIT => skip(input, value)?,
            1..=3 => return Err(wrong("a table is longer than it can be")),
            _ => return Err(wrong("it has a marker that is not known")),
        }
    }
}

/// What the first sector says, in sectors.
struct Header {
    capacity: u64,
    grain: u64,
    overhead: u64,
}

impl Header {
    fn read(sector: &[u8]) -> Result<Self, Broken> {
        if !sector.starts_with(MAGIC) {
            return Err(wrong("it does not begin like one"));
        }
        let algorithm = u16::from_le_bytes([sector[77], sector[78]]);
        if u32_at(sector, 8) & FLAGS != FLAGS || algorithm != ALGORITHM {
            return Err(wrong("it has no compressed grains behind markers"));
        }
        let header = Self { capacity: u64_at(sector, 12), grain: u64_at(sector, 20), overhead: u64_at(sector, 64) };
        if !header.grain.is_power_of_two() || header.grain < 8 || header.grain > GRAIN_LIMIT {
            return Err(wrong("its grains have no possible size"));
        }
        if header.overhead == 0 || header.overhead > OVERHEAD_LIMIT {
            return Err(wrong("its first grain has no possible place"));
        }
        if header.capacity == 0 || header.capacity > (1 << 50) {
            return Err(wrong("it has no possible capacity"));
        }
        Ok(header)
    }
}

fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn fill(input: &mut impl Read, buffer: &mut [u8]) -> Result<(), Broken> {
    input.read_exact(buffer).map_err(Broken::Off)
}

fn skip(input: &mut impl Read, sectors: u64) -> Result<(), Broken> {
    let mut sector = [0; SECTOR as usize];
    (0..sectors).try_for_each(|_| fill(input, &mut sector))
}

#[cfg(test)]
#[path = "stream_tests.rs"]
pub(crate) mod tests;

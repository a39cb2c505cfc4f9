//! Compressed grains: finding their streams in the file and inflating them into the caller's buffer.
//!
//! Format: "Virtual Disk Format 5.0", section "Stream-Optimized Compressed Sparse Extents": a marker of 12 bytes (first sector of the
//! grain as 64 bits, length of the stream as 32 bits), then a zlib stream (RFC 1950). Grains that a request covers whole are
//! inflated straight into its buffer, and neighbours in the file are read together; parts of grains go through a small
//! cache, because small reads come back to the same grain.

use std::cell::Cell;
use std::sync::Arc;

use libdeflater::{DecompressionError, Decompressor};
use vmdk2kvm_plugin_api::Result;

use crate::cache::Cache;
use crate::entries::Layout;
use crate::fault::damaged;
use crate::files::File;
use crate::storage::SECTOR;

/// Bytes of a grain's marker.
pub const MARKER: u64 = 12;

/// The longest stretch of the file that is read at once.
const LONGEST_READ: u64 = 4 << 20;

/// Weight of one generation of the cache of inflated grains, in bytes.
const CACHED: usize = 8 << 20;

/// Inflated grains of all extents of a disk, by extent and grain number.
pub type Grains = Cache<(u32, u64), Arc<[u8]>>;

/// An empty cache for a disk.
pub fn new_grains() -> Grains {
    Cache::new(CACHED)
}

/// A part of a compressed grain that somebody wants.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// First byte wanted, in the extent.
    pub start: u64,
    /// Bytes wanted.
    pub length: u64,
    /// Where the grain's marker is in the file.
    pub at: u64,
    /// Where the next grain in the file begins, if the table says so: this one should end before.
    pub next: Option<u64>,
}

/// The compressed grains of one extent.
pub struct PackedGrains {
    extent: u32,
    file: Arc<File>,
    layout: Layout,
    cache: Arc<Grains>,
}

/// What a thread keeps between reads, so that it allocates nothing for each.
struct Scratch {
    inflate: Decompressor,
    input: Vec<u8>,
}

thread_local! {
    // Taken out while in use: reading the file may lead back here when sources are stacked.
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

fn with_scratch<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
    let mut scratch =
        SCRATCH.take().unwrap_or_else(|| Box::new(Scratch { inflate: Decompressor::new(), input: Vec::new() }));
    let result = work(&mut scratch);
    SCRATCH.set(Some(scratch));
    result
}

impl PackedGrains {
    /// The grains of `file`. `extent` is this extent's number in `cache`.
    pub fn new(extent: u32, file: Arc<File>, layout: Layout, cache: Arc<Grains>) -> Self {
        Self { extent, file, layout, cache }
    }

    /// Fills `buffer`, whose first byte is byte `offset` of the extent, with these parts of grains; they ascend.
    pub fn read(&self, wanted: &[Wanted], offset: u64, buffer: &mut [u8]) -> Result<()> {
        with_scratch(|scratch| {
            let mut rest = wanted;
            while let Some(first) = rest.first() {
                let taken = if self.is_whole(first) { self.run(rest) } else { 1 };
                let (run, after) = rest.split_at(taken);
                if self.is_whole(first) {
                    self.read_run(run, offset, buffer, scratch)?;
                } else {
                    self.read_part(first, target(first, offset, buffer), scratch)?;
                }
                rest = after;
            }
            Ok(())
        })
    }

    fn is_whole(&self, wanted: &Wanted) -> bool {
        wanted.length == self.layout.grain
    }

    /// How many of these lie so close behind each other in the file that one read fetches them all.
    fn run(&self, wanted: &[Wanted]) -> usize {
        let mut count = 1;
        while let (Some(next), last) = (wanted.get(count), &wanted[count - 1]) {
            let near = next.at > last.at && next.at - last.at <= self.longest();
            if !near || !self.is_whole(next) || self.end(next) - wanted[0].at > LONGEST_READ {
                break;
            }
            count += 1;
        }
        count
    }

    /// The longest marker and stream of a grain: no compressor makes a grain much longer than it was.
    fn longest(&self) -> u64 {
        self.layout.grain + self.layout.grain / 8 + 2 * SECTOR
    }

    /// Where to stop reading for this grain at the latest.
    fn end(&self, wanted: &Wanted) -> u64 {
        let bound = (wanted.at + self.longest()).min(self.file.size());
        match wanted.next {
            Some(next) if next >= wanted.at + MARKER => next.min(bound),
            _ => bound,
        }
    }

    fn read_run(&self, run: &[Wanted], offset: u64, buffer: &mut [u8], scratch: &mut Scratch) -> Result<()> {
        let (first, last) = (run[0], run[run.len() - 1]);
        let Scratch { inflate, input } = scratch;
        input.resize((self.end(&last) - first.at) as usize, 0);
        self.file.read(first.at, input)?;
        for wanted in run {
            let stream = self.stream(wanted, &input[(wanted.at - first.at) as usize..])?;
            let output = target(wanted, offset, buffer);
            let made = match stream {
                Stream::Here(stream) => inflate.zlib_decompress(stream, output),
                Stream::Longer(length) => inflate.zlib_decompress(&self.fetch(wanted, length)?, output),
            };
            self.checked(wanted.start, made, self.layout.grain)?;
        }
        Ok(())
    }

    /// A part of a grain, or the last grain of a disk that ends within it.
    fn read_part(&self, wanted: &Wanted, output: &mut [u8], scratch: &mut Scratch) -> Result<()> {
        let number = wanted.start / self.layout.grain;
        let begin = number * self.layout.grain;
        let range = (wanted.start - begin) as usize..(wanted.start - begin + wanted.length) as usize;
        let key = (self.extent, number);
        let grain = match self.cache.get(key) {
            Some(grain) => grain,
            None => {
                let grain = self.inflate_whole(wanted, begin, scratch)?;
                self.cache.put(key, Arc::clone(&grain), grain.len());
                grain
            }
        };
        output.copy_from_slice(&grain[range]);
        Ok(())
    }

    fn inflate_whole(&self, wanted: &Wanted, begin: u64, scratch: &mut Scratch) -> Result<Arc<[u8]>> {
        let Scratch { inflate, input } = scratch;
        input.resize((self.end(wanted) - wanted.at) as usize, 0);
        self.file.read(wanted.at, input)?;
        let mut output = vec![0; self.layout.grain as usize];
        let made = match self.stream(wanted, input)? {
            Stream::Here(stream) => inflate.zlib_decompress(stream, &mut output),
            Stream::Longer(length) => inflate.zlib_decompress(&self.fetch(wanted, length)?, &mut output),
        };
        // Some writers cut the last grain at the capacity, others fill it up.
        self.checked(begin, made, self.layout.grain.min(self.layout.capacity - begin))?;
        Ok(Arc::from(output))
    }

    /// Checks the marker at the beginning of `bytes` and gives the stream behind it.
    fn stream<'a>(&self, wanted: &Wanted, bytes: &'a [u8]) -> Result<Stream<'a>> {
        let begin = wanted.start - wanted.start % self.layout.grain;
        let fault = |what: std::fmt::Arguments<'_>| {
            damaged(
                self.file.object(),
                format_args!(
                    "the compressed grain at byte {begin} of the disk (sector {} of the file) {what}",
                    wanted.at / SECTOR
                ),
            )
        };
        let Some((marker, rest)) = bytes.split_first_chunk::<{ MARKER as usize }>() else {
            return Err(fault(format_args!("is cut off by the end of the file")));
        };
        let [l0, l1, l2, l3, l4, l5, l6, l7, s0, s1, s2, s3] = *marker;
        let sector = u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]);
        let length = u32::from_le_bytes([s0, s1, s2, s3]);
        if sector != begin / SECTOR {
            return Err(fault(format_args!("bears the marker of sector {sector} instead of {}", begin / SECTOR)));
        }
        if length == 0 || u64::from(length) > self.longest() - MARKER {
            return Err(fault(format_args!("has a marker with the impossible length {length}")));
        }
        if !self.file.holds(wanted.at + MARKER, u64::from(length)) {
            return Err(fault(format_args!("is cut off by the end of the file")));
        }
        Ok(rest.get(..length as usize).map_or(Stream::Longer(length), Stream::Here))
    }

    /// A stream that goes on behind the place where the next grain was expected.
    fn fetch(&self, wanted: &Wanted, length: u32) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        self.file.read(wanted.at + MARKER, &mut bytes)?;
        Ok(bytes)
    }

    fn checked(&self, begin: u64, made: Result<usize, DecompressionError>, needed: u64) -> Result<()> {
        let problem = match made {
            Ok(length) if length as u64 >= needed => return Ok(()),
            Ok(length) => format!("inflates to {length} bytes instead of {needed}"),
            Err(DecompressionError::InsufficientSpace) => format!("inflates to more than {} bytes", self.layout.grain),
            Err(DecompressionError::BadData) => "is not a valid zlib stream".to_owned(),
        };
        Err(damaged(self.file.object(), format_args!("the compressed grain at byte {begin} of the disk {problem}")))
    }
}

/// A grain's stream: read already, or longer than what was read.
enum Stream<'a> {
    Here(&'a [u8]),
    Longer(u32),
}

/// The part of `buffer`, which begins at byte `offset` of the extent, that these bytes go to.
fn target<'a>(wanted: &Wanted, offset: u64, buffer: &'a mut [u8]) -> &'a mut [u8] {
    let from = (wanted.start - offset) as usize;
    &mut buffer[from..from + wanted.length as usize]
}

//! Hosted sparse extents (`SPARSE`): header, tables and grains put together as a [`Storage`].
//!
//! Owns the walk over grains. What the header means is `header.rs`, where grains are is `tables.rs`, how compressed ones are read
//! is `grain.rs`.

use std::sync::Arc;

use vmdk2kvm_plugin_api::Result;

use crate::fault::{damaged, unusable};
use crate::files::File;
use crate::grain::{Grains, PackedGrains, Wanted, new_grains};
use crate::header::{Header, TABLE_ENTRIES};
use crate::storage::{Absent, Run, RunKind, SECTOR, Storage};
use crate::tables::{Blocks, Layout, Tables, new_blocks};

/// What the sparse extents of one disk share.
#[derive(Clone)]
pub struct Shared {
    blocks: Arc<Blocks>,
    grains: Arc<Grains>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { blocks: Arc::new(new_blocks()), grains: Arc::new(new_grains()) }
    }
}

/// A hosted sparse extent.
pub struct SparseStorage {
    file: Arc<File>,
    tables: Tables,
    packed: Option<PackedGrains>,
}

/// Where a piece of the extent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Absent,
    Zero,
    Stored(u64),
    Packed { at: u64, next: Option<u64> },
}

/// A piece of the extent: bytes that lie together in one place.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: u64,
    length: u64,
    place: Place,
}

/// Reads the header of a sparse file; for a file whose directory is at its end, that of its footer.
pub fn read_header(file: &Arc<File>) -> Result<Header> {
    let mut bytes = [0u8; 512];
    if !file.holds(0, SECTOR) {
        return Err(damaged(file.object(), format_args!("it is too short for a sparse header: {} bytes", file.size())));
    }
    file.read(0, &mut bytes)?;
    let header = Header::parse(file.object(), &bytes)?;
    if header.directory.is_some() || header.capacity == 0 {
        return Ok(header);
    }
    let footer = read_footer(file)?;
    if (footer.capacity, footer.grain, footer.compressed) != (header.capacity, header.grain, header.compressed) {
        return Err(damaged(file.object(), "its footer and its header contradict each other"));
    }
    // The embedded descriptor is at the front, and only the header is sure to say where.
    Ok(Header { descriptor: header.descriptor, unclean: header.unclean || footer.unclean, ..footer })
}

/// The last three sectors of a streamed file: a marker of type 3 (footer), the footer, and a marker of type 0 (end of stream),
/// which is all zeros. "Virtual Disk Format 5.0", section "Stream-Optimized Compressed Sparse Extents".
fn read_footer(file: &Arc<File>) -> Result<Header> {
    let torn = |what: &str| {
        unusable(file.object(), format_args!("the stream-optimized file is torn: {what}"))
            .hint("its end is missing: the export or the copy was interrupted, repeat it")
    };
    let mut tail = [0u8; 3 * 512];
    if file.size() % SECTOR != 0 || !file.holds(SECTOR, tail.len() as u64) {
        return Err(torn("it does not end at a sector's end with a footer"));
    }
    file.read(file.size() - tail.len() as u64, &mut tail)?;
    let (marker, rest) = tail.split_at(512);
    let (footer, end) = rest.split_at(512);
    if marker[12] != 3 || marker[13..16] != [0; 3] || footer[..4] != crate::header::MAGIC {
        return Err(torn("it has no footer"));
    }
    if end.iter().any(|byte| *byte != 0) {
        return Err(torn("it has no end-of-stream marker"));
    }
    let mut bytes = [0u8; 512];
    bytes.copy_from_slice(footer);
    let footer = Header::parse(file.object(), &bytes)?;
    match footer.directory {
        Some(_) => Ok(footer),
        None => Err(torn("its footer does not say where the grain directory is")),
    }
}

impl SparseStorage {
    /// The first `length` bytes of the sparse extent in `file`. `number` tells extents of a disk apart in what they share.
    pub fn open(number: u32, file: Arc<File>, header: &Header, length: u64, shared: &Shared) -> Result<Self> {
        // The header's capacity may be rounded up to a grain; anything else means that descriptor and file do not belong together.
        if header.capacity < length || header.capacity - length >= header.grain {
            return Err(damaged(
                file.object(),
                format_args!("the sparse extent has {} bytes, and its descriptor says {length}", header.capacity),
            ));
        }
        let Some(directory) = header.directory else {
            return Err(damaged(file.object(), "it does not say where its grain directory is"));
        };
        let layout = Layout {
            capacity: length,
            grain: header.grain,
            compressed: header.compressed,
            zero_grains: header.zero_grains,
        };
        let packed = header
            .compressed
            .then(|| PackedGrains::new(number, Arc::clone(&file), layout.clone(), Arc::clone(&shared.grains)));
        let tables =
            Tables::open(number, Arc::clone(&file), layout, directory, header.redundant, Arc::clone(&shared.blocks))?;
        Ok(Self { file, tables, packed })
    }

    /// Tells where the bytes of a range are, merging neighbours that lie together.
    fn walk(&self, offset: u64, length: u64, mut visit: impl FnMut(Piece) -> Result<()>) -> Result<()> {
        let layout = self.tables.layout();
        let (grain, span, end) = (layout.grain, layout.table_span(), offset + length);
        let mut pending: Option<Piece> = None;
        let mut tell = |piece: Piece| match &mut pending {
            Some(last) if last.continues_with(&piece) => {
                last.length += piece.length;
                Ok(())
            }
            other => other.replace(piece).map_or(Ok(()), &mut visit),
        };
        let mut at = offset;
        while at < end {
            let index = at / span;
            let Some(table) = self.tables.table(index)? else {
                let next = self.tables.next_listed(index + 1, end.div_ceil(span))?;
                let stop = (next * span).min(end);
                tell(Piece { start: at, length: stop - at, place: Place::Absent })?;
                at = stop;
                continue;
            };
            let stop = ((index + 1) * span).min(end);
            while at < stop {
                let slot = (at / grain % TABLE_ENTRIES) as usize;
                let within = at % grain;
                let take = (grain - within).min(stop - at);
                let place = match table[slot] {
                    0 => Place::Absent,
                    1 => Place::Zero, // Checked to be allowed when the table was read.
                    entry if self.packed.is_some() => {
                        let next = table[slot + 1..].iter().find(|next| **next > 1);
                        Place::Packed {
                            at: u64::from(entry) * SECTOR,
                            next: next.map(|next| u64::from(*next) * SECTOR),
                        }
                    }
                    entry => Place::Stored(u64::from(entry) * SECTOR + within),
                };
                tell(Piece { start: at, length: take, place })?;
                at += take;
            }
        }
        pending.map_or(Ok(()), visit)
    }
}

impl Piece {
    fn continues_with(&self, next: &Piece) -> bool {
        match (self.place, next.place) {
            (Place::Absent, Place::Absent) | (Place::Zero, Place::Zero) => true,
            (Place::Stored(at), Place::Stored(next)) => at + self.length == next,
            _ => false,
        }
    }
}

impl Storage for SparseStorage {
    fn read(&self, offset: u64, buffer: &mut [u8], absent: &mut Absent) -> Result<()> {
        let mut wanted = Vec::new();
        self.walk(offset, buffer.len() as u64, |piece| {
            let from = (piece.start - offset) as usize;
            let range = from..from + piece.length as usize;
            match piece.place {
                Place::Absent => absent.push(range),
                Place::Zero => buffer[range].fill(0),
                Place::Stored(at) => self.file.read(at, &mut buffer[range])?,
                Place::Packed { at, next } => {
                    wanted.push(Wanted { start: piece.start, length: piece.length, at, next })
                }
            }
            Ok(())
        })?;
        match &self.packed {
            Some(packed) if !wanted.is_empty() => packed.read(&wanted, offset, buffer),
            _ => Ok(()),
        }
    }

    fn map(&self, offset: u64, length: u64, visit: &mut dyn FnMut(Run) -> Result<()>) -> Result<()> {
        let mut pending: Option<Run> = None;
        self.walk(offset, length, |piece| {
            let kind = match piece.place {
                Place::Absent => RunKind::Absent,
                Place::Zero => RunKind::Zero,
                Place::Stored(_) | Place::Packed { .. } => RunKind::Data,
            };
            match &mut pending {
                Some(last) if last.kind == kind => last.length += piece.length,
                _ => {
                    let run = Run { offset: piece.start, length: piece.length, kind };
                    if let Some(last) = pending.replace(run) {
                        visit(last)?;
                    }
                }
            }
            Ok(())
        })?;
        pending.map_or(Ok(()), visit)
    }

    fn unit(&self) -> u64 {
        self.tables.layout().grain
    }
}

//! Sparse extents (`SPARSE`, `VMFSSPARSE`, `SESPARSE`): tables and grains put together as a [`Storage`].
//!
//! Owns the walk over grains. What the headers mean is `header.rs`, `cowd.rs` and `se_sparse.rs`, where grains are is `tables.rs`, how
//! compressed ones are read is `grain.rs`.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{Host, Result};

use crate::dialect::{ABSENT, ENTRIES, ZERO};
use crate::fault::{damaged, shown};
use crate::files::File;
use crate::grain::{Grains, PackedGrains, Wanted, new_grains};
use crate::storage::{Absent, Run, RunKind, Storage};
use crate::tables::{Blocks, Shape, Tables, new_blocks};

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

/// A sparse extent.
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

impl SparseStorage {
    /// The first `length` bytes of the sparse extent in `file`. `number` tells extents of a disk apart in what they share. Also
    /// gives what is odd about the file.
    pub fn open(
        number: u32,
        file: Arc<File>,
        mut shape: Shape,
        length: u64,
        shared: &Shared,
        host: &Host,
    ) -> Result<(Self, Vec<String>)> {
        let layout = &mut shape.layout;
        // The header's capacity may be rounded up to a grain; anything else means that descriptor and file do not belong together.
        if layout.capacity < length || layout.capacity - length >= layout.grain {
            return Err(damaged(
                file.object(),
                format_args!("the sparse extent has {} bytes, and its descriptor says {length}", layout.capacity),
            ));
        }
        layout.capacity = length;
        let mut warnings = Vec::new();
        if shape.unclean {
            warnings.push(format!(
                "{}: was not closed cleanly by its last writer; what that wrote last may be missing",
                shown(file.object())
            ));
        }
        let packed = (layout.compressed)
            .then(|| PackedGrains::new(number, Arc::clone(&file), layout.clone(), Arc::clone(&shared.grains)));
        let tables = Tables::open(number, Arc::clone(&file), shape, Arc::clone(&shared.blocks))?;
        warnings.extend(tables.verify(host)?);
        Ok((Self { file, tables, packed }, warnings))
    }

    /// Tells where the bytes of a range are, merging neighbours that lie together.
    fn walk(&self, offset: u64, length: u64, mut visit: impl FnMut(Piece) -> Result<()>) -> Result<()> {
        let layout = self.tables.layout();
        let (grain, span, end) = (layout.grain, layout.block_span(), offset + length);
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
            let Some(block) = self.tables.block(index)? else {
                let next = self.tables.next_listed(index + 1, end.div_ceil(span))?;
                let stop = (next * span).min(end);
                tell(Piece { start: at, length: stop - at, place: Place::Absent })?;
                at = stop;
                continue;
            };
            let stop = ((index + 1) * span).min(end);
            while at < stop {
                let slot = (at / grain % ENTRIES as u64) as usize;
                let within = at % grain;
                let take = (grain - within).min(stop - at);
                let place = match block[slot] {
                    ABSENT => Place::Absent,
                    ZERO => Place::Zero,
                    entry if self.packed.is_some() => {
                        Place::Packed { at: entry, next: block[slot + 1..].iter().copied().find(|next| *next > ZERO) }
                    }
                    entry => Place::Stored(entry + within),
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

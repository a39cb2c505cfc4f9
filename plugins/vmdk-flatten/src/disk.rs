//! The flat view: a chain of links as one `BlockSource`.
//!
//! Each link answers for what it holds; what it does not hold its parent answers for; what nobody holds is zeros. The part of a
//! grown child past its parent's end is zeros too.

use vmdk2kvm_plugin_api::{BlockSource, Extent, ExtentKind, Hints, PluginError, Result};

use crate::answer::Answer;
use crate::link::{Link, Placed};
use crate::storage::{Absent, RunKind};

/// The request that is worth making, in bytes: sixteen grains of the usual size. Larger ones measured no faster.
const REQUEST: u64 = 1 << 20;

/// The alignment advised where there are no grains, in bytes.
const PAGE: u64 = 4096;

/// A disk as the guest saw it.
pub struct Disk {
    layers: Vec<Layer>,
    hints: Hints,
}

struct Layer {
    size: u64,
    extents: Vec<Placed>,
}

impl Disk {
    /// The flat view of a chain, topmost link first.
    pub fn new(links: Vec<Link>) -> Self {
        // Grains are powers of two of at most 2 MiB (see `header.rs`), so the largest is a multiple of all others.
        let units = links.iter().flat_map(|link| &link.extents).map(|extent| extent.storage.unit());
        let unit = units.max().unwrap_or(PAGE).max(PAGE);
        // A file that says how many requests at once help is at a distance: larger ones, and more of them, make up for that.
        let files = links.iter().flat_map(|link| &link.extents).filter_map(|extent| extent.storage.file_hints());
        let (request, parallelism) = files
            .filter(|it| it.parallelism > 0)
            .fold((0, 0), |(request, at_once), it| (it.request.max(request), it.parallelism.max(at_once)));
        let hints = Hints::default().with(|it| {
            it.alignment = unit as u32;
            it.request = (REQUEST.max(unit) as u32).max(request);
            it.parallelism = parallelism;
        });
        let layers =
            links.into_iter().map(|link| Layer { size: link.descriptor.capacity, extents: link.extents }).collect();
        Self { layers, hints }
    }

    fn check(&self, offset: u64, length: u64) -> Result<()> {
        match offset.checked_add(length) {
            Some(end) if end <= self.size() && offset < self.size() => Ok(()),
            // Whoever asks knows the size: this is a mistake of the caller, not of the input.
            _ => Err(PluginError::defect(format!(
                "{length} bytes at {offset} lie outside of the disk of {} bytes",
                self.size()
            ))),
        }
    }

    /// Fills `buffer` from the layers from `depth` on.
    fn read(&self, depth: usize, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let Some(layer) = self.layers.get(depth) else {
            buffer.fill(0);
            return Ok(());
        };
        let held = layer.size.saturating_sub(offset).min(buffer.len() as u64) as usize;
        let (buffer, past) = buffer.split_at_mut(held);
        past.fill(0);
        let mut absent = Absent::default();
        for (extent, from, length) in layer.parts(offset, held as u64) {
            let base = (extent.start + from - offset) as usize;
            absent.rebase(base);
            extent.storage.read(from, &mut buffer[base..base + length as usize], &mut absent)?;
        }
        for range in absent.into_ranges() {
            self.read(depth + 1, offset + range.start as u64, &mut buffer[range])?;
        }
        Ok(())
    }

    /// Adds to `answer` what the layers from `depth` on hold.
    fn map(&self, depth: usize, offset: u64, length: u64, answer: &mut Answer) -> Result<()> {
        let held = self.layers.get(depth).map_or(0, |layer| layer.size.saturating_sub(offset).min(length));
        if let Some(layer) = self.layers.get(depth) {
            for (extent, from, part) in layer.parts(offset, held) {
                extent.storage.map(from, part, &mut |run| {
                    let start = extent.start + run.offset;
                    match run.kind {
                        RunKind::Data => answer.push(start, run.length, ExtentKind::Data),
                        RunKind::Zero => answer.push(start, run.length, ExtentKind::Zero),
                        RunKind::Hole => answer.push(start, run.length, ExtentKind::Hole),
                        RunKind::Absent => self.map(depth + 1, start, run.length, answer)?,
                    }
                    Ok(())
                })?;
            }
        }
        if held < length {
            answer.push(offset + held, length - held, ExtentKind::Hole);
        }
        Ok(())
    }
}

impl Layer {
    /// The extents that the range touches, each with the first byte within it and the length.
    fn parts(&self, offset: u64, length: u64) -> impl Iterator<Item = (&Placed, u64, u64)> {
        let end = offset + length;
        let first = self.extents.partition_point(|extent| extent.start + extent.length <= offset);
        self.extents[first..].iter().take_while(move |extent| extent.start < end).map(move |extent| {
            let from = offset.max(extent.start);
            (extent, from - extent.start, end.min(extent.start + extent.length) - from)
        })
    }
}

impl BlockSource for Disk {
    fn size(&self) -> u64 {
        self.layers.first().map_or(0, |layer| layer.size)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if !buffer.is_empty() {
            self.check(offset, buffer.len() as u64)?;
            self.read(0, offset, buffer)?;
        }
        Ok(buffer.len())
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        if length == 0 {
            return Ok(Vec::new());
        }
        self.check(offset, length)?;
        let mut answer = Answer::new(u64::from(self.hints.alignment), offset, offset + length);
        self.map(0, offset, length, &mut answer)?;
        Ok(answer.into_extents())
    }

    fn hints(&self) -> Hints {
        self.hints
    }
}

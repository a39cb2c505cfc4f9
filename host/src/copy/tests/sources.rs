//! Sources made for the tests.

use std::sync::atomic::{AtomicU64, Ordering};

use vmdk2kvm_plugin_api::{BlockSource, Extent, ExtentKind, Hints, PluginError, Result};

/// A source described by its map alone; data bytes are a function of their offset. Counts what is asked of it.
pub(in super::super) struct MapSource {
    map: Vec<Extent>,
    size: u64,
    pub hints: Hints,
    /// Every data cluster whose number is a multiple of this holds zeros.
    pub zero_every: u64,
    pub reads: AtomicU64,
    pub maps: AtomicU64,
    /// The lowest offset that was read.
    pub lowest_read: AtomicU64,
}

impl MapSource {
    /// Runs of these lengths: data where the flag is set, else a hole (or, for odd numbers, a zero extent).
    pub(in super::super) fn alternating(runs: &[(u64, bool)]) -> Self {
        let mut offset = 0;
        let map: Vec<_> = runs
            .iter()
            .enumerate()
            .map(|(number, (length, data))| {
                let empty = if number % 2 == 0 { ExtentKind::Hole } else { ExtentKind::Zero };
                let extent = Extent::new(offset, *length, if *data { ExtentKind::Data } else { empty });
                offset += length;
                extent
            })
            .collect();
        Self::of(map)
    }

    pub(in super::super) fn of(map: Vec<Extent>) -> Self {
        let size = map.last().map_or(0, |extent| extent.offset + extent.length);
        Self {
            map,
            size,
            hints: Hints::default(),
            zero_every: u64::MAX,
            reads: AtomicU64::new(0),
            maps: AtomicU64::new(0),
            lowest_read: AtomicU64::new(u64::MAX),
        }
    }

    pub(in super::super) fn map(&self) -> &[Extent] {
        &self.map
    }

    pub(in super::super) fn data_bytes(&self) -> u64 {
        self.map.iter().filter(|extent| extent.kind == ExtentKind::Data).map(|extent| extent.length).sum()
    }

    /// The whole disk.
    pub(in super::super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.size as usize];
        for extent in self.map.iter().filter(|extent| extent.kind == ExtentKind::Data) {
            let range = extent.offset as usize..(extent.offset + extent.length) as usize;
            self.fill(extent.offset, &mut bytes[range]);
        }
        bytes
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) {
        let mut rest = buffer;
        let mut at = offset;
        while !rest.is_empty() {
            let (word, skip) = ((at / 8 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes(), (at % 8) as usize);
            let n = (8 - skip).min(rest.len());
            let (now, later) = rest.split_at_mut(n);
            let zero = (at >> 16) % self.zero_every == self.zero_every - 1;
            now.copy_from_slice(if zero { &[0; 8][..n] } else { &word[skip..skip + n] });
            (rest, at) = (later, at + n as u64);
        }
    }

    /// The extents from the first that ends past `offset`.
    fn from(&self, offset: u64) -> impl Iterator<Item = &Extent> {
        let first = self.map.partition_point(|extent| extent.offset + extent.length <= offset);
        self.map[first..].iter()
    }
}

impl BlockSource for MapSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.lowest_read.fetch_min(offset, Ordering::Relaxed);
        let end = offset + buffer.len() as u64;
        assert!(end <= self.size, "read {offset}..{end} of {}", self.size);
        buffer.fill(0);
        for extent in self.from(offset).take_while(|extent| extent.offset < end) {
            let (start, stop) = (extent.offset.max(offset), (extent.offset + extent.length).min(end));
            if extent.kind == ExtentKind::Data {
                self.fill(start, &mut buffer[(start - offset) as usize..(stop - offset) as usize]);
            }
        }
        Ok(buffer.len())
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        self.maps.fetch_add(1, Ordering::Relaxed);
        let end = offset + length;
        let part = self.from(offset).take_while(|extent| extent.offset < end);
        Ok(part
            .map(|extent| {
                let start = extent.offset.max(offset);
                Extent::new(start, (extent.offset + extent.length).min(end) - start, extent.kind)
            })
            .collect())
    }

    fn hints(&self) -> Hints {
        self.hints
    }
}

/// A source of data that behaves as a closure says.
pub(in super::super) struct Odd<F> {
    pub size: u64,
    pub hints: Hints,
    pub read: F,
}

impl<F: Fn(u64, &mut [u8]) -> Result<usize, PluginError> + Send + Sync> BlockSource for Odd<F> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        (self.read)(offset, buffer)
    }

    fn hints(&self) -> Hints {
        self.hints
    }
}

//! The content of attributes, wherever it is.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, Result};

use super::lznt1;
use super::record::Sizes;
use super::runs::Run;
use crate::bytes::{cannot, damaged, read_into};

/// The flags of an attribute: how it is compressed, encrypted, sparse.
const COMPRESSED: u16 = 0x00ff;
const ENCRYPTED: u16 = 0x4000;
const SPARSE: u16 = 0x8000;
/// The one kind of compression that there is.
const LZNT1: u16 = 1;
/// Most bytes that are compressed together: 16 clusters of 4 KiB.
const MAX_UNIT: u64 = 64 << 10;

/// Where the bytes of a volume are.
#[derive(Clone)]
pub struct Clusters {
    /// The device.
    pub source: Arc<dyn BlockSource>,
    /// Bytes of a cluster.
    pub size: u64,
}

/// The content of an attribute.
#[derive(Debug, Clone)]
pub enum Stream {
    /// In the record.
    Resident(Vec<u8>),
    /// In clusters.
    Placed(Placed),
}

/// Content in clusters.
#[derive(Debug, Clone)]
pub struct Placed {
    /// In order, the first at 0.
    pub runs: Vec<Run>,
    pub sizes: Sizes,
    flags: u16,
}

impl Placed {
    /// That of an attribute of these flags, whose parts were put together.
    pub fn new(runs: Vec<Run>, sizes: Sizes, flags: u16, cluster: u64) -> Result<Self> {
        let Sizes { allocated, size, initialized, unit } = sizes;
        let covered = runs.last().map_or(0, Run::end);
        if covered.checked_mul(cluster) != Some(allocated) || size > allocated || initialized > size {
            return Err(damaged("the sizes of a file and its clusters differ"));
        }
        if flags & !(COMPRESSED | ENCRYPTED | SPARSE) != 0 || !matches!(flags & COMPRESSED, 0 | LZNT1) {
            return Err(cannot(format!("the flags {flags:#x} of an attribute are not known")));
        }
        let is_packed = flags & COMPRESSED != 0;
        let unit_bytes = cluster.checked_shl(unit.into()).unwrap_or(0);
        if unit > 4 || is_packed && (unit == 0 || unit_bytes > MAX_UNIT) {
            return Err(cannot(format!("a file is compressed by units of 2^{unit} clusters")));
        }
        if flags & (COMPRESSED | SPARSE) == 0 && runs.iter().any(|run| run.place.is_none()) {
            return Err(damaged("a file has a hole and must have none"));
        }
        Ok(Self { runs, sizes, flags })
    }

    /// Reads from a place that lies in it, and as much as lies in it.
    pub fn read(&self, clusters: &Clusters, at: u64, out: &mut [u8]) -> Result<()> {
        if self.flags & ENCRYPTED != 0 {
            return Err(cannot("a file is encrypted (EFS)"));
        }
        let end = at.checked_add(out.len() as u64).filter(|end| *end <= self.sizes.size);
        let end = end.ok_or_else(|| damaged("a file ends before what is read of it"))?.min(self.sizes.initialized);
        out.fill(0);
        let Some(written) = end.checked_sub(at).filter(|length| *length > 0) else { return Ok(()) };
        let out = &mut out[..small(written)];
        if self.flags & COMPRESSED == 0 { self.fill(clusters, at, out) } else { self.unpack(clusters, at, out) }
    }

    /// Plain bytes; what is no cluster's stays as it is.
    fn fill(&self, clusters: &Clusters, at: u64, out: &mut [u8]) -> Result<()> {
        let end = at + out.len() as u64;
        let begin = self.runs.partition_point(|run| run.end() * clusters.size <= at);
        let mut next = at;
        for run in self.runs[begin..].iter().take_while(|run| run.first * clusters.size < end) {
            let (from, to) = ((run.first * clusters.size).max(at), (run.end() * clusters.size).min(end));
            if from != next {
                return Err(damaged("a list of clusters has a gap"));
            }
            next = to;
            let Some(place) = run.place else { continue };
            let place = place * clusters.size + (from - run.first * clusters.size);
            read_into(&clusters.source, place, &mut out[small(from - at)..small(to - at)])?;
        }
        if next == end { Ok(()) } else { Err(damaged("a list of clusters ends before its file")) }
    }

    fn unpack(&self, clusters: &Clusters, at: u64, out: &mut [u8]) -> Result<()> {
        let length = clusters.size << self.sizes.unit;
        let end = at + out.len() as u64;
        let mut start = at / length * length;
        while start < end {
            let unit = self.unit(clusters, start, length)?;
            let (from, to) = (start.max(at), (start + length).min(end));
            out[small(from - at)..small(to - at)].copy_from_slice(&unit[small(from - start)..small(to - start)]);
            start += length;
        }
        Ok(())
    }

    /// A unit: all clusters are there, and it is as it is; some, and it is compressed; none, and it is zeros.
    fn unit(&self, clusters: &Clusters, start: u64, length: u64) -> Result<Vec<u8>> {
        let bad = || damaged("a compressed file is damaged");
        let (first, count) = (start / clusters.size, length / clusters.size);
        let begin = self.runs.partition_point(|run| run.end() <= first);
        let (mut there, mut covered) = (0, 0);
        for run in self.runs[begin..].iter().take_while(|run| run.first < first + count) {
            let own = run.end().min(first + count) - run.first.max(first);
            if run.place.is_some() {
                if there < covered {
                    return Err(bad());
                }
                there += own;
            }
            covered += own;
        }
        if covered != count {
            return Err(bad());
        }
        let mut unit = vec![0; small(length)];
        if there == count {
            self.fill(clusters, start, &mut unit)?;
        } else if there > 0 {
            let mut raw = vec![0; small(there * clusters.size)];
            self.fill(clusters, start, &mut raw)?;
            lznt1::unpack(&raw, &mut unit)?;
        }
        Ok(unit)
    }
}

impl Stream {
    /// Bytes of it.
    pub fn size(&self) -> u64 {
        match self {
            Self::Resident(bytes) => bytes.len() as u64,
            Self::Placed(placed) => placed.sizes.size,
        }
    }

    /// All of it, when it is not longer than `most`.
    pub fn all(&self, clusters: &Clusters, most: u64) -> Result<Vec<u8>> {
        if self.size() > most {
            return Err(damaged(format!("{} bytes are more than the {most} that are read", self.size())));
        }
        self.begin(clusters, most)
    }

    /// The first bytes of it.
    pub fn begin(&self, clusters: &Clusters, bytes: u64) -> Result<Vec<u8>> {
        let length = small(self.size().min(bytes));
        match self {
            Self::Resident(content) => Ok(content[..length].to_vec()),
            Self::Placed(placed) => {
                let mut out = vec![0; length];
                placed.read(clusters, 0, &mut out)?;
                Ok(out)
            }
        }
    }
}

/// A length that was checked to be small.
fn small(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_testing::MemorySource;

    use super::*;

    fn run(first: u64, length: u64, place: Option<u64>) -> Run {
        Run { first, length, place }
    }

    fn sizes(allocated: u64, size: u64, initialized: u64, unit: u8) -> Sizes {
        Sizes { allocated, size, initialized, unit }
    }

    fn clusters() -> Clusters {
        let bytes: Vec<u8> = (0..64 * 512).map(|at| (at / 512) as u8).collect();
        Clusters { source: Arc::new(MemorySource::new(bytes)), size: 512 }
    }

    #[test]
    fn holes_and_what_was_never_written_are_zeros() {
        let runs = vec![run(0, 2, Some(10)), run(2, 1, None), run(3, 2, Some(5))];
        let placed = Placed::new(runs, sizes(2560, 2500, 2000, 0), SPARSE, 512).unwrap();
        let mut out = vec![9; 2500];
        placed.read(&clusters(), 0, &mut out).unwrap();
        let wanted: Vec<u8> = [vec![10; 512], vec![11; 512], vec![0; 512], vec![5; 464], vec![0; 500]].concat();
        assert!(out == wanted);
        let mut part = [9; 2];
        placed.read(&clusters(), 511, &mut part).unwrap();
        assert_eq!(part, [10, 11]);
        assert!(placed.read(&clusters(), 2499, &mut part).is_err());
    }

    #[test]
    fn a_unit_is_as_it_is_packed_or_zeros() {
        let mut bytes = vec![0; 64 * 512];
        bytes[20 * 512..21 * 512].fill(0);
        bytes[20 * 512..20 * 512 + 7].copy_from_slice(&[4, 0xb0, 0b100, b'a', b'b', 0x07, 0x10]);
        bytes[30 * 512..46 * 512].fill(7);
        let clusters = Clusters { source: Arc::new(MemorySource::new(bytes)), size: 512 };
        let runs = vec![run(0, 1, Some(20)), run(1, 31, None), run(32, 16, Some(30))];
        let placed = Placed::new(runs, sizes(48 * 512, 48 * 512, 48 * 512, 4), LZNT1, 512).unwrap();
        let mut out = vec![9; 48 * 512];
        placed.read(&clusters, 0, &mut out).unwrap();
        assert!(out[..12] == *b"abababababab" && out[12..32 * 512].iter().all(|byte| *byte == 0));
        assert!(out[32 * 512..].iter().all(|byte| *byte == 7));
        // A hole before clusters of the same unit is none that Windows makes.
        let wrong = vec![run(0, 1, None), run(1, 1, Some(20)), run(2, 14, None)];
        let wrong = Placed::new(wrong, sizes(16 * 512, 9, 9, 4), LZNT1, 512).unwrap();
        assert!(wrong.read(&clusters, 0, &mut [0; 9]).is_err());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let whole = || vec![run(0, 2, Some(10))];
        for (runs, sizes, flags) in [
            (whole(), sizes(512, 5, 5, 0), 0),
            (whole(), sizes(1024, 1025, 5, 0), 0),
            (whole(), sizes(1024, 5, 6, 0), 0),
            (whole(), sizes(1024, 5, 5, 0), LZNT1),
            (whole(), sizes(1024, 5, 5, 4), 2),
            (whole(), sizes(1024, 5, 5, 0), 0x200),
            (vec![run(0, 2, None)], sizes(1024, 5, 5, 0), 0),
        ] {
            assert!(Placed::new(runs, sizes, flags, 512).is_err(), "{sizes:?} {flags:#x}");
        }
        let encrypted = Placed::new(whole(), sizes(1024, 5, 5, 0), ENCRYPTED, 512).unwrap();
        assert_eq!(encrypted.read(&clusters(), 0, &mut [0]).unwrap_err().message, "a file is encrypted (EFS)");
    }
}

//! Disks made by code: the formats that no program at hand can write, with contents that are known.
//!
//! Uses nothing of the reader under test, so that the fuzz targets and the tests share it.

pub mod cowd;
pub mod damaged;
pub mod damaged_sparse;
pub mod hosted;
pub mod samples;
pub mod se_sparse;
pub mod stream;

/// What a link says about one grain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Absent,
    Zero,
    Data(Vec<u8>),
}

/// A small generator of reproducible noise. The seed is not zero.
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Bytes that compress by about half.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count.div_ceil(8)).flat_map(|_| (self.next() & 0x00ff_00ff_00ff_00ff).to_le_bytes()).take(count).collect()
    }

    /// Cells of a disk: stretches of each kind, of very different lengths. `zeros` says whether the format has zero grains.
    pub fn cells(&mut self, count: usize, grain: usize, zeros: bool) -> Vec<Cell> {
        let mut cells = Vec::with_capacity(count);
        while cells.len() < count {
            let longest = 1 << self.below(1 + u64::from(count.ilog2()));
            let length = (1 + self.below(longest)).min((count - cells.len()) as u64);
            let kind = self.below(3);
            for _ in 0..length {
                cells.push(match kind {
                    0 => Cell::Data(self.bytes(grain)),
                    1 if zeros => Cell::Zero,
                    _ => Cell::Absent,
                });
            }
        }
        cells
    }

    /// The numbers below `count` in the order in which a guest might have written them: mostly forward, sometimes elsewhere.
    pub fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for _ in 0..count / 16 {
            let (one, other) = (self.below(count as u64) as usize, self.below(count as u64) as usize);
            order.swap(one, other);
        }
        order
    }
}

/// The bytes that a guest sees: `cells` above `below`, cut to `capacity`.
pub fn flat(cells: &[Cell], grain: usize, capacity: usize, below: &[u8]) -> Vec<u8> {
    let mut disk = below.to_vec();
    disk.resize(capacity, 0);
    for (cell, part) in cells.iter().zip(disk.chunks_mut(grain)) {
        match cell {
            Cell::Absent => {}
            Cell::Zero => part.fill(0),
            Cell::Data(bytes) => part.copy_from_slice(&bytes[..part.len()]),
        }
    }
    disk
}

/// A descriptor of one extent. `parent` is a content id and a name.
pub fn descriptor(create_type: &str, cid: u32, parent: Option<(u32, &str)>, extents: &str) -> String {
    let (parent_cid, hint) = match parent {
        Some((cid, name)) => (cid, format!("parentFileNameHint=\"{name}\"\n")),
        None => (0xffff_ffff, String::new()),
    };
    format!(
        "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID={cid:08x}\nparentCID={parent_cid:08x}\n\
         isNativeSnapshot=\"no\"\ncreateType=\"{create_type}\"\n{hint}\n# Extent description\n{extents}\n\
         # Change Tracking File\nchangeTrackPath=\"disk-ctk.vmdk\"\n\n# The Disk Data Base\n#DDB\n\nddb.longContentID = \"1\"\n"
    )
}

/// Writes a number at a place.
pub fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

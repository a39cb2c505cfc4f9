//! The header, the bins, and the cells that tile them; who refers to a cell claims it.

use super::{Fault, Faults};

const BASE: usize = 4096;
const BIN: usize = 4096;
const BIN_HEADER: usize = 32;

/// A number inside of bytes, if it is there.
pub fn u32_in(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|number| u32::from_le_bytes(*number))
}

/// A number inside of bytes, if it is there.
pub fn u16_in(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|number| u16::from_le_bytes(*number))
}

/// The cells of a hive.
pub struct Cells<'a> {
    bins: &'a [u8],
    /// Where used cells begin, and which of them something refers to.
    used: Bits,
    claimed: Bits,
    pub root: u32,
    /// Behind the dot of the version.
    pub minor: u32,
}

impl<'a> Cells<'a> {
    /// Fails when there is no way to say where the cells are.
    pub fn read(bytes: &'a [u8], faults: &mut Faults) -> Result<Self, Vec<Fault>> {
        let (bins, root, minor) = header(bytes, faults).ok_or_else(|| std::mem::take(&mut faults.0))?;
        let mut used = Bits::new(bins.len());
        let mut at = 0;
        while at < bins.len() {
            let end = bin(bins, at, &mut used, faults).ok_or_else(|| std::mem::take(&mut faults.0))?;
            at = end;
        }
        Ok(Self { bins, claimed: Bits::new(bins.len()), used, root, minor })
    }

    /// The content of a used cell, of which it takes possession.
    pub fn claim(&mut self, at: u32, faults: &mut Faults) -> Option<&'a [u8]> {
        let cell = self.look(at, faults)?;
        if self.is_claimed(at) {
            faults.add(at, "two things refer to this cell");
            return None;
        }
        self.claimed.set(at as usize);
        Some(cell)
    }

    /// The same of a cell that begins with these letters and has this length at least.
    pub fn claim_as(&mut self, at: u32, kind: &[u8; 2], length: usize, faults: &mut Faults) -> Option<&'a [u8]> {
        let cell = self.claim(at, faults)?;
        let found = Some(cell).filter(|cell| cell.len() >= length && cell.starts_with(kind));
        faults.expect(found, at, &format!("this cell should be of the kind \"{}\"", String::from_utf8_lossy(kind)))
    }

    /// The content of a used cell.
    pub fn look(&self, at: u32, faults: &mut Faults) -> Option<&'a [u8]> {
        if at as usize >= self.bins.len() || at % 8 != 0 || !self.used.get(at as usize) {
            faults.add(at, "something refers to this place, where no used cell begins");
            return None;
        }
        // The length of a used cell was looked at when it was marked as one.
        let length = u32_in(self.bins, at as usize)?.wrapping_neg() as usize;
        self.bins.get(at as usize + 4..at as usize + length)
    }

    pub fn is_claimed(&self, at: u32) -> bool {
        self.claimed.get(at as usize)
    }

    /// How many used cells nothing refers to.
    pub fn lost(&self) -> usize {
        self.used.count() - self.claimed.count()
    }
}

/// The bins, the root's cell and the version's second part.
fn header<'a>(bytes: &'a [u8], faults: &mut Faults) -> Option<(&'a [u8], u32, u32)> {
    let header = faults.expect(bytes.get(..BASE), 0, "the file is shorter than a hive's header")?;
    let word = |at: usize| u32_in(header, at).unwrap_or_default();
    let sum = (0..127).fold(0, |sum, index| sum ^ word(index * 4));
    let sum = match sum {
        0 => 1,
        0xffff_ffff => 0xffff_fffe,
        sum => sum,
    };
    let facts = [
        (header.starts_with(b"regf"), "the file does not begin with \"regf\""),
        (word(508) == sum, "the checksum of the header is wrong"),
        (word(20) == 1 && (3..=6).contains(&word(24)), "the version is none of 1.3 to 1.6"),
        (word(28) == 0 && word(32) == 1, "the file is no hive but of another kind"),
        (word(4) == word(8), "the two sequence numbers differ: its logs were not replayed"),
        (word(40) > 0 && word(40) as usize % BIN == 0, "the length of the bins is no number of 4 KiB steps"),
    ];
    for (_, what) in facts.iter().filter(|(holds, _)| !holds) {
        faults.add(0, *what);
    }
    let bins = bytes.get(BASE..BASE + word(40) as usize);
    let bins = faults.expect(bins, 0, "the bins are longer than the file")?;
    if facts[5].0 { Some((bins, word(36), word(24))) } else { None }
}

/// Marks the used cells of a bin, and says where it ends.
fn bin(bins: &[u8], at: usize, used: &mut Bits, faults: &mut Faults) -> Option<usize> {
    let place = u32::try_from(at).ok()?;
    let rest = &bins[at..];
    let length = u32_in(rest, 8)? as usize;
    let bad = match length {
        _ if !rest.starts_with(b"hbin") => "no bin begins here",
        _ if u32_in(rest, 4)? != place => "a bin says that it is elsewhere",
        0 => "a bin has no length",
        length if length % BIN != 0 || length > rest.len() => {
            "a bin's length is no number of 4 KiB steps inside of the hive"
        }
        _ => "",
    };
    if !bad.is_empty() {
        faults.add(place, bad);
        return None;
    }
    let mut cell = BIN_HEADER;
    while cell < length {
        let size = i32::from_le_bytes(u32_in(rest, cell)?.to_le_bytes());
        let bytes = size.unsigned_abs() as usize;
        if bytes < 8 || bytes % 8 != 0 || bytes > length - cell {
            faults.add(u32::try_from(at + cell).ok()?, "a cell's length is not in steps of 8 inside of its bin");
            return None;
        }
        if size < 0 {
            used.set(at + cell);
        }
        cell += bytes;
    }
    Some(at + length)
}

/// A bit for every eighth byte.
struct Bits(Vec<u64>);

impl Bits {
    fn new(bytes: usize) -> Self {
        Self(vec![0; bytes / 512 + 1])
    }

    fn set(&mut self, at: usize) {
        self.0[at / 512] |= 1 << (at / 8 % 64);
    }

    fn get(&self, at: usize) -> bool {
        self.0[at / 512] >> (at / 8 % 64) & 1 != 0
    }

    fn count(&self) -> usize {
        self.0.iter().map(|bits| bits.count_ones() as usize).sum()
    }
}

//! Samples of a finished image, held against the source: a last look at what all rounds came to.

use std::fs::File;
use std::io::Read;

use vmdk2kvm_plugin_api::{BlockSource, ExtentKind, PluginError, Result, read_exact_at};

use crate::copy::map_walk::MapWalk;

/// Samples of a disk.
const SAMPLES: u64 = 256;
/// Bytes of a sample.
const LENGTH: u64 = 64 << 10;
/// How far from a place data is looked for, in bytes.
const FAR: u64 = 1 << 30;

/// Compares random places of a disk with its image, every other one where the image has data. Returns the bytes that were compared, or where the first
/// difference lies.
pub(super) fn compare(
    source: &dyn BlockSource,
    image: &dyn BlockSource,
    cancelled: &dyn Fn() -> bool,
) -> Result<Result<u64, u64>> {
    let (size, mut random) = (source.size(), Random::new()?);
    let [mut one, mut other] = [vec![0; LENGTH as usize], vec![0; LENGTH as usize]];
    let mut compared = 0;
    for sample in 0..SAMPLES.min(size.div_ceil(LENGTH)) {
        if cancelled() {
            return Err(PluginError::interrupted());
        }
        let mut at = random.next() % size;
        if sample % 2 == 1 {
            at = data_behind(image, at, size)?.unwrap_or(at);
        }
        at -= at % LENGTH;
        let length = LENGTH.min(size - at) as usize;
        read_exact_at(source, at, &mut one[..length])?;
        read_exact_at(image, at, &mut other[..length])?;
        if one[..length] != other[..length] {
            return Ok(Err(at));
        }
        compared += length as u64;
    }
    Ok(Ok(compared))
}

/// The first byte of data at a place or behind it, not too far.
fn data_behind(image: &dyn BlockSource, at: u64, size: u64) -> Result<Option<u64>> {
    let mut walk = MapWalk::new(image, at, size.min(at.saturating_add(FAR)));
    while let Some(extents) = walk.next()? {
        if let Some(found) = extents.iter().find(|extent| extent.kind == ExtentKind::Data) {
            return Ok(Some(found.offset));
        }
    }
    Ok(None)
}

/// Numbers that nobody who chooses what lies on a disk can foresee.
struct Random(u64);

impl Random {
    fn new() -> Result<Self> {
        let mut seed = [0; 8];
        let read = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut seed));
        read.map_err(|error| PluginError::from_io("/dev/urandom", &error))?;
        Ok(Self(u64::from_ne_bytes(seed) | 1))
    }

    /// xorshift64.
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::FileSource;

    #[test]
    fn a_difference_is_found_and_sameness_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let disk = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(name), bytes).unwrap();
            FileSource::open(&folder.path().join(name)).unwrap()
        };
        // Few enough places that each is looked at many times over.
        let one = disk("one", &[7; 3 * 65_536 + 512]);
        let same = disk("same", &[7; 3 * 65_536 + 512]);
        assert!(compare(&one, &same, &|| false).unwrap().unwrap() > 0);
        let differs = disk("differs", &[8; 3 * 65_536 + 512]);
        assert_eq!(compare(&one, &differs, &|| false).unwrap().unwrap_err() % 65_536, 0);
        assert!(compare(&one, &same, &|| true).is_err());
    }
}

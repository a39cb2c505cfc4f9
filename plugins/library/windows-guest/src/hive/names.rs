//! Names of keys and values: UTF-16 units, stored as Latin-1 where each fits, and compared by Windows' upper case.

use std::cmp::Ordering;

use super::upcase::upcase;

/// A name as it is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    pub bytes: &'a [u8],
    /// One byte a unit, instead of two.
    pub compressed: bool,
}

impl<'a> Name<'a> {
    pub fn units(self) -> impl Iterator<Item = u16> + 'a {
        let width = if self.compressed { 1 } else { 2 };
        self.bytes
            .chunks_exact(width)
            .map(|unit| u16::from(unit[0]) | unit.get(1).map_or(0, |high| u16::from(*high) << 8))
    }

    /// For people; what is no Unicode becomes a replacement character.
    pub fn text(self) -> String {
        char::decode_utf16(self.units()).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    }

    pub fn is(self, other: &str) -> bool {
        // A stored name with a unit that is no Unicode equals no text.
        compare(self.units(), other.encode_utf16()) == Ordering::Equal
    }
}

/// As Windows sorts the keys below a key, and finds names.
pub(super) fn compare(a: impl Iterator<Item = u16>, b: impl Iterator<Item = u16>) -> Ordering {
    a.map(upcase).cmp(b.map(upcase))
}

/// The same for names that are equal to [`compare`].
pub(super) fn folded(name: &str) -> Vec<u16> {
    name.encode_utf16().map(upcase).collect()
}

/// A name as it is to be stored.
pub(super) struct Stored {
    pub bytes: Vec<u8>,
    /// One byte a unit, instead of two.
    pub compressed: bool,
}

/// A name as Windows stores it.
pub(super) fn stored(name: &str) -> Stored {
    let letters: Option<Vec<u8>> = name.encode_utf16().map(|unit| u8::try_from(unit).ok()).collect();
    match letters {
        Some(bytes) => Stored { bytes, compressed: true },
        None => Stored { bytes: name.encode_utf16().flat_map(u16::to_le_bytes).collect(), compressed: false },
    }
}

/// What stands beside a name in a list of keys.
pub(super) fn hash(name: impl Iterator<Item = u16>) -> u32 {
    name.fold(0, |hash, unit| hash.wrapping_mul(37).wrapping_add(upcase(unit).into()))
}

/// The parts of a path.
pub(super) fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('\\').filter(|part| !part.is_empty())
}

//! Reading a hive: its keys by way of their lists, and their values. Nothing is copied but what is asked for.
//!
//! The bytes are hostile. Every reference is bounded; a key is reached by one way only (its list names it once, and it names the key it was
//! reached from), so no walk over a hive meets a cell twice, whatever refers to what; and no key lies deeper than Windows allows.

use std::collections::HashSet;

use super::base::{self, Base, u16_at, u32_at};
use super::layout::{BIG_DATA_SINCE, DEEPEST, INSIDE, NOTHING, SEGMENT, key, list, value};
use super::names::{self, Name, folded};
use super::upcase::upcase;
use super::{HiveError, Value};

/// A registry hive in memory.
#[derive(Debug, Clone)]
pub struct Hive {
    bytes: Vec<u8>,
    base: Base,
}

impl Hive {
    /// Opens a hive, which looks at its header and its root alone.
    pub fn open(bytes: Vec<u8>) -> Result<Self, HiveError> {
        let base = Base::read(&bytes)?;
        if base.kind != 0 {
            return Err(HiveError::NoHive("it is a hive's log".to_owned()));
        }
        let room = bytes.len().checked_sub(base::LENGTH);
        if room.is_none_or(|room| base.bins as usize > room) {
            let room = room.unwrap_or_default();
            return Err(HiveError::NoHive(format!("it is cut: {} bytes of bins in {room}", base.bins)));
        }
        let hive = Self { bytes, base };
        hive.key_at(base.root)?;
        Ok(hive)
    }

    /// Whether it was being written when it was left: what is in its logs is missing here.
    pub fn pending(&self) -> bool {
        self.base.first != self.base.second
    }

    /// The bytes it was opened from.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The topmost key. It has a name that no path names.
    pub fn root(&self) -> Key<'_> {
        Key { hive: self, cell: self.base.root, depth: 0 }
    }

    /// The key at a path from the root, parts joined by backslashes, in any case; empty: the root.
    pub fn key(&self, path: &str) -> Result<Option<Key<'_>>, HiveError> {
        self.root().key(path)
    }

    /// A used cell's content.
    fn cell(&self, at: u32) -> Result<&[u8], HiveError> {
        let bins = &self.bytes[base::LENGTH..][..self.base.bins as usize];
        let start = at as usize;
        let header = bins.get(start..).and_then(|rest| rest.first_chunk::<4>());
        let Some(header) = header.filter(|_| start >= base::BIN_HEADER && start % 8 == 0) else {
            return Err(HiveError::damaged(at, "no cell can be there"));
        };
        let length = i32::from_le_bytes(*header);
        if length >= 0 {
            return Err(HiveError::damaged(at, "something refers to a cell that is free"));
        }
        let end = start.saturating_add(length.unsigned_abs() as usize);
        bins.get(start + 4..end).ok_or_else(|| HiveError::damaged(at, "a cell is longer than the hive, or has no room"))
    }

    /// The content of a cell of this kind and at least this length.
    fn cell_of(&self, at: u32, kind: &[u8; 2], length: usize) -> Result<&[u8], HiveError> {
        let cell = self.cell(at)?;
        if cell.len() < length || !cell.starts_with(kind) {
            let kind = String::from_utf8_lossy(kind);
            return Err(HiveError::damaged(at, format!("no cell of the kind \"{kind}\" is where one is expected")));
        }
        Ok(cell)
    }

    /// The content of a key's cell, and its name.
    fn key_at(&self, at: u32) -> Result<(&[u8], Name<'_>), HiveError> {
        let cell = self.cell_of(at, b"nk", key::NAME)?;
        let bytes = cell.get(key::NAME..key::NAME + usize::from(u16_at(cell, key::NAME_LENGTH)));
        let bytes = bytes.ok_or_else(|| HiveError::damaged(at, "a key's name is longer than its cell"))?;
        Ok((cell, Name { bytes, compressed: u16_at(cell, key::FLAGS) & key::COMPRESSED != 0 }))
    }

    /// The places that a list of this many names.
    fn places(&self, at: u32, count: usize) -> Result<impl Iterator<Item = u32>, HiveError> {
        let list = self.cell(at)?.get(..count.saturating_mul(4));
        let list = list.ok_or_else(|| HiveError::damaged(at, format!("a list has no room for {count} entries")))?;
        Ok(list.chunks_exact(4).map(|place| u32_at(place, 0)))
    }

    /// The data that is `length` long at a place.
    fn data(&self, at: u32, length: usize) -> Result<Vec<u8>, HiveError> {
        if length > self.base.bins as usize {
            return Err(HiveError::damaged(at, "a value is longer than the hive"));
        }
        if length <= SEGMENT || self.base.minor < BIG_DATA_SINCE {
            let data = self.cell(at)?.get(..length);
            return data.map(<[u8]>::to_vec).ok_or_else(|| HiveError::damaged(at, "a value is longer than its cell"));
        }
        let record = self.cell_of(at, b"db", 8)?;
        let mut data = Vec::with_capacity(length);
        for place in self.places(u32_at(record, 4), u16_at(record, 2).into())? {
            let segment = self.cell(place)?;
            data.extend_from_slice(&segment[..segment.len().min(SEGMENT).min(length - data.len())]);
        }
        if data.len() < length {
            return Err(HiveError::damaged(at, "a value is longer than its segments"));
        }
        Ok(data)
    }
}

/// A key of a hive.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    hive: &'a Hive,
    cell: u32,
    depth: u32,
}

impl<'a> Key<'a> {
    /// Its name; what is no Unicode in it is replaced.
    pub fn name(&self) -> String {
        // Whoever made this key has read its cell.
        self.hive.key_at(self.cell).map(|(_, name)| name.text()).unwrap_or_default()
    }

    /// The key at a path from here, parts joined by backslashes, in any case; empty: this key.
    pub fn key(&self, path: &str) -> Result<Option<Key<'a>>, HiveError> {
        let mut key = *self;
        for part in names::parts(path) {
            let Some(next) = key.subkey(part)? else { return Ok(None) };
            key = next;
        }
        Ok(Some(key))
    }

    /// The keys below it, in Windows' order.
    pub fn subkeys(&self) -> Result<Vec<Key<'a>>, HiveError> {
        let mut met = HashSet::new();
        let mut keys = Vec::new();
        for (cell, _) in self.entries()? {
            if !met.insert(cell) {
                return Err(HiveError::damaged(cell, "a list names a key twice"));
            }
            keys.push(self.child(cell)?.0);
        }
        Ok(keys)
    }

    /// The key of this name below it, in any case.
    pub fn subkey(&self, name: &str) -> Result<Option<Key<'a>>, HiveError> {
        let folded = folded(name);
        let hash = names::hash(folded.iter().copied());
        for (cell, hint) in self.entries()? {
            if hint.is_some_and(|hint| hint != hash) {
                continue;
            }
            let (key, found) = self.child(cell)?;
            if found.units().map(upcase).eq(folded.iter().copied()) {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// All its values, in the order in which they are stored.
    pub fn values(&self) -> Result<Vec<Value>, HiveError> {
        let mut room = self.hive.base.bins as usize;
        let mut values = Vec::new();
        for stored in self.stored()? {
            let value = self.read(&stored)?;
            // In a sound hive no two values share their data.
            room = room
                .checked_sub(value.data.len())
                .ok_or_else(|| HiveError::damaged(stored.at, "values share their data"))?;
            values.push(value);
        }
        Ok(values)
    }

    /// The value of this name, in any case; empty: the default value.
    pub fn value(&self, name: &str) -> Result<Option<Value>, HiveError> {
        let stored = self.stored()?.into_iter().find(|stored| stored.name.is(name));
        stored.map(|stored| self.read(&stored)).transpose()
    }

    /// Where the keys below it are, with the hash of their names where the list has one.
    fn entries(&self) -> Result<Vec<(u32, Option<u32>)>, HiveError> {
        let (cell, _) = self.hive.key_at(self.cell)?;
        let (count, place) = (u32_at(cell, key::SUBKEYS), u32_at(cell, key::LIST));
        let mut entries = Vec::new();
        if count == 0 || place == NOTHING {
            return Ok(entries);
        }
        let head = self.hive.cell(place)?;
        if head.starts_with(list::INDEX) {
            for leaf in rows(place, head, 4)? {
                self.leaf(u32_at(leaf, 0), count, &mut entries)?;
            }
        } else {
            self.leaf(place, count, &mut entries)?;
        }
        Ok(entries)
    }

    /// Adds the entries of a list of keys.
    fn leaf(&self, at: u32, count: u32, entries: &mut Vec<(u32, Option<u32>)>) -> Result<(), HiveError> {
        let list = self.hive.cell(at)?;
        match list.get(..2) {
            Some(b"lh") => entries.extend(rows(at, list, 8)?.map(|row| (u32_at(row, 0), Some(u32_at(row, 4))))),
            Some(b"lf") => entries.extend(rows(at, list, 8)?.map(|row| (u32_at(row, 0), None))),
            Some(b"li") => entries.extend(rows(at, list, 4)?.map(|row| (u32_at(row, 0), None))),
            _ => return Err(HiveError::damaged(at, "no list of keys is where one is expected")),
        }
        if entries.len() > count as usize {
            return Err(HiveError::damaged(at, format!("a list has more than the {count} keys it should have")));
        }
        Ok(())
    }

    /// A key that this one's list names, and its name.
    fn child(&self, cell: u32) -> Result<(Key<'a>, Name<'a>), HiveError> {
        let (content, name) = self.hive.key_at(cell)?;
        if u32_at(content, key::PARENT) != self.cell || cell == self.hive.base.root {
            return Err(HiveError::damaged(cell, "a key lies below another one than it says"));
        }
        if self.depth == DEEPEST {
            return Err(HiveError::damaged(cell, format!("keys lie more than {DEEPEST} deep")));
        }
        Ok((Key { hive: self.hive, cell, depth: self.depth + 1 }, name))
    }

    fn stored(&self) -> Result<Vec<Stored<'a>>, HiveError> {
        let (cell, _) = self.hive.key_at(self.cell)?;
        let count = u32_at(cell, key::VALUES) as usize;
        if count == 0 || u16_at(cell, key::FLAGS) & key::PREDEFINED != 0 {
            return Ok(Vec::new());
        }
        let value = |at: u32| {
            let cell = self.hive.cell_of(at, b"vk", value::NAME)?;
            let bytes = cell.get(value::NAME..value::NAME + usize::from(u16_at(cell, value::NAME_LENGTH)));
            let bytes = bytes.ok_or_else(|| HiveError::damaged(at, "a value's name is longer than its cell"))?;
            let name = Name { bytes, compressed: u16_at(cell, value::FLAGS) & value::COMPRESSED != 0 };
            Ok(Stored { at, cell, name })
        };
        self.hive.places(u32_at(cell, key::VALUE_LIST), count)?.map(value).collect()
    }

    fn read(&self, &Stored { at, cell, name }: &Stored<'_>) -> Result<Value, HiveError> {
        let length = u32_at(cell, value::LENGTH);
        let data = match length & !INSIDE {
            inside @ 0..=4 if length & INSIDE != 0 => cell[value::DATA..value::DATA + inside as usize].to_vec(),
            _ if length & INSIDE != 0 => {
                return Err(HiveError::damaged(at, "a value is longer than the four bytes it has room for"));
            }
            0 => Vec::new(),
            length => self.hive.data(u32_at(cell, value::DATA), length as usize)?,
        };
        Ok(Value { name: name.text(), type_number: u32_at(cell, value::TYPE), data })
    }
}

/// A value's cell: its place, its content, and its name.
struct Stored<'a> {
    at: u32,
    cell: &'a [u8],
    name: Name<'a>,
}

/// The rows of a list that begins with its kind and their number.
fn rows(at: u32, list: &[u8], width: usize) -> Result<impl Iterator<Item = &[u8]>, HiveError> {
    let count = if list.len() < 4 { 0 } else { usize::from(u16_at(list, 2)) };
    let rows = list.get(4..4 + count * width);
    let rows = rows.ok_or_else(|| HiveError::damaged(at, format!("a list has no room for {count} entries")))?;
    Ok(rows.chunks_exact(width))
}

//! The cells of a hive that is being edited: taken, given back, and new bins when none is free.

use std::collections::{BTreeMap, BTreeSet};

use super::super::base::{self, BIN, BIN_HEADER, put_u32, u32_at};
use super::EditError;

/// Bins are no longer: places are numbers whose upper half meant something else once.
const LONGEST_BINS: usize = 0x7fff_f000;

/// The cells of a sound hive. A place is what the checker proved, or what was given out here.
pub struct Cells {
    /// The header and the bins, nothing behind them.
    bytes: Vec<u8>,
    /// What is free: its length by its place, and the other way round.
    free: BTreeMap<u32, u32>,
    by_length: BTreeSet<(u32, u32)>,
}

impl Cells {
    /// The cells of a hive that the checker found sound.
    pub fn open(mut bytes: Vec<u8>, bins: u32) -> Self {
        // Behind the bins nothing means anything.
        bytes.truncate(base::LENGTH + bins as usize);
        let mut cells = Self { bytes, free: BTreeMap::new(), by_length: BTreeSet::new() };
        let mut at = 0;
        while at < bins {
            let end = at + u32_at(&cells.bytes, base::LENGTH + at as usize + 8);
            at += BIN_HEADER as u32;
            while at < end {
                let length = cells.length(at);
                if length > 0 {
                    cells.add_free(at, length.unsigned_abs());
                }
                at += length.unsigned_abs();
            }
        }
        cells
    }

    /// The hive, and the length of its bins.
    pub fn into_bytes(self) -> (Vec<u8>, u32) {
        let bins = self.bins();
        (self.bytes, bins)
    }

    pub fn get(&self, at: u32) -> &[u8] {
        let start = base::LENGTH + at as usize;
        &self.bytes[start + 4..start + self.length(at).unsigned_abs() as usize]
    }

    pub fn get_mut(&mut self, at: u32) -> &mut [u8] {
        let start = base::LENGTH + at as usize;
        let end = start + self.length(at).unsigned_abs() as usize;
        &mut self.bytes[start + 4..end]
    }

    /// A new cell that has room for so many bytes, all of them zero.
    pub fn allocate(&mut self, length: usize) -> Result<u32, EditError> {
        let needed = (length + 4).next_multiple_of(8);
        if needed > LONGEST_BINS - BIN {
            return Err(EditError::Full);
        }
        let needed = needed as u32;
        let (room, at) = match self.by_length.range((needed, 0)..).next() {
            Some(found) => *found,
            None => self.grow(needed)?,
        };
        self.take_free(at);
        if room > needed {
            self.set_free(at + needed, room - needed);
        }
        self.set_length(at, -i64::from(needed));
        self.get_mut(at).fill(0);
        Ok(at)
    }

    /// A new cell that holds this.
    pub fn store(&mut self, content: &[u8]) -> Result<u32, EditError> {
        let at = self.allocate(content.len())?;
        self.get_mut(at)[..content.len()].copy_from_slice(content);
        Ok(at)
    }

    /// A cell with the same content that has room for so many bytes: the same one where it has, else a longer one.
    pub fn lengthen(&mut self, at: u32, length: usize) -> Result<u32, EditError> {
        let content = self.get(at);
        if content.len() >= length {
            return Ok(at);
        }
        let content = content.to_vec();
        let new = self.allocate(length)?;
        self.get_mut(new)[..content.len()].copy_from_slice(&content);
        self.release(at);
        Ok(new)
    }

    /// Gives a cell back. What is free beside it in its bin becomes one with it: between two bins there is a header.
    pub fn release(&mut self, at: u32) {
        let (mut at, mut length) = (at, self.length(at).unsigned_abs());
        if let Some(next) = self.take_free(at + length) {
            length += next;
        }
        if let Some((before, room)) = self.free.range(..at).next_back().map(|(before, room)| (*before, *room)) {
            if before + room == at {
                self.take_free(before);
                (at, length) = (before, length + room);
            }
        }
        self.set_free(at, length);
    }

    /// A new bin at the end, and its one free cell: its length and place.
    fn grow(&mut self, needed: u32) -> Result<(u32, u32), EditError> {
        let at = self.bins();
        let length = (needed as usize + BIN_HEADER).next_multiple_of(BIN);
        if at as usize + length > LONGEST_BINS {
            return Err(EditError::Full);
        }
        let start = self.bytes.len();
        self.bytes.resize(start + length, 0);
        self.bytes[start..start + 4].copy_from_slice(b"hbin");
        put_u32(&mut self.bytes, start + 4, at);
        put_u32(&mut self.bytes, start + 8, length as u32);
        let (cell, room) = (at + BIN_HEADER as u32, (length - BIN_HEADER) as u32);
        self.set_free(cell, room);
        Ok((room, cell))
    }

    fn bins(&self) -> u32 {
        (self.bytes.len() - base::LENGTH) as u32
    }

    /// Negative: it is used.
    fn length(&self, at: u32) -> i32 {
        i32::from_le_bytes(u32_at(&self.bytes, base::LENGTH + at as usize).to_le_bytes())
    }

    fn set_length(&mut self, at: u32, length: i64) {
        put_u32(&mut self.bytes, base::LENGTH + at as usize, length as u32);
    }

    fn set_free(&mut self, at: u32, length: u32) {
        self.set_length(at, length.into());
        self.add_free(at, length);
    }

    fn add_free(&mut self, at: u32, length: u32) {
        self.free.insert(at, length);
        self.by_length.insert((length, at));
    }

    /// The length of what was free at a place.
    fn take_free(&mut self, at: u32) -> Option<u32> {
        let length = self.free.remove(&at)?;
        self.by_length.remove(&(length, at));
        Some(length)
    }
}

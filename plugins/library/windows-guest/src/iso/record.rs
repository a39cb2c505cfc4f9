//! Directory records of ISO 9660.

use super::SECTOR;

/// One record of a folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    bytes: &'a [u8],
    block: u32,
    pub size: u64,
    flags: u8,
    /// As it is written.
    pub name: &'a [u8],
}

impl<'a> Record<'a> {
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        // Extended attributes lie before the content.
        let block = word(2)?.checked_add(u32::from(*bytes.get(1)?))?;
        let length = usize::from(*bytes.get(32)?);
        Some(Self {
            bytes,
            block,
            size: u64::from(word(10)?),
            flags: *bytes.get(25)?,
            name: bytes.get(33..33 + length)?,
        })
    }

    pub fn offset(&self) -> u64 {
        u64::from(self.block) * SECTOR
    }

    pub fn is_folder(&self) -> bool {
        self.flags & 2 != 0
    }

    /// Whether the next record is the rest of this file.
    pub fn continues(&self) -> bool {
        self.flags & 0x80 != 0
    }

    /// The folder itself, or the one above.
    pub fn is_dot(&self) -> bool {
        matches!(self.name, [0] | [1])
    }

    /// What follows the name: padding makes the name's end even.
    pub fn system_use(&self) -> &'a [u8] {
        let end = 33 + self.name.len();
        self.bytes.get(end + (end & 1)..).unwrap_or(&[])
    }
}

/// The records of a folder. None crosses a sector; a broken one ends the folder.
pub(super) struct Records<'a>(pub &'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let length = usize::from(*self.0.first()?);
            if length == 0 {
                // The rest of this sector is empty. What is left counts from the folder's end, which is at a sector's end.
                let rest = match self.0.len() % SECTOR as usize {
                    0 => SECTOR as usize,
                    rest => rest,
                };
                self.0 = self.0.get(rest..)?;
                continue;
            }
            let (record, rest) = self.0.split_at_checked(length)?;
            self.0 = rest;
            return Record::parse(record);
        }
    }
}

//! A read: its data comes in one piece, or in several with holes between, each of which must lie where it was asked for.

use super::connection::{Chunk, Connection, Header, Kind};
use super::lost::{Failure, Lost};
use crate::nbd::wire::*;

/// The most pieces of one answer that lie apart.
const MAX_PIECES: usize = 1024;

/// Fills the buffer from this offset. The range lies on the disk, and is no longer than the session allows.
pub(super) fn read(connection: &Connection, offset: u64, buffer: &mut [u8]) -> Result<(), Failure> {
    let length = u32::try_from(buffer.len()).map_err(|_| Lost::broken("a request is too long"))?;
    let mut asked = connection.ask(CMD_READ, offset, length)?;
    let mut pieces = Pieces::default();
    let mut failed = None;
    loop {
        let mut chunk = asked.next()?;
        let Header { kind, done, .. } = chunk.header;
        let taken = take(&mut chunk, kind, offset, buffer, &mut pieces, &mut failed);
        chunk.finish(taken)?;
        if done {
            break;
        }
    }
    match failed {
        Some(failure) => Err(failure),
        None if pieces.are(length) => Ok(()),
        None => Err(connection.lose(Lost::broken("an answer has not all of the bytes that were asked for")).into()),
    }
}

fn take(
    chunk: &mut Chunk<'_, '_>,
    kind: Kind,
    offset: u64,
    buffer: &mut [u8],
    pieces: &mut Pieces,
    failed: &mut Option<Failure>,
) -> Result<(), Lost> {
    match kind {
        Kind::Simple(0) => {
            pieces.add(0, buffer.len() as u32)?;
            chunk.read_simple(buffer)
        }
        Kind::Chunk(REPLY_OFFSET_DATA, _) => {
            let at = u64::from_be_bytes(chunk.read_array()?);
            let length = chunk.left();
            let range = pieces.place(at, length, offset, buffer.len())?;
            chunk.read(&mut buffer[range])
        }
        Kind::Chunk(REPLY_OFFSET_HOLE, _) => {
            let at = u64::from_be_bytes(chunk.read_array()?);
            let length = u32::from_be_bytes(chunk.read_array()?);
            let range = pieces.place(at, length, offset, buffer.len())?;
            buffer[range].fill(0);
            Ok(())
        }
        kind => other(chunk, kind, failed),
    }
}

/// What any answer may be made of: nothing, or errors.
pub(super) fn other(chunk: &mut Chunk<'_, '_>, kind: Kind, failed: &mut Option<Failure>) -> Result<(), Lost> {
    match kind {
        Kind::Simple(number) if number != 0 => {
            failed.get_or_insert(Failure::Server { number, text: String::new() });
            Ok(())
        }
        Kind::Chunk(REPLY_NONE, 0) if chunk.header.done => Ok(()),
        Kind::Chunk(kind, length) if kind & REPLY_ERRORS != 0 => {
            let number = u32::from_be_bytes(chunk.read_array()?);
            let text = u16::from_be_bytes(chunk.read_array()?);
            // After the text an error may have its offset, and one that is not known here whatever it likes.
            if number == 0 || usize::from(text) > MAX_STRING || length > 2 * MAX_STRING as u32 {
                return Err(Lost::broken("an error makes no sense"));
            }
            let mut bytes = vec![0; usize::from(text)];
            chunk.read(&mut bytes)?;
            let mut rest = vec![0; chunk.left() as usize];
            chunk.read(&mut rest)?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            failed.get_or_insert(Failure::Server { number, text });
            Ok(())
        }
        Kind::Simple(_) => Err(Lost::broken("a reply has the form of another request's")),
        Kind::Chunk(kind, length) => {
            Err(Lost::broken(format!("a chunk of type {kind} with {length} bytes does not belong to the answer")))
        }
    }
}

/// The ranges that have come, in order and apart from each other.
#[derive(Default)]
struct Pieces(Vec<(u32, u32)>);

impl Pieces {
    /// Where a piece belongs in the buffer.
    fn place(&mut self, at: u64, length: u32, offset: u64, room: usize) -> Result<std::ops::Range<usize>, Lost> {
        let start = at.checked_sub(offset).and_then(|start| usize::try_from(start).ok());
        let range = start.and_then(|start| Some(start..start.checked_add(length as usize)?));
        let range = range.filter(|range| range.end <= room && !range.is_empty());
        let range = range.ok_or_else(|| Lost::broken("an answer has bytes that were not asked for"))?;
        self.add(range.start as u32, range.end as u32)?;
        Ok(range)
    }

    fn add(&mut self, start: u32, end: u32) -> Result<(), Lost> {
        let after = self.0.partition_point(|piece| piece.0 < start);
        let before_overlaps = after > 0 && self.0[after - 1].1 > start;
        let after_overlaps = self.0.get(after).is_some_and(|piece| piece.0 < end);
        if before_overlaps || after_overlaps {
            return Err(Lost::broken("an answer has the same bytes twice"));
        }
        let joins_before = after > 0 && self.0[after - 1].1 == start;
        let joins_after = self.0.get(after).is_some_and(|piece| piece.0 == end);
        match (joins_before, joins_after) {
            (true, true) => {
                self.0[after - 1].1 = self.0[after].1;
                self.0.remove(after);
            }
            (true, false) => self.0[after - 1].1 = end,
            (false, true) => self.0[after].0 = start,
            (false, false) if self.0.len() < MAX_PIECES => self.0.insert(after, (start, end)),
            (false, false) => return Err(Lost::broken("an answer is in too many pieces")),
        }
        Ok(())
    }

    fn are(&self, length: u32) -> bool {
        self.0 == [(0, length)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_any_order_and_only_once() {
        let mut pieces = Pieces::default();
        for (start, end) in [(8, 12), (0, 4), (12, 16), (4, 8)] {
            pieces.add(start, end).unwrap();
        }
        assert!(pieces.are(16));
        for (start, end) in [(0, 1), (15, 17), (4, 8)] {
            assert!(pieces.add(start, end).is_err());
        }
        let mut apart = Pieces::default();
        let added = (0..2000).take_while(|at| apart.add(at * 2, at * 2 + 1).is_ok()).count();
        assert_eq!(added, MAX_PIECES);
    }

    #[test]
    fn a_piece_lies_where_it_was_asked_for() {
        for (at, length) in [(99, 1), (100, 11), (110, 1), (u64::MAX, 1), (100, 0), (101, u32::MAX)] {
            assert!(Pieces::default().place(at, length, 100, 10).is_err(), "{at} {length}");
        }
        assert_eq!(Pieces::default().place(104, 6, 100, 10).unwrap(), 4..10);
    }
}

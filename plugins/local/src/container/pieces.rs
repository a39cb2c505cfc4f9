//! A file made of pieces of others: a member of an archive, a sparse member, the chunks of a split file.
//!
//! What no piece covers was never stored and reads as zeros. Every piece was checked to lie inside its source when it was made.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, Extent, ExtentKind, Hints, PluginError, Result, read_exact_at};

/// Some bytes of a source, and where they belong.
#[derive(Clone)]
pub struct Piece {
    /// First byte in the whole.
    pub at: u64,
    /// Length in bytes, never zero.
    pub length: u64,
    /// Where the bytes are.
    pub source: Arc<dyn BlockSource>,
    /// First byte in that source.
    pub from: u64,
}

/// The whole.
#[derive(Clone)]
pub struct Pieces {
    name: String,
    size: u64,
    pieces: Vec<Piece>,
}

impl Pieces {
    /// A file of `size` bytes called `name` in messages. The pieces must ascend without overlap and stay inside of the file and of
    /// their sources; anything else is refused.
    pub fn new(name: String, size: u64, pieces: Vec<Piece>) -> Result<Self> {
        let mut next = 0;
        for piece in &pieces {
            let end = piece.at.checked_add(piece.length).filter(|end| *end <= size);
            let inside = piece.from.checked_add(piece.length).is_some_and(|end| end <= piece.source.size());
            match end {
                Some(end) if piece.at >= next && piece.length > 0 && inside => next = end,
                _ => {
                    return Err(PluginError::unusable(format!(
                        "{name}: its {} bytes at offset {} do not lie inside of the file they are stored in, or overlap others",
                        piece.length, piece.at
                    ))
                    .hint("the archive is damaged or cut off: copy it again"));
                }
            }
        }
        Ok(Self { name, size, pieces })
    }

    /// `length` bytes of `source` from `from` on.
    pub fn slice(name: String, source: Arc<dyn BlockSource>, from: u64, length: u64) -> Result<Self> {
        let pieces = if length == 0 { Vec::new() } else { vec![Piece { at: 0, length, source, from }] };
        Self::new(name, length, pieces)
    }

    /// These sources one after the other.
    pub fn joined(name: String, sources: Vec<Arc<dyn BlockSource>>) -> Result<Self> {
        let (mut pieces, mut at) = (Vec::with_capacity(sources.len()), 0_u64);
        for source in sources {
            let length = source.size();
            if length > 0 {
                pieces.push(Piece { at, length, source, from: 0 });
            }
            at = at
                .checked_add(length)
                .ok_or_else(|| PluginError::unusable(format!("{name}: its chunks are absurdly large")))?;
        }
        Self::new(name, at, pieces)
    }

    fn check(&self, offset: u64, length: u64) -> Result<u64> {
        offset.checked_add(length).filter(|end| *end <= self.size).ok_or_else(|| {
            PluginError::unusable(format!(
                "{}: {length} bytes at offset {offset} lie past the end of the file, which has {} bytes",
                self.name, self.size
            ))
        })
    }

    /// What `start..end` is made of, in order: a stretch, and the piece it lies in.
    fn walk(&self, start: u64, end: u64, mut visit: impl FnMut(u64, u64, Option<&Piece>) -> Result<()>) -> Result<()> {
        let mut at = start;
        for piece in &self.pieces[self.pieces.partition_point(|piece| piece.at + piece.length <= start)..] {
            if at >= end {
                break;
            }
            if piece.at > at {
                let stop = piece.at.min(end);
                visit(at, stop, None)?;
                at = stop;
            }
            let stop = (piece.at + piece.length).min(end);
            if at < stop {
                visit(at, stop, Some(piece))?;
                at = stop;
            }
        }
        if at < end { visit(at, end, None) } else { Ok(()) }
    }
}

impl BlockSource for Pieces {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let end = self.check(offset, buffer.len() as u64)?;
        self.walk(offset, end, |start, stop, piece| {
            let part = &mut buffer[(start - offset) as usize..(stop - offset) as usize];
            match piece {
                Some(piece) => read_exact_at(&*piece.source, piece.from + (start - piece.at), part),
                None => {
                    part.fill(0);
                    Ok(())
                }
            }
        })?;
        Ok(buffer.len())
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        let end = self.check(offset, length)?;
        let mut extents: Vec<Extent> = Vec::new();
        let mut push = |extent: Extent| match extents.last_mut() {
            Some(last) if last.kind == extent.kind => last.length += extent.length,
            _ => extents.push(extent),
        };
        self.walk(offset, end, |start, stop, piece| {
            let Some(piece) = piece else {
                push(Extent::new(start, stop - start, ExtentKind::Hole));
                return Ok(());
            };
            let from = piece.from + (start - piece.at);
            for extent in piece.source.extents(from, stop - start)? {
                push(extent.with(|it| it.offset = start + (extent.offset - from)));
            }
            Ok(())
        })?;
        Ok(extents)
    }

    fn hints(&self) -> Hints {
        self.pieces.first().map_or_else(Hints::default, |piece| piece.source.hints())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Memory(Vec<u8>);

    impl BlockSource for Memory {
        fn size(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
            buffer.copy_from_slice(&self.0[offset as usize..offset as usize + buffer.len()]);
            Ok(buffer.len())
        }
    }

    fn piece(at: u64, length: u64, from: u64) -> Piece {
        Piece { at, length, source: Arc::new(Memory(b"0123456789".to_vec())), from }
    }

    #[test]
    fn pieces_and_gaps_read_and_map_as_one_file() {
        let whole = Pieces::new("x".into(), 12, vec![piece(2, 3, 5), piece(5, 2, 0), piece(9, 1, 9)]).unwrap();
        let expected = b"\0\x0056701\0\x009\0\0";
        for start in 0..12 {
            for end in start + 1..=12 {
                let mut read = vec![7; end - start];
                read_exact_at(&whole, start as u64, &mut read).unwrap();
                assert_eq!(read, expected[start..end]);
                let mut at = start as u64;
                for extent in whole.extents(start as u64, (end - start) as u64).unwrap() {
                    assert_eq!(extent.offset, at);
                    at += extent.length;
                    let bytes = &expected[extent.offset as usize..at as usize];
                    assert!(extent.kind == ExtentKind::Data || bytes.iter().all(|byte| *byte == 0));
                }
                assert_eq!(at, end as u64);
            }
        }
        let error = whole.read_at(8, &mut [0; 5]).unwrap_err();
        assert_eq!(error.message, "x: 5 bytes at offset 8 lie past the end of the file, which has 12 bytes");
        let joined =
            Pieces::joined("y".into(), vec![Arc::new(Memory(b"ab".to_vec())), Arc::new(Memory(b"c".to_vec()))]);
        let mut read = [0; 3];
        read_exact_at(&joined.unwrap(), 0, &mut read).unwrap();
        assert_eq!(&read, b"abc");
    }

    #[test]
    fn pieces_outside_of_anything_are_refused() {
        for pieces in [
            vec![piece(0, 11, 0)],
            vec![piece(0, 2, 9)],
            vec![piece(0, 5, 0), piece(4, 2, 0)],
            vec![piece(u64::MAX, 2, 0)],
            vec![piece(0, 2, u64::MAX)],
            vec![piece(8, 5, 0)],
            vec![piece(0, 0, 0)],
        ] {
            assert!(Pieces::new("x".into(), 10, pieces).is_err());
        }
    }
}

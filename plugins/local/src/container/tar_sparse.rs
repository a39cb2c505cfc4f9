//! Sparse members of tar archives, as `tar -S` writes them: the format of cloud images.
//!
//! Two dialects: GNU (type `S`, the map in the header and in blocks behind it) and pax 0.1 and 1.0 (`GNU.sparse.*` records; 1.0 has the map
//! in front of the data). GNU tar manual, "Storing Sparse Files".

use std::sync::Arc;

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, read_exact_at};

use super::pieces::{Piece, Pieces};
use super::tar::{BLOCK, Extended, damaged};

/// The most pieces of a sparse member.
const MAX_PIECES: usize = 1 << 20;

/// A member of type `S` whose header ends at `data` and that stores `stored` bytes; and where the next header is.
pub fn gnu(
    name: &str,
    archive: &Arc<dyn BlockSource>,
    header: &Header,
    data: u64,
    stored: u64,
) -> Result<(Pieces, u64)> {
    let bad = |what: &str| damaged(name, data - BLOCK, what);
    let gnu = header.as_gnu().ok_or_else(|| bad("a sparse member without a GNU header"))?;
    let mut map = Vec::new();
    let add = |map: &mut Vec<(u64, u64)>, part: &GnuSparseHeader| {
        if !part.is_empty() {
            let number = |value: std::io::Result<u64>| value.map_err(|error| bad(&error.to_string()));
            map.push((number(part.offset())?, number(part.length())?));
        }
        if map.len() > MAX_PIECES { Err(too_many(name)) } else { Ok(()) }
    };
    for part in &gnu.sparse {
        add(&mut map, part)?;
    }
    let mut from = data;
    let mut extended = gnu.is_extended();
    while extended {
        let mut block = GnuExtSparseHeader::new();
        if archive.size().saturating_sub(from) < BLOCK {
            return Err(bad("the map of a sparse member is cut off"));
        }
        read_exact_at(&**archive, from, block.as_mut_bytes())?;
        for part in block.sparse() {
            add(&mut map, part)?;
        }
        extended = block.is_extended();
        from += BLOCK;
    }
    let size = gnu.real_size().map_err(|error| bad(&error.to_string()))?;
    let pieces = pieces(name, archive, size, &map, from, stored)?;
    Ok((pieces, (from + stored).next_multiple_of(BLOCK)))
}

/// A member with `GNU.sparse.*` records: its real name and itself.
pub fn pax(
    name: &str,
    archive: &Arc<dyn BlockSource>,
    extended: &Extended,
    data: u64,
    stored: u64,
) -> Result<(Option<Vec<u8>>, Pieces)> {
    let bad = |what: &str| damaged(name, data - BLOCK, what);
    let get = |key: &str| extended.sparse.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| bad("the map of a sparse member holds no number"));
    let size = get("realsize").or(get("size")).ok_or_else(|| bad("a sparse member without a size"))?;
    let size = number(size)?;
    let (map, from) = match (get("major"), get("map")) {
        (Some("1"), _) => map_in_front(name, &**archive, data, stored)?,
        (_, Some(map)) => {
            let numbers: Vec<u64> = map.split(',').take(2 * MAX_PIECES + 1).map(number).collect::<Result<_>>()?;
            if numbers.len() > 2 * MAX_PIECES {
                return Err(too_many(name));
            }
            (numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect(), data)
        }
        _ => {
            return Err(PluginError::unusable(format!(
                "{name}: it is stored as a sparse file of a version that is not known"
            ))
            .hint("pack the archive again with a current tar"));
        }
    };
    let used = from - data;
    let pieces = pieces(name, archive, size, &map, from, stored.saturating_sub(used))?;
    Ok((get("name").map(|name| name.as_bytes().to_vec()), pieces))
}

/// Version 1.0: decimal lines (how many, then offset and length of each) before the data, padded to whole blocks.
fn map_in_front(name: &str, archive: &dyn BlockSource, data: u64, stored: u64) -> Result<(Vec<(u64, u64)>, u64)> {
    let bad = || damaged(name, data, "the map in front of a sparse member is malformed");
    let mut numbers = Numbers { archive, at: data, end: data + stored, block: Vec::new() };
    let count = numbers.next(bad)?;
    if count > MAX_PIECES as u64 {
        return Err(too_many(name));
    }
    let mut map = Vec::new();
    for _ in 0..count {
        map.push((numbers.next(bad)?, numbers.next(bad)?));
    }
    Ok((map, numbers.at))
}

/// Decimal lines, read block by block.
struct Numbers<'a> {
    archive: &'a dyn BlockSource,
    at: u64,
    end: u64,
    /// What is left of the last block, backwards.
    block: Vec<u8>,
}

impl Numbers<'_> {
    fn next(&mut self, bad: impl Fn() -> PluginError) -> Result<u64> {
        let mut number: Option<u64> = None;
        loop {
            let byte = match self.block.pop() {
                Some(byte) => byte,
                None => {
                    if self.end.saturating_sub(self.at) < BLOCK {
                        return Err(bad());
                    }
                    let mut block = vec![0; BLOCK as usize];
                    read_exact_at(self.archive, self.at, &mut block)?;
                    self.at += BLOCK;
                    block.reverse();
                    self.block = block;
                    continue;
                }
            };
            number = match (byte, number) {
                (b'\n', Some(number)) => return Ok(number),
                (b'0'..=b'9', so_far) => {
                    let so_far =
                        so_far.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(u64::from(byte - b'0')));
                    Some(so_far.ok_or_else(&bad)?)
                }
                _ => return Err(bad()),
            };
        }
    }
}

/// A member of `size` bytes whose pieces of the map lie one behind the other from `from` on, `stored` bytes in all.
fn pieces(
    name: &str,
    archive: &Arc<dyn BlockSource>,
    size: u64,
    map: &[(u64, u64)],
    from: u64,
    stored: u64,
) -> Result<Pieces> {
    let (mut pieces, mut used) = (Vec::with_capacity(map.len()), 0_u64);
    for (at, length) in map {
        // A last piece of no length says how large the file is.
        if *length > 0 {
            pieces.push(Piece {
                at: *at,
                length: *length,
                source: Arc::clone(archive),
                from: from.saturating_add(used),
            });
        }
        used = used.saturating_add(*length);
    }
    if used > stored {
        return Err(damaged(name, from, "the map of a sparse member names more than is stored"));
    }
    Pieces::new(name.to_owned(), size, pieces)
}

fn too_many(name: &str) -> PluginError {
    PluginError::unusable(format!("{name}: a sparse file of more than {MAX_PIECES} pieces"))
        .hint("pack the archive again without -S")
}

//! The lists that say which keys are below a key: a leaf, or an index of leaves, in the order of the keys' names.

use std::cmp::Ordering;

use super::super::base::{put_u16, put_u32, u16_at, u32_at};
use super::super::layout::{NOTHING, key, list};
use super::super::names::{self, Name};
use super::super::upcase::upcase;
use super::EditError;
use super::cells::Cells;

/// A longer leaf is split in two; so many fit a bin of 4 KiB. Newer Windows splits later, and reads both.
const LONGEST_LEAF: usize = 507;
/// A list that grows gets room for more, so that the next one finds it.
const SPARE: usize = 64;
/// The version (behind the dot) from which on leaves hold hashes of names instead of their first letters.
const HASHES_SINCE: u32 = 5;

/// The name of the key in a cell.
pub fn name(cells: &Cells, at: u32) -> Name<'_> {
    let cell = cells.get(at);
    let bytes = &cell[key::NAME..key::NAME + usize::from(u16_at(cell, key::NAME_LENGTH))];
    Name { bytes, compressed: u16_at(cell, key::FLAGS) & key::COMPRESSED != 0 }
}

/// All keys below a key.
pub fn all(cells: &Cells, parent: u32) -> Vec<u32> {
    leaves(cells, parent).iter().flat_map(|leaf| (0..rows(cells, *leaf)).map(|row| child(cells, *leaf, row))).collect()
}

/// The key of a folded name below a key.
pub fn find(cells: &Cells, parent: u32, folded: &[u16]) -> Option<u32> {
    let leaves = leaves(cells, parent);
    let (leaf, row) = place(cells, &leaves, folded)?;
    let found = (row < rows(cells, leaves[leaf])).then(|| child(cells, leaves[leaf], row))?;
    (order(cells, found, folded) == Ordering::Equal).then_some(found)
}

/// Adds a key to those below another one; none of its name is there.
pub fn insert(cells: &mut Cells, parent: u32, new: u32, minor: u32) -> Result<(), EditError> {
    let mut leaves = leaves(cells, parent);
    let folded: Vec<u16> = name(cells, new).units().map(upcase).collect();
    let Some((leaf, row)) = place(cells, &leaves, &folded) else {
        let mut leaf = if minor < HASHES_SINCE { *b"lf\0\0" } else { *b"lh\0\0" }.to_vec();
        leaf.resize(list::ROWS + 8, 0);
        let at = cells.store(&leaf)?;
        put_u32(cells.get_mut(parent), key::LIST, at);
        return insert_row(cells, at, 0, new).map(|_| ());
    };
    let grown = insert_row(cells, leaves[leaf], row, new)?;
    if grown != leaves[leaf] {
        replace(cells, parent, leaf, grown);
        leaves[leaf] = grown;
    }
    if rows(cells, grown) > LONGEST_LEAF { split(cells, parent, leaf, grown) } else { Ok(()) }
}

/// Takes a key out of those below another one.
pub fn remove(cells: &mut Cells, parent: u32, gone: u32) {
    let leaves = leaves(cells, parent);
    let found = leaves.iter().enumerate().find_map(|(index, leaf)| {
        let row = (0..rows(cells, *leaf)).find(|row| child(cells, *leaf, *row) == gone)?;
        Some((index, *leaf, row))
    });
    let Some((index, leaf, row)) = found else { return };
    remove_row(cells, leaf, row);
    if rows(cells, leaf) > 0 {
        return;
    }
    cells.release(leaf);
    let head = u32_at(cells.get(parent), key::LIST);
    if head != leaf {
        remove_row(cells, head, index);
        if rows(cells, head) > 0 {
            return;
        }
        cells.release(head);
    }
    put_u32(cells.get_mut(parent), key::LIST, NOTHING);
}

/// Gives back the lists of a key that is on its way.
pub fn release(cells: &mut Cells, parent: u32) {
    let leaves = leaves(cells, parent);
    let head = u32_at(cells.get(parent), key::LIST);
    let is_index = leaves.first().is_some_and(|first| *first != head);
    for list in leaves.into_iter().chain(is_index.then_some(head)) {
        cells.release(list);
    }
}

/// The leaves below a key.
fn leaves(cells: &Cells, parent: u32) -> Vec<u32> {
    let cell = cells.get(parent);
    let head = u32_at(cell, key::LIST);
    if u32_at(cell, key::SUBKEYS) == 0 || head == NOTHING {
        Vec::new()
    } else if cells.get(head).starts_with(list::INDEX) {
        (0..rows(cells, head)).map(|row| child(cells, head, row)).collect()
    } else {
        vec![head]
    }
}

/// In which leaf and at which row a name is, or belongs; `None`: there is no leaf.
fn place(cells: &Cells, leaves: &[u32], folded: &[u16]) -> Option<(usize, usize)> {
    let ends_before = |leaf: &u32| match rows(cells, *leaf).checked_sub(1) {
        Some(last) => order(cells, child(cells, *leaf, last), folded) == Ordering::Less,
        None => true,
    };
    let leaf = leaves.iter().position(|leaf| !ends_before(leaf)).or_else(|| leaves.len().checked_sub(1))?;
    let (mut low, mut high) = (0, rows(cells, leaves[leaf]));
    while low < high {
        let middle = (low + high) / 2;
        match order(cells, child(cells, leaves[leaf], middle), folded) {
            Ordering::Less => low = middle + 1,
            _ => high = middle,
        }
    }
    Some((leaf, low))
}

fn order(cells: &Cells, at: u32, folded: &[u16]) -> Ordering {
    name(cells, at).units().map(upcase).cmp(folded.iter().copied())
}

fn rows(cells: &Cells, at: u32) -> usize {
    u16_at(cells.get(at), 2).into()
}

/// Bytes of a row.
fn width(list: &[u8]) -> usize {
    if list.starts_with(b"lf") || list.starts_with(b"lh") { 8 } else { 4 }
}

/// What a row refers to: a key, in an index a leaf.
fn child(cells: &Cells, at: u32, row: usize) -> u32 {
    let list = cells.get(at);
    u32_at(list, list::ROWS + row * width(list))
}

/// Adds a row that refers to a key or to a leaf, and says where the list is now.
fn insert_row(cells: &mut Cells, at: u32, row: usize, new: u32) -> Result<u32, EditError> {
    let list = cells.get(at);
    let (count, width) = (usize::from(u16_at(list, 2)), width(list));
    let hint = hint(list, cells, new);
    let end = list::ROWS + count * width;
    let at = if list.len() < end + width { cells.lengthen(at, (end + width).next_multiple_of(SPARE) - 4)? } else { at };
    let list = cells.get_mut(at);
    let start = list::ROWS + row * width;
    list.copy_within(start..end, start + width);
    put_u32(list, start, new);
    if width == 8 {
        put_u32(list, start + 4, hint);
    }
    let count = u16::try_from(count + 1).map_err(|_| EditError::Full)?;
    put_u16(list, 2, count);
    Ok(at)
}

fn remove_row(cells: &mut Cells, at: u32, row: usize) {
    let list = cells.get_mut(at);
    let (count, width) = (u16_at(list, 2), width(list));
    let start = list::ROWS + row * width;
    list.copy_within(start + width..list::ROWS + usize::from(count) * width, start);
    put_u16(list, 2, count - 1);
}

/// The list's leaf of this number is elsewhere now.
fn replace(cells: &mut Cells, parent: u32, leaf: usize, at: u32) {
    let head = u32_at(cells.get(parent), key::LIST);
    if cells.get(head).starts_with(list::INDEX) {
        put_u32(cells.get_mut(head), list::ROWS + leaf * 4, at);
    } else {
        put_u32(cells.get_mut(parent), key::LIST, at);
    }
}

/// Moves the second half of a leaf into one of its own.
fn split(cells: &mut Cells, parent: u32, leaf: usize, at: u32) -> Result<(), EditError> {
    let content = cells.get(at);
    let (count, width) = (rows(cells, at), width(content));
    let kept = count / 2;
    let mut second = content[..list::ROWS].to_vec();
    put_u16(&mut second, 2, (count - kept) as u16);
    second.extend_from_slice(&content[list::ROWS + kept * width..list::ROWS + count * width]);
    put_u16(cells.get_mut(at), 2, kept as u16);
    let second = cells.store(&second)?;
    let head = u32_at(cells.get(parent), key::LIST);
    let head = if cells.get(head).starts_with(list::INDEX) {
        head
    } else {
        let mut index = list::INDEX.to_vec();
        index.extend_from_slice(&1u16.to_le_bytes());
        index.extend_from_slice(&at.to_le_bytes());
        cells.store(&index)?
    };
    let head = insert_row(cells, head, leaf + 1, second)?;
    put_u32(cells.get_mut(parent), key::LIST, head);
    Ok(())
}

/// What stands beside a key in a leaf.
fn hint(list: &[u8], cells: &Cells, new: u32) -> u32 {
    if list.starts_with(b"lh") {
        names::hash(name(cells, new).units())
    } else if list.starts_with(b"lf") {
        let mut hint = [0; 4];
        for (byte, unit) in hint.iter_mut().zip(name(cells, new).units()) {
            // Where a letter has no byte of its own, Windows leaves the hint empty.
            let Ok(letter) = u8::try_from(unit) else { return 0 };
            *byte = letter;
        }
        u32::from_le_bytes(hint)
    } else {
        0
    }
}

//! Values of a key that come, change and go, and where their data lies.

use super::super::base::{put_u16, put_u32, u16_at, u32_at};
use super::super::layout::{BIG_DATA_SINCE, INSIDE, NOTHING, SEGMENT, key, value};
use super::super::names::{self, Name, Stored};
use super::EditError;
use super::cells::Cells;

/// Gives a key a value, in the place of one of the same name.
pub fn set(cells: &mut Cells, at: u32, name: &str, type_number: u32, data: &[u8], minor: u32) -> Result<(), EditError> {
    let cell = match find(cells, at, name) {
        Some(row) => {
            let cell = places(cells, at)[row];
            release_data(cells, cell, minor);
            cell
        }
        None => add(cells, at, name)?,
    };
    let (length, place) = match data.len() {
        short @ 0..=4 => {
            let mut inside = [0; 4];
            inside[..short].copy_from_slice(data);
            (short as u32 | INSIDE, u32::from_le_bytes(inside))
        }
        length => (length as u32, store(cells, data, minor)?),
    };
    let content = cells.get_mut(cell);
    put_u32(content, value::LENGTH, length);
    put_u32(content, value::DATA, place);
    put_u32(content, value::TYPE, type_number);
    raise(cells, at, key::LONGEST_DATA, data.len());
    Ok(())
}

/// Removes the value of this name from a key.
pub fn remove(cells: &mut Cells, at: u32, name: &str, minor: u32) {
    let Some(row) = find(cells, at, name) else { return };
    let mut places = places(cells, at);
    let cell = places.remove(row);
    release_data(cells, cell, minor);
    cells.release(cell);
    let list = u32_at(cells.get(at), key::VALUE_LIST);
    if places.is_empty() {
        cells.release(list);
        put_u32(cells.get_mut(at), key::VALUE_LIST, NOTHING);
    } else {
        write_places(cells, list, &places);
    }
    put_u32(cells.get_mut(at), key::VALUES, places.len() as u32);
}

/// Gives back all that a key's values take; the key itself is on its way.
pub fn release(cells: &mut Cells, at: u32, minor: u32) {
    let places = places(cells, at);
    if places.is_empty() {
        return;
    }
    for cell in places {
        release_data(cells, cell, minor);
        cells.release(cell);
    }
    cells.release(u32_at(cells.get(at), key::VALUE_LIST));
}

/// Whether a key stands for one that Windows makes up, so that no value can be in it.
pub fn has_none_ever(cells: &Cells, at: u32) -> bool {
    u16_at(cells.get(at), key::FLAGS) & key::PREDEFINED != 0
}

/// The cells of a key's values.
fn places(cells: &Cells, at: u32) -> Vec<u32> {
    let cell = cells.get(at);
    let count = u32_at(cell, key::VALUES) as usize;
    if count == 0 || has_none_ever(cells, at) {
        return Vec::new();
    }
    let list = cells.get(u32_at(cell, key::VALUE_LIST));
    list.chunks_exact(4).take(count).map(|place| u32_at(place, 0)).collect()
}

fn write_places(cells: &mut Cells, list: u32, places: &[u32]) {
    for (row, place) in cells.get_mut(list).chunks_exact_mut(4).zip(places) {
        put_u32(row, 0, *place);
    }
}

/// The row of the value of this name.
fn find(cells: &Cells, at: u32, name: &str) -> Option<usize> {
    places(cells, at).into_iter().position(|place| {
        let cell = cells.get(place);
        let bytes = &cell[value::NAME..value::NAME + usize::from(u16_at(cell, value::NAME_LENGTH))];
        Name { bytes, compressed: u16_at(cell, value::FLAGS) & value::COMPRESSED != 0 }.is(name)
    })
}

/// A new value without data at the end of a key's list.
fn add(cells: &mut Cells, at: u32, name: &str) -> Result<u32, EditError> {
    let Stored { bytes, compressed } = names::stored(name);
    let mut cell = vec![0; value::NAME];
    cell[..2].copy_from_slice(b"vk");
    put_u16(&mut cell, value::NAME_LENGTH, bytes.len() as u16);
    // The default value has no name, and so none in one byte a unit.
    put_u16(&mut cell, value::FLAGS, if compressed && !bytes.is_empty() { value::COMPRESSED } else { 0 });
    cell.extend_from_slice(&bytes);
    let cell = cells.store(&cell)?;
    let mut places = places(cells, at);
    places.push(cell);
    let list = match places.len() {
        1 => cells.allocate(4)?,
        count => {
            let list = u32_at(cells.get(at), key::VALUE_LIST);
            cells.lengthen(list, count * 4)?
        }
    };
    write_places(cells, list, &places);
    let content = cells.get_mut(at);
    put_u32(content, key::VALUE_LIST, list);
    put_u32(content, key::VALUES, places.len() as u32);
    raise(cells, at, key::LONGEST_VALUE_NAME, name.encode_utf16().count() * 2);
    Ok(cell)
}

/// A key's longest of something is at least so long.
fn raise(cells: &mut Cells, at: u32, longest: usize, length: usize) {
    let content = cells.get_mut(at);
    put_u32(content, longest, u32_at(content, longest).max(length as u32));
}

/// Stores more than four bytes: in one cell, or as big data where the hive knows it.
fn store(cells: &mut Cells, data: &[u8], minor: u32) -> Result<u32, EditError> {
    if !is_big(data.len(), minor) {
        return cells.store(data);
    }
    let mut segments = Vec::new();
    for segment in data.chunks(SEGMENT) {
        // Windows gives the last one the length of the others, and some readers count on it.
        let at = cells.allocate(SEGMENT)?;
        cells.get_mut(at)[..segment.len()].copy_from_slice(segment);
        segments.push(at);
    }
    let list: Vec<u8> = segments.iter().flat_map(|place| place.to_le_bytes()).collect();
    let list = cells.store(&list)?;
    let count = u16::try_from(segments.len()).map_err(|_| EditError::Full)?;
    let mut record = b"db".to_vec();
    record.extend_from_slice(&count.to_le_bytes());
    record.extend_from_slice(&list.to_le_bytes());
    // Windows gives the record a word more than it uses.
    record.extend_from_slice(&[0; 4]);
    cells.store(&record)
}

/// Gives back the cells of a value's data.
fn release_data(cells: &mut Cells, cell: u32, minor: u32) {
    let content = cells.get(cell);
    let (length, place) = (u32_at(content, value::LENGTH), u32_at(content, value::DATA));
    if length & INSIDE != 0 || length == 0 {
        return;
    }
    if is_big(length as usize, minor) {
        let record = cells.get(place);
        let (count, list) = (usize::from(u16_at(record, 2)), u32_at(record, 4));
        let segments: Vec<u32> = cells.get(list).chunks_exact(4).take(count).map(|place| u32_at(place, 0)).collect();
        for segment in segments {
            cells.release(segment);
        }
        cells.release(list);
    }
    cells.release(place);
}

fn is_big(length: usize, minor: u32) -> bool {
    length > SEGMENT && minor >= BIG_DATA_SINCE
}

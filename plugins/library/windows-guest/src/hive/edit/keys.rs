//! Keys that come and go.

use super::super::base::{put_u16, put_u32, u16_at, u32_at};
use super::super::layout::{NOTHING, key, security};
use super::super::names::{self, Stored};
use super::cells::Cells;
use super::{EditError, lists, values};

/// The key at a path of folded parts.
pub fn find(cells: &Cells, root: u32, path: &str) -> Option<u32> {
    names::parts(path).try_fold(root, |at, part| lists::find(cells, at, &names::folded(part)))
}

/// The key at a path, which is made where it is not there.
pub fn find_or_make(cells: &mut Cells, root: u32, path: &str, minor: u32) -> Result<u32, EditError> {
    let mut at = root;
    for part in names::parts(path) {
        at = match lists::find(cells, at, &names::folded(part)) {
            Some(found) => found,
            None => make(cells, at, part, minor)?,
        };
    }
    Ok(at)
}

/// Makes a key: with the time and the security descriptor of the one above it.
fn make(cells: &mut Cells, parent: u32, name: &str, minor: u32) -> Result<u32, EditError> {
    let Stored { bytes, compressed } = names::stored(name);
    let above = cells.get(parent);
    let descriptor = u32_at(above, key::SECURITY);
    let mut cell = vec![0; key::NAME];
    cell[..2].copy_from_slice(b"nk");
    put_u16(&mut cell, key::FLAGS, if compressed { key::COMPRESSED } else { 0 });
    cell[key::TIME..key::TIME + 8].copy_from_slice(&above[key::TIME..key::TIME + 8]);
    put_u32(&mut cell, key::PARENT, parent);
    for nothing in [key::LIST, key::VOLATILE_LIST, key::VALUE_LIST, key::CLASS] {
        put_u32(&mut cell, nothing, NOTHING);
    }
    put_u32(&mut cell, key::SECURITY, descriptor);
    put_u16(&mut cell, key::NAME_LENGTH, bytes.len() as u16);
    cell.extend_from_slice(&bytes);
    let at = cells.store(&cell)?;
    lists::insert(cells, parent, at, minor)?;
    let above = cells.get_mut(parent);
    put_u32(above, key::SUBKEYS, u32_at(above, key::SUBKEYS) + 1);
    let longest = u16_at(above, key::LONGEST_NAME).max((name.encode_utf16().count() * 2) as u16);
    put_u16(above, key::LONGEST_NAME, longest);
    let descriptor = cells.get_mut(descriptor);
    put_u32(descriptor, security::USERS, u32_at(descriptor, security::USERS) + 1);
    Ok(at)
}

/// Removes a key that is not the root, and all below it.
pub fn remove(cells: &mut Cells, at: u32, minor: u32) {
    let parent = u32_at(cells.get(at), key::PARENT);
    lists::remove(cells, parent, at);
    let above = cells.get_mut(parent);
    put_u32(above, key::SUBKEYS, u32_at(above, key::SUBKEYS) - 1);
    release(cells, at, minor);
}

/// Gives back all that a key takes, and all below it: no deeper than the checker allows.
fn release(cells: &mut Cells, at: u32, minor: u32) {
    for below in lists::all(cells, at) {
        release(cells, below, minor);
    }
    lists::release(cells, at);
    values::release(cells, at, minor);
    let cell = cells.get(at);
    let (class, length) = (u32_at(cell, key::CLASS), u16_at(cell, key::CLASS_LENGTH));
    let descriptor = u32_at(cell, key::SECURITY);
    if length > 0 && class != NOTHING {
        cells.release(class);
    }
    forget_security(cells, descriptor);
    cells.release(at);
}

/// One key less uses a security descriptor; one that nobody uses leaves the ring.
fn forget_security(cells: &mut Cells, at: u32) {
    let cell = cells.get_mut(at);
    let users = u32_at(cell, security::USERS) - 1;
    put_u32(cell, security::USERS, users);
    if users == 0 {
        let (next, last) = (u32_at(cell, security::NEXT), u32_at(cell, security::LAST));
        put_u32(cells.get_mut(last), security::NEXT, next);
        put_u32(cells.get_mut(next), security::LAST, last);
        cells.release(at);
    }
}

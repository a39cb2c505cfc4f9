//! The functions that came with 6.7.

use std::os::fd::AsFd;

use crate::core::{CANARY, Disk, INVALID, OK, Params, SECTOR};
use crate::fault::FAULT;
use crate::rules::{Call, note};

/// The most pieces of one question, and the smallest piece in sectors.
const PIECES: u64 = 524_288;
const PIECE: u64 = 128;

#[unsafe(no_mangle)]
pub extern "C" fn VixDiskLib_AllocateConnectParams() -> *mut Params {
    let none = std::ptr::null();
    Box::into_raw(Box::new(Params {
        vm: none,
        server: none,
        thumbprint: none,
        reserved: CANARY,
        kind: 0,
        credentials: [none; 3],
        port: 0,
        nfc_port: 0,
        further: [CANARY; 3],
        spec: [CANARY; 3],
        spec_kind: 0,
        end: 0,
    }))
}

/// # Safety
/// As C has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn VixDiskLib_FreeConnectParams(params: *mut Params) {
    // SAFETY: made above.
    drop(unsafe { Box::from_raw(params) });
}

/// # Safety
/// As C has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn VixDiskLib_QueryAllocatedBlocks(
    disk: *mut Disk,
    start: u64,
    count: u64,
    piece: u64,
    list: *mut *mut u64,
) -> u64 {
    // SAFETY: made by Open.
    let disk = unsafe { &*disk };
    let _call = Call::new(&disk.busy, "QueryAllocatedBlocks");
    let end = start.checked_add(count).filter(|end| *end <= disk.size / SECTOR);
    if piece < PIECE
        || start % piece != 0
        || count == 0
        || count % piece != 0
        || count / piece > PIECES
        || end.is_none()
    {
        return INVALID;
    }
    note(&format!("map {start} {count} {piece}"));
    if FAULT.is("no-map") {
        return 6;
    }
    let mut words = vec![0];
    let mut add = |from: u64, length: u64| match words.as_slice() {
        [.., last, long] if words.len() > 1 && last + long == from => *words.last_mut().unwrap() += length,
        _ => words.extend([from, length]),
    };
    if FAULT.is("map") {
        add(start + count - 1, 4096);
    } else {
        for at in (start..start + count).step_by(piece as usize) {
            if has_data(disk, at * SECTOR, piece * SECTOR) {
                add(at, piece);
            }
        }
    }
    // The number of runs is the low half of the first word.
    words[0] = (words.len() as u64 - 1) / 2;
    // SAFETY: as C has it.
    unsafe { *list = Box::leak(words.into_boxed_slice()).as_mut_ptr() };
    OK
}

/// Whether the file has anything in a range but a hole.
fn has_data(disk: &Disk, offset: u64, length: u64) -> bool {
    match rustix::fs::seek(disk.file.as_fd(), rustix::fs::SeekFrom::Data(offset)) {
        Ok(found) => found < offset + length,
        Err(_) => false,
    }
}

/// # Safety
/// As C has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn VixDiskLib_FreeBlockList(list: *mut u64) -> u64 {
    // SAFETY: made above, with two words for each run behind the first.
    unsafe {
        let length = 1 + 2 * *list as usize;
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(list, length)));
    }
    OK
}

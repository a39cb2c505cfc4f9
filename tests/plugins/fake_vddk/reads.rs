//! Requests for bytes: they end on other threads, in another order, and a buffer is marked until then.

use std::ffi::c_void;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, LazyLock, Mutex};
use std::time::Duration;

use crate::core::{Disk, FAIL, INVALID, OK, SECTOR};
use crate::fault::FAULT;
use crate::rules::{Call, broken};
use crate::say;

const ASYNC: u64 = 25_000;
/// Threads that do the reading.
const THREADS: usize = 3;
/// The largest request in sectors, as through a vCenter.
const LARGEST: u64 = (2 << 20) / SECTOR;
/// What marks the ends of a buffer whose request is under way.
const POISON: u8 = 0xa5;
/// Bytes of a mark.
const MARK: usize = 64;

type Done = unsafe extern "C" fn(*mut c_void, u64);

/// The requests of a disk.
#[derive(Default)]
pub(crate) struct Reads {
    state: Mutex<State>,
    ended: Condvar,
    /// Bytes that were asked for.
    asked: AtomicU64,
}

impl Reads {
    /// Bytes that were asked for.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

#[derive(Default)]
struct State {
    under_way: usize,
    /// Buffers of requests that failed: nobody waited for them yet.
    failed: Vec<(usize, usize)>,
}

struct Request {
    disk: *const Disk,
    number: u64,
    sector: u64,
    buffer: *mut u8,
    length: usize,
    done: Done,
    data: *mut c_void,
}

// SAFETY: the memory is the caller's, who leaves it alone.
unsafe impl Send for Request {}

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The queue, and the threads that take from its end or its beginning.
static QUEUE: LazyLock<&'static (Mutex<Vec<Request>>, Condvar)> = LazyLock::new(|| {
    let queue: &'static (Mutex<Vec<Request>>, Condvar) = Box::leak(Box::default());
    for thread in 0..THREADS {
        std::thread::spawn(move || {
            loop {
                let mut waiting = queue.0.lock().unwrap();
                while waiting.is_empty() {
                    waiting = queue.1.wait(waiting).unwrap();
                }
                let last = waiting.len() - 1;
                let request = waiting.remove(if thread == 0 { 0 } else { last });
                drop(waiting);
                serve(request);
            }
        });
    }
    queue
});

fn mark(buffer: *mut u8, length: usize) {
    // SAFETY: the buffer has so many bytes.
    unsafe {
        buffer.write_bytes(POISON, MARK);
        buffer.add(length - MARK).write_bytes(POISON, MARK);
    }
}

fn check_mark(buffer: *const u8, length: usize) {
    let is_marked = |at: usize| {
        (0..MARK).all(|byte| {
            // SAFETY: the buffer has so many bytes; whoever gave it away early is to be found out.
            unsafe { buffer.add(at + byte).read_volatile() == POISON }
        })
    };
    if !is_marked(0) || !is_marked(length - MARK) {
        broken("a buffer was given to somebody else while its request was under way");
    }
}

/// # Safety
/// As C has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn VixDiskLib_ReadAsync(
    disk: *mut Disk,
    sector: u64,
    count: u64,
    buffer: *mut u8,
    done: Option<Done>,
    data: *mut c_void,
) -> u64 {
    // SAFETY: made by Open.
    let place = unsafe { &*disk };
    let _call = Call::new(&place.busy, "ReadAsync");
    let Some(done) = done else { broken("the callback is NULL") };
    if buffer.is_null() {
        broken("the buffer is NULL");
    }
    if count == 0 || count > LARGEST || sector + count > place.size / SECTOR {
        return INVALID;
    }
    let number = NUMBER.fetch_add(1, Ordering::SeqCst);
    if FAULT.hits("read-fails", number) {
        return FAIL;
    }
    if FAULT.hits("panic", number) {
        say::give_up("an assertion failed");
    }
    let length = (count * SECTOR) as usize;
    mark(buffer, length);
    place.reads.state.lock().unwrap().under_way += 1;
    place.reads.asked.fetch_add(length as u64, Ordering::SeqCst);
    let request = Request { disk, number, sector, buffer, length, done, data };
    QUEUE.0.lock().unwrap().push(request);
    QUEUE.1.notify_one();
    ASYNC
}

fn serve(request: Request) {
    let Request { disk, number, sector, buffer, length, done, data } = request;
    // SAFETY: no disk is closed before its requests have ended.
    let disk = unsafe { &*disk };
    if FAULT.hits("hang", number) {
        return;
    }
    if FAULT.is("slow") {
        std::thread::sleep(Duration::from_millis(FAULT.first));
    }
    check_mark(buffer, length);
    if FAULT.is("version") {
        say::warn("the host speaks another version of", &["NFC"]);
    }
    if FAULT.is("nfc") {
        say::warn("NfcFssrvrProcessErrorMsg: received", &["NFC error 5 (out of memory)"]);
    }
    let fails = FAULT.is("version") || FAULT.is("nfc") || FAULT.hits("callback-fails", number);
    if fails {
        disk.reads.state.lock().unwrap().failed.push((buffer as usize, length));
    } else {
        // SAFETY: the buffer has so many bytes, and is left alone until the callback.
        disk.file.read_exact_at(unsafe { std::slice::from_raw_parts_mut(buffer, length) }, sector * SECTOR).unwrap();
    }
    // SAFETY: as C has it.
    unsafe { done(data, if fails { FAIL } else { OK }) };
    let mut state = disk.reads.state.lock().unwrap();
    state.under_way -= 1;
    disk.reads.ended.notify_all();
}

/// # Safety
/// As C has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn VixDiskLib_Wait(disk: *mut Disk) -> u64 {
    // SAFETY: made by Open.
    let disk = unsafe { &*disk };
    let _call = Call::new(&disk.busy, "Wait");
    let mut state = disk.reads.state.lock().unwrap();
    while state.under_way > 0 {
        state = disk.reads.ended.wait(state).unwrap();
    }
    for (buffer, length) in std::mem::take(&mut state.failed) {
        check_mark(buffer as *const u8, length);
    }
    OK
}

/// Nothing may be under way when a disk is closed.
pub(crate) fn check_over(disk: &Disk) {
    // A request that has called back is about to end.
    let began = std::time::Instant::now();
    while disk.reads.state.lock().unwrap().under_way > 0 {
        if began.elapsed() > Duration::from_secs(2) {
            broken("Close while requests are under way");
        }
        std::thread::yield_now();
    }
    if !disk.reads.state.lock().unwrap().failed.is_empty() {
        broken("Close after a request that failed and that nobody waited for");
    }
}

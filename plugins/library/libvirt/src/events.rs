//! What happens to a domain while it runs, as the library's own thread hears it.

use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use super::connection::Connection;
use super::domain_handle::Domain;
use super::error::Error;
use super::functions::Object;

/// Numbers of `virDomainEventID`, `virDomainEventType` and `virDomainEventStoppedDetailType`.
const ID_LIFECYCLE: c_int = 0;
const ID_REBOOT: c_int = 1;
const STOPPED: c_int = 5;
const CRASHED: c_int = 8;
const BY_ITSELF: c_int = 0;
const BY_A_CALL: c_int = 1;
/// Not stopped yet.
const RUNS: i32 = -1;

/// How a domain came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The guest switched it off.
    ByItself,
    /// Somebody destroyed it.
    Destroyed,
    /// Its process ended.
    Died,
}

#[derive(Default)]
struct Heard {
    reboots: AtomicU32,
    stop: AtomicI32,
    panicked: AtomicBool,
}

/// Hears what happens to a domain, until it is dropped.
pub struct Events<'a> {
    connection: &'a Connection,
    ids: Vec<c_int>,
    heard: Arc<Heard>,
}

impl<'a> Events<'a> {
    /// Begins to listen.
    pub fn of(connection: &'a Connection, domain: &Domain) -> Result<Self, Error> {
        let heard = Arc::new(Heard { stop: AtomicI32::new(RUNS), ..Heard::default() });
        let mut events = Self { connection, ids: Vec::new(), heard };
        let lifecycle: extern "C" fn(Object, Object, c_int, c_int, *mut c_void) -> c_int = lifecycle;
        let rebooted: extern "C" fn(Object, Object, *mut c_void) = rebooted;
        for (id, function) in [(ID_LIFECYCLE, lifecycle as *const c_void), (ID_REBOOT, rebooted as *const c_void)] {
            let handle = connection.handle();
            let place = Arc::into_raw(Arc::clone(&events.heard)).cast_mut().cast::<c_void>();
            // SAFETY: connection and domain live; the function is of the type that belongs to the number. The library calls `release`
            // once, after which it calls the function no more.
            let registered =
                unsafe { (handle.functions.on_event)(handle.get(), domain.object(), id, function, place, release) };
            match handle.check(registered) {
                Ok(registered) => events.ids.push(registered),
                Err(error) => {
                    release(place);
                    return Err(error);
                }
            }
        }
        Ok(events)
    }

    /// How often the guest reset it.
    pub fn reboots(&self) -> u32 {
        self.heard.reboots.load(Ordering::Relaxed)
    }

    /// Whether the guest reported a panic.
    pub fn has_panicked(&self) -> bool {
        self.heard.panicked.load(Ordering::Relaxed)
    }

    /// How it came to its end, if it did.
    pub fn stop(&self) -> Option<Stop> {
        match self.heard.stop.load(Ordering::Relaxed) {
            RUNS => None,
            BY_ITSELF => Some(Stop::ByItself),
            BY_A_CALL => Some(Stop::Destroyed),
            _ => Some(Stop::Died),
        }
    }
}

impl Drop for Events<'_> {
    fn drop(&mut self) {
        let handle = self.connection.handle();
        for id in &self.ids {
            // SAFETY: the connection lives, and the number is that of a registration of it.
            unsafe { (handle.functions.no_more_events)(handle.get(), *id) };
        }
    }
}

extern "C" fn lifecycle(_: Object, _: Object, event: c_int, detail: c_int, place: *mut c_void) -> c_int {
    // SAFETY: what `Events::of` handed over, which `release` has not taken back yet.
    let heard = unsafe { &*place.cast::<Heard>() };
    match event {
        STOPPED => heard.stop.store(detail.max(0), Ordering::Relaxed),
        CRASHED => heard.panicked.store(true, Ordering::Relaxed),
        _ => {}
    }
    0
}

extern "C" fn rebooted(_: Object, _: Object, place: *mut c_void) {
    // SAFETY: as above.
    unsafe { &*place.cast::<Heard>() }.reboots.fetch_add(1, Ordering::Relaxed);
}

extern "C" fn release(place: *mut c_void) {
    // SAFETY: made by `Arc::into_raw` in `Events::of`, and given back once.
    drop(unsafe { Arc::from_raw(place.cast_const().cast::<Heard>()) });
}

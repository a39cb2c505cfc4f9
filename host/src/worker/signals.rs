//! Ctrl-C and its kin: the first asks to stop at the next safe point, the second does not wait. And how a process takes any signal.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// The signals that ask a process to stop.
const REQUESTS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

static ASKED: AtomicU32 = AtomicU32::new(0);
static AS_ONE: AtomicBool = AtomicBool::new(false);
static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Counts the requests to stop that this process has got.
pub(crate) fn count() -> u32 {
    let asked = ASKED.load(Ordering::Relaxed);
    if AS_ONE.load(Ordering::Relaxed) { asked.min(1) } else { asked }
}

/// From now on all requests are one, however many come: a cluster's manager asks every process of a task, and its parent asks it, too.
pub(crate) fn take_as_one() {
    AS_ONE.store(true, Ordering::Relaxed);
}

/// From now on SIGINT, SIGTERM and SIGHUP are counted, and set the returned flag, instead of ending the process.
pub(crate) fn install() -> Arc<AtomicBool> {
    let flag = Arc::clone(FLAG.get_or_init(Arc::default));
    for signal in REQUESTS {
        // No SA_RESTART: a blocked read returns, so that the request is seen at once.
        handle(signal, on_signal, 0);
    }
    // A write beyond a limit on file sizes is to fail, not to end the process; programs that are run inherit this.
    // SAFETY: ignoring a signal touches no memory.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    flag
}

/// From now on these signals do nothing: they may be sent to a whole group of processes, and whoever started this one ends it when it is
/// needed no more. Programs that it runs do not inherit that, as they would if the signals were ignored.
pub(crate) fn leave_to_parent() {
    extern "C" fn nothing(_: libc::c_int) {}
    REQUESTS.iter().for_each(|signal| handle(*signal, nothing, libc::SA_RESTART));
}

/// Has this process call `handler`, which must be async-signal-safe, on a signal.
pub(super) fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int), flags: libc::c_int) {
    // SAFETY: an all-zero sigaction is a valid value of the C struct.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = flags;
    // SAFETY: the handlers are async-signal-safe, and the struct outlives the call.
    unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
}

extern "C" fn on_signal(_: libc::c_int) {
    ASKED.fetch_add(1, Ordering::Relaxed);
    if let Some(flag) = FLAG.get() {
        flag.store(true, Ordering::Relaxed);
    }
}

//! Ctrl-C and its kin: the first asks to stop at the next safe point, the second does not wait.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

static ASKED: AtomicU32 = AtomicU32::new(0);
static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Counts the requests to stop that this process has got.
pub(super) fn count() -> u32 {
    ASKED.load(Ordering::Relaxed)
}

/// From now on SIGINT, SIGTERM and SIGHUP are counted, and set the returned flag, instead of ending the process.
pub(super) fn install() -> Arc<AtomicBool> {
    let flag = Arc::clone(FLAG.get_or_init(Arc::default));
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: an all-zero sigaction is a valid value of the C struct.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as usize;
        // No SA_RESTART: a blocked read returns, so that the request is seen at once.
        // SAFETY: the handler only touches atomics, and the struct outlives the call.
        unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    }
    // A write beyond a limit on file sizes is to fail, not to end the process; programs that are run inherit this.
    // SAFETY: ignoring a signal touches no memory.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    flag
}

extern "C" fn on_signal(_: libc::c_int) {
    ASKED.fetch_add(1, Ordering::Relaxed);
    if let Some(flag) = FLAG.get() {
        flag.store(true, Ordering::Relaxed);
    }
}

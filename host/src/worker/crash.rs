//! The breadcrumb: a worker that dies in a signal, or that a plugin ends with `exit`, says inside of which plugin's method it was.
//!
//! A thread that a plugin started is inside of no call of ours: then the main thread is asked, which is the one that called the plugin.
//! The handlers only use atomics and a thread-local, and call `write`, `nanosleep` and `pthread_kill`, all of which are allowed in one.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use vmdk2kvm_plugin_api::abi::calls;

use super::signals::handle;

/// Begins the line on standard error that carries a breadcrumb.
const MARK: &str = "\u{1}vmdk2kvm-died\u{1}";

/// The signals by which code dies, and the one by which the supervisor ends a worker that does not stop.
const FATAL: [libc::c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGSYS, ORDER_TO_END.as_raw()];

/// Ends a worker at once, with a breadcrumb and without a core file.
pub(super) const ORDER_TO_END: Signal = Signal::USR2;

/// Asks the main thread where it is.
const WHERE: libc::c_int = libc::SIGUSR1;

static MAIN: OnceLock<libc::pthread_t> = OnceLock::new();
static ANSWERED: AtomicBool = AtomicBool::new(false);

/// Where a worker was when it died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crumb {
    /// `name version` of the plugin.
    pub plugin: String,
    /// The method.
    pub method: String,
}

/// Makes this process leave a breadcrumb when it dies. Called on the main thread. std has given every thread an alternate signal stack
/// already, so that a stack overflow is caught as well.
pub(crate) fn install() {
    // SAFETY: has no preconditions.
    MAIN.get_or_init(|| unsafe { libc::pthread_self() });
    for signal in FATAL {
        handle(signal, on_signal, libc::SA_ONSTACK | libc::SA_RESETHAND | libc::SA_NODEFER);
    }
    handle(WHERE, on_where, libc::SA_ONSTACK | libc::SA_RESTART);
    // SAFETY: the handler does nothing that is forbidden while the process exits.
    unsafe { libc::atexit(on_exit) };
}

extern "C" fn on_signal(signal: libc::c_int) {
    say_where();
    // SAFETY: the disposition is the default again (SA_RESETHAND), so that this ends the process by the same signal.
    unsafe { libc::raise(signal) };
}

extern "C" fn on_exit() {
    say_where();
}

extern "C" fn on_where(_: libc::c_int) {
    leave_crumb();
    ANSWERED.store(true, Ordering::Release);
}

fn say_where() {
    // SAFETY: has no preconditions.
    let this = unsafe { libc::pthread_self() };
    let Some(main) = MAIN.get().filter(|main| **main != this && calls::current().is_none()) else {
        return leave_crumb();
    };
    // SAFETY: the main thread lives as long as the process.
    if unsafe { libc::pthread_kill(*main, WHERE) } != 0 {
        return;
    }
    // A main thread that does not answer within a second cannot.
    let pause = libc::timespec { tv_sec: 0, tv_nsec: 10_000_000 };
    for _ in 0..100 {
        if ANSWERED.load(Ordering::Acquire) {
            return;
        }
        // SAFETY: the pointer is that of a live struct; no remainder is asked for.
        unsafe { libc::nanosleep(&raw const pause, std::ptr::null_mut()) };
    }
}

fn leave_crumb() {
    let Some(call) = calls::current() else { return };
    for part in ["\n", MARK, call.plugin, "\u{1}", call.method, "\n"] {
        // SAFETY: the pointer and the length are those of a live string.
        unsafe { libc::write(2, part.as_ptr().cast(), part.len()) };
    }
}

/// Takes a line of a worker's standard error apart, when it is a breadcrumb.
pub(crate) fn parse(line: &str) -> Option<Crumb> {
    let (plugin, method) = line.strip_prefix(MARK)?.split_once('\u{1}')?;
    Some(Crumb { plugin: plugin.to_owned(), method: method.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breadcrumb_is_told_from_other_lines() {
        let crumb = Crumb { plugin: "vddk 0.3.1".into(), method: "Transport::open".into() };
        assert_eq!(parse("\u{1}vmdk2kvm-died\u{1}vddk 0.3.1\u{1}Transport::open"), Some(crumb));
        assert_eq!(parse("libguestfs: warning"), None);
    }
}

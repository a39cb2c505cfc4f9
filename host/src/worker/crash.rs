//! The breadcrumb: a worker that dies in a signal, or that a plugin ends with `exit`, says inside of which plugin's method it was.
//!
//! The handlers only read a thread-local and call `write`, both of which are allowed in a signal handler.

use vmdk2kvm_plugin_api::abi::calls;

/// Begins the line on standard error that carries a breadcrumb.
const MARK: &str = "\u{1}vmdk2kvm-died\u{1}";

/// The signals by which code dies.
const FATAL: [libc::c_int; 6] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGSYS];

/// Where a worker was when it died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Crumb {
    /// `name version` of the plugin.
    pub plugin: String,
    /// The method.
    pub method: String,
}

/// Makes this process leave a breadcrumb when it dies. std has given every thread an alternate signal stack already, so that a stack
/// overflow is caught as well.
pub(super) fn install() {
    for signal in FATAL {
        // SAFETY: an all-zero sigaction is a valid value of the C struct.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as usize;
        action.sa_flags = libc::SA_ONSTACK | libc::SA_RESETHAND | libc::SA_NODEFER;
        // SAFETY: the handler is async-signal-safe, and the struct outlives the call.
        unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    }
    // SAFETY: the handler does nothing that is forbidden while the process exits.
    unsafe { libc::atexit(on_exit) };
}

extern "C" fn on_signal(signal: libc::c_int) {
    leave_crumb();
    // SAFETY: the disposition is the default again (SA_RESETHAND), so that this ends the process by the same signal.
    unsafe { libc::raise(signal) };
}

extern "C" fn on_exit() {
    leave_crumb();
}

fn leave_crumb() {
    let Some(call) = calls::current() else { return };
    for part in ["\n", MARK, call.plugin, "\u{1}", call.method, "\n"] {
        // SAFETY: the pointer and the length are those of a live string.
        unsafe { libc::write(2, part.as_ptr().cast(), part.len()) };
    }
}

/// Takes a line of a worker's standard error apart, when it is a breadcrumb.
pub(super) fn parse(line: &str) -> Option<Crumb> {
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

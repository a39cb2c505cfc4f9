//! What the library says: lines for the log, without secrets, and the last of them that was a warning.
//!
//! Its functions answer with a bare number; why stands in what it says meanwhile, on whatever thread.

use std::ffi::{c_char, c_int, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

use vmdk2kvm_plugin_api::text::escape;

use crate::abi::Say;

/// The longest line in bytes; what is longer is cut.
const LINE: usize = 4096;

unsafe extern "C" {
    /// As in C; on x86-64 a `va_list` that is an argument is a pointer.
    fn vsnprintf(buffer: *mut c_char, size: usize, format: *const c_char, arguments: *mut c_void) -> c_int;
}

struct Said {
    secrets: Vec<String>,
    warning: String,
}

/// The library gives its callbacks nothing to know their owner by, and there is one library in a process.
static SAID: Mutex<Said> = Mutex::new(Said { secrets: Vec::new(), warning: String::new() });

fn said() -> MutexGuard<'static, Said> {
    SAID.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on nothing that is said has this word in it.
pub fn hide(secret: &str) {
    let mut said = said();
    if !secret.is_empty() && !said.secrets.iter().any(|known| known == secret) {
        said.secrets.push(secret.to_owned());
        // A part of another one must not be taken out of that before.
        said.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }
}

/// A text of the library as it may be shown.
pub fn shown(text: &str) -> String {
    masked(text, &said().secrets)
}

fn masked(text: &str, secrets: &[String]) -> String {
    let hidden = secrets.iter().fold(text.trim().to_owned(), |text, secret| text.replace(secret, "***"));
    escape(&hidden).into_owned()
}

/// Forgets the warnings so far: what comes next is another matter.
pub fn begin() {
    said().warning.clear();
}

/// The last warning since then; empty when there was none.
pub fn warning() -> String {
    said().warning.clone()
}

/// What the library is given for what it tells, warns of, and dies of.
pub fn callbacks() -> [Say; 3] {
    [tell, warn, panic]
}

/// # Safety
/// A format and its arguments, as the library gives them.
unsafe extern "C" fn tell(format: *const c_char, arguments: *mut c_void) {
    // SAFETY: the caller's.
    let line = unsafe { line(format, arguments) };
    tracing::debug!("VDDK: {line}");
}

/// # Safety
/// A format and its arguments, as the library gives them.
unsafe extern "C" fn warn(format: *const c_char, arguments: *mut c_void) {
    // SAFETY: the caller's.
    let line = unsafe { line(format, arguments) };
    tracing::info!("VDDK warns: {line}");
    said().warning = line;
}

/// # Safety
/// A format and its arguments, as the library gives them.
unsafe extern "C" fn panic(format: *const c_char, arguments: *mut c_void) {
    // SAFETY: the caller's.
    let line = unsafe { line(format, arguments) };
    tracing::error!("VDDK gives up: {line}");
    said().warning = line;
}

/// # Safety
/// `format` is a C string and `arguments` the `va_list` for it, or either is NULL.
unsafe fn line(format: *const c_char, arguments: *mut c_void) -> String {
    if format.is_null() || arguments.is_null() {
        return String::new();
    }
    let mut buffer = vec![0u8; LINE];
    // SAFETY: the buffer has so many bytes; the rest is the caller's.
    let length = unsafe { vsnprintf(buffer.as_mut_ptr().cast(), LINE, format, arguments) };
    let length = usize::try_from(length).unwrap_or_default();
    // A line that is cut may end in the middle of a secret, which would not be known again.
    let cut = if length < LINE { 0 } else { said().secrets.iter().map(String::len).max().unwrap_or_default() };
    buffer.truncate(length.min(LINE - 1).saturating_sub(cut));
    shown(&String::from_utf8_lossy(&buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let secrets = ["pass-word", "pass"].map(str::to_owned);
        assert_eq!(masked("  user=a pass-word=pass\u{7}\n", &secrets), "user=a ***=***\\x07");
    }
}

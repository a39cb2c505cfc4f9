//! Calls the callbacks with a format and its arguments, as C would.

use std::ffi::{CString, c_char, c_void};
use std::sync::OnceLock;

pub(crate) type Say = unsafe extern "C" fn(*const c_char, *mut c_void);

/// For what is told, warned of, and died of.
pub(crate) static SAY: OnceLock<[Say; 3]> = OnceLock::new();

/// A `va_list` of x86-64 whose arguments all lie in memory.
#[repr(C)]
struct Arguments {
    general: u32,
    floating: u32,
    overflow: *const c_void,
    saved: *const c_void,
}

fn say(which: usize, words: &str, arguments: &[&str]) {
    let format = CString::new(format!("{words}{}\n", " %s".repeat(arguments.len()))).unwrap();
    let texts: Vec<CString> = arguments.iter().map(|text| CString::new(*text).unwrap()).collect();
    let places: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
    let mut list = Arguments { general: 48, floating: 304, overflow: places.as_ptr().cast(), saved: std::ptr::null() };
    let callback = SAY.get().unwrap()[which];
    // SAFETY: the format has as many `%s` as there are texts.
    unsafe { callback(format.as_ptr(), (&raw mut list).cast()) };
}

pub(crate) fn tell(words: &str, arguments: &[&str]) {
    say(0, words, arguments);
}

pub(crate) fn warn(words: &str, arguments: &[&str]) {
    say(1, words, arguments);
}

pub(crate) fn give_up(words: &str) -> ! {
    say(2, words, &[]);
    std::process::abort()
}

//! An object of the library's, given back when it is dropped.

use std::ffi::{CStr, CString, c_char, c_int};

use super::error::Error;
use super::functions::{Functions, Object};

/// An object and how it is given back.
pub(crate) struct Handle {
    pub functions: &'static Functions,
    object: Object,
    release: unsafe extern "C" fn(Object) -> c_int,
}

// SAFETY: libvirt's objects count their references and lock themselves; its documentation allows them in any thread.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    /// What a call returned: an object of the caller's own, or null and an error.
    pub fn new(
        functions: &'static Functions,
        object: Object,
        release: unsafe extern "C" fn(Object) -> c_int,
    ) -> Result<Self, Error> {
        if object.is_null() { Err(Error::last(functions)) } else { Ok(Self { functions, object, release }) }
    }

    /// The object, for as long as this lives.
    pub fn get(&self) -> Object {
        self.object
    }

    /// The error of a call that returned -1.
    pub fn check(&self, returned: c_int) -> Result<c_int, Error> {
        if returned < 0 { Err(Error::last(self.functions)) } else { Ok(returned) }
    }

    /// A text that a call gave away.
    pub fn text(&self, text: *mut c_char) -> Result<String, Error> {
        if text.is_null() {
            return Err(Error::last(self.functions));
        }
        // SAFETY: a string of the C library that this caller owns.
        unsafe {
            let copy = CStr::from_ptr(text).to_string_lossy().into_owned();
            libc::free(text.cast());
            Ok(copy)
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the reference is this handle's own, and it is given back once.
        unsafe { (self.release)(self.object) };
    }
}

/// `None` for an error that says that there is no such thing.
pub(crate) fn found<T>(result: Result<T, Error>, absent: c_int) -> Result<Option<T>, Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code == absent => Ok(None),
        Err(error) => Err(error),
    }
}

/// A text as the library takes it: what follows a zero byte would be lost, and there is none in what is written here.
pub(crate) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "_")).unwrap_or_default()
}

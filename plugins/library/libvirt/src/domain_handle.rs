//! A domain that libvirt knows.

use std::ffi::{CStr, c_char, c_int};

use super::connection::Connection;
use super::error::{Error, NO_DOMAIN, NO_METADATA};
use super::functions::Object;
use super::handle::{Handle, c_text, found};
use super::stream::Stream;

/// Flags and words of `virDomain...`.
const XML_INACTIVE: u32 = 1 << 1;
const UNDEFINE_NVRAM: u32 = 1 << 2;
const METADATA_ELEMENT: c_int = 2;
const MEMORY_PHYSICAL: u32 = 1 << 1;
const UUID_BUFFER: usize = 37;
/// The largest picture of a screen that is taken, in bytes: 8192 by 8192 pixels of three colours, and a header.
const LARGEST_PICTURE: usize = 8192 * 8192 * 3 + 4096;

/// A domain.
pub struct Domain {
    handle: Handle,
}

impl Domain {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    pub(crate) fn object(&self) -> Object {
        self.handle.get()
    }

    /// Its name.
    pub fn name(&self) -> String {
        // SAFETY: the domain lives, and the text as long as it.
        let name = unsafe { (self.handle.functions.domain_name)(self.object()) };
        // SAFETY: a string of the C library, or nothing.
        if name.is_null() { String::new() } else { unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned() }
    }

    /// Its UUID.
    pub fn uuid(&self) -> Result<String, Error> {
        let mut buffer: [c_char; UUID_BUFFER] = [0; UUID_BUFFER];
        // SAFETY: the domain lives; the buffer has the length that the library asks for.
        self.handle.check(unsafe { (self.handle.functions.domain_uuid)(self.object(), buffer.as_mut_ptr()) })?;
        // SAFETY: the library ended the text.
        Ok(unsafe { CStr::from_ptr(buffer.as_ptr()) }.to_string_lossy().into_owned())
    }

    /// Its document as it is defined, whatever runs.
    pub fn defined_xml(&self) -> Result<String, Error> {
        // SAFETY: the domain lives.
        self.handle.text(unsafe { (self.handle.functions.domain_xml)(self.object(), XML_INACTIVE) })
    }

    /// The element of a namespace in its metadata.
    pub fn metadata(&self, namespace: &str) -> Result<Option<String>, Error> {
        // SAFETY: the domain lives; the text lives for the call.
        let text = unsafe {
            (self.handle.functions.domain_metadata)(self.object(), METADATA_ELEMENT, c_text(namespace).as_ptr(), 0)
        };
        found(self.handle.text(text), NO_METADATA)
    }

    /// Whether it runs.
    pub fn is_active(&self) -> Result<bool, Error> {
        // SAFETY: the domain lives.
        let active = unsafe { (self.handle.functions.domain_is_active)(self.object()) };
        self.handle.check(active).map(|active| active == 1)
    }

    /// Whether it is still known: a transient one is no more when it has ended.
    pub fn is_known(&self) -> Result<bool, Error> {
        let (mut state, mut reason) = (0, 0);
        // SAFETY: the domain lives; both places take a number.
        let asked = unsafe { (self.handle.functions.domain_state)(self.object(), &mut state, &mut reason, 0) };
        found(self.handle.check(asked), NO_DOMAIN).map(|known| known.is_some())
    }

    /// Whether it starts with its host.
    pub fn autostart(&self) -> Result<bool, Error> {
        let mut on = 0;
        // SAFETY: the domain lives; the place takes a number.
        self.handle.check(unsafe { (self.handle.functions.domain_autostart)(self.object(), &mut on) })?;
        Ok(on != 0)
    }

    /// Keeps it from starting with its host.
    pub fn no_autostart(&self) -> Result<(), Error> {
        // SAFETY: the domain lives.
        self.handle.check(unsafe { (self.handle.functions.domain_set_autostart)(self.object(), 0) }).map(|_| ())
    }

    /// Takes its definition away, with the firmware's variables that belong to it.
    pub fn undefine(&self) -> Result<(), Error> {
        // SAFETY: the domain lives.
        let undefined = unsafe { (self.handle.functions.domain_undefine)(self.object(), UNDEFINE_NVRAM) };
        self.handle.check(undefined).map(|_| ())
    }

    /// Ends it at once. One that has ended is no error.
    pub fn destroy(&self) -> Result<(), Error> {
        // SAFETY: the domain lives.
        let destroyed = unsafe { (self.handle.functions.domain_destroy)(self.object()) };
        found(self.handle.check(destroyed), NO_DOMAIN).map(|_| ())
    }

    /// Lets its processors run.
    pub fn resume(&self) -> Result<(), Error> {
        // SAFETY: the domain lives.
        self.handle.check(unsafe { (self.handle.functions.domain_resume)(self.object()) }).map(|_| ())
    }

    /// A picture of its first screen: a PNG, or a PPM of older versions.
    pub fn screenshot(&self, connection: &Connection) -> Result<Vec<u8>, Error> {
        let stream = Stream::new(connection)?;
        // SAFETY: domain and stream live.
        let kind = unsafe { (self.handle.functions.domain_screenshot)(self.object(), stream.object(), 0, 0) };
        self.handle.text(kind)?;
        stream.receive(LARGEST_PICTURE)
    }

    /// Reads physical memory.
    pub fn peek(&self, address: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let place = bytes.as_mut_ptr().cast();
        // SAFETY: the domain lives; the place takes as many bytes as are asked for.
        let peeked =
            unsafe { (self.handle.functions.domain_peek)(self.object(), address, bytes.len(), place, MEMORY_PHYSICAL) };
        self.handle.check(peeked).map(|_| ())
    }
}

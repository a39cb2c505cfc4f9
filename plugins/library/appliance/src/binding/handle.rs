//! A libguestfs handle: made, configured, launched, shut down; and what turns C results into Rust values.

use std::ffi::{CStr, CString, c_char, c_int};
use std::path::Path;
use std::ptr;

use vmdk2kvm_plugin_api::Result;

use super::CallError;
use super::api::{self, Api, RawHandle};

/// A handle: one appliance. Closed when dropped.
pub struct Handle {
    pub(super) api: &'static Api,
    pub(super) raw: *mut RawHandle,
}

// SAFETY: a libguestfs handle is bound to no thread; it must only not be used by two at once, which `&mut self` on every
// call forbids.
unsafe impl Send for Handle {}

/// A disk to attach.
#[derive(Debug, Clone, Copy)]
pub struct Drive<'a> {
    /// Image file.
    pub path: &'a Path,
    /// Its format, never probed.
    pub format: &'a str,
    /// Nothing may be written to the file: the library lays its own overlay over it.
    pub readonly: bool,
    /// What is discarded in the appliance takes no room in the file any more, where its format can. Not of a drive that is only read.
    pub discard: bool,
}

type Call<T> = Result<T, CallError>;

impl Handle {
    /// A new handle. The library's environment variables (`LIBGUESTFS_HV`, `LIBGUESTFS_CACHEDIR`, ...) keep their meaning.
    pub fn new() -> Result<Self> {
        let api = api::api()?;
        // SAFETY: takes nothing; NULL is checked.
        let raw = unsafe { (api.create)() };
        if raw.is_null() {
            return Err(vmdk2kvm_plugin_api::PluginError::io("libguestfs create: no handle could be made"));
        }
        let handle = Self { api, raw };
        // SAFETY: a NULL callback is documented to mean that messages are only kept for `last_error`: nothing reaches stderr.
        unsafe { (api.set_error_handler)(raw, ptr::null(), ptr::null()) };
        Ok(handle)
    }

    /// Chooses how the appliance is started.
    pub fn set_backend(&mut self, backend: &str) -> Call<()> {
        let backend = text("set_backend", backend)?;
        // SAFETY: the handle is open and the string ends in NUL; the library copies it.
        self.done("set_backend", unsafe { (self.api.set_backend)(self.raw, backend.as_ptr()) })
    }

    /// A backend setting that is already there, e.g. from the environment.
    pub fn backend_setting(&mut self, name: &str) -> Option<String> {
        let name = text("get_backend_setting", name).ok()?;
        // SAFETY: as above; the result is ours to free, which `owned_text` does.
        let value = unsafe { (self.api.get_backend_setting)(self.raw, name.as_ptr()) };
        self.owned_text("get_backend_setting", value).ok()
    }

    /// Sets a backend setting.
    pub fn set_backend_setting(&mut self, name: &str, value: &str) -> Call<()> {
        let (name, value) = (text("set_backend_setting", name)?, text("set_backend_setting", value)?);
        // SAFETY: open handle, strings end in NUL and are copied.
        let result = unsafe { (self.api.set_backend_setting)(self.raw, name.as_ptr(), value.as_ptr()) };
        self.done("set_backend_setting", result)
    }

    /// Memory of the appliance in MiB and its number of processors.
    pub fn set_size(&mut self, memory_mib: u32, processors: u32) -> Call<()> {
        // SAFETY: open handle, plain integers.
        let result = unsafe { (self.api.set_memsize)(self.raw, integer(memory_mib)) };
        self.done("set_memsize", result)?;
        // SAFETY: open handle, plain integers.
        self.done("set_smp", unsafe { (self.api.set_smp)(self.raw, integer(processors)) })
    }

    /// No network in the appliance.
    pub fn without_network(&mut self) -> Call<()> {
        // SAFETY: open handle, plain integers.
        self.done("set_network", unsafe { (self.api.set_network)(self.raw, 0) })
    }

    /// Where the library puts its sockets: it has no call for this, but takes it from the variables that it is given.
    pub fn set_sockdir(&mut self, folder: &Path) -> Call<()> {
        let folder = folder.to_string_lossy();
        let mut variables = vec![text("parse_environment_list", &format!("XDG_RUNTIME_DIR={folder}"))?];
        // One that is left out would be taken for unset.
        if let Some(tmpdir) = std::env::var_os("TMPDIR") {
            variables.push(text("parse_environment_list", &format!("TMPDIR={}", tmpdir.to_string_lossy()))?);
        }
        let list: Vec<_> = variables.iter().map(|one| one.as_ptr()).chain([ptr::null()]).collect();
        // SAFETY: open handle; a list of strings that ends in NULL, all of which the library copies.
        self.done("parse_environment_list", unsafe { (self.api.parse_environment_list)(self.raw, list.as_ptr()) })
    }

    /// Gives the hypervisor a further argument with its value.
    pub fn hypervisor_argument(&mut self, name: &str, value: &str) -> Call<()> {
        let (name, value) = (text("config", name)?, text("config", value)?);
        // SAFETY: open handle, strings end in NUL and are copied.
        self.done("config", unsafe { (self.api.config)(self.raw, name.as_ptr(), value.as_ptr()) })
    }

    /// Where the library puts its own overlays and temporary files.
    pub fn set_tmpdir(&mut self, folder: &Path) -> Call<()> {
        let folder = path("set_tmpdir", folder)?;
        // SAFETY: open handle, string ends in NUL and is copied.
        self.done("set_tmpdir", unsafe { (self.api.set_tmpdir)(self.raw, folder.as_ptr()) })
    }

    /// Where the library looks for its appliance.
    pub fn set_path(&mut self, search: &str) -> Call<()> {
        let search = text("set_path", search)?;
        // SAFETY: open handle, string ends in NUL and is copied.
        self.done("set_path", unsafe { (self.api.set_path)(self.raw, search.as_ptr()) })
    }

    /// Where the library looks for its appliance now.
    pub fn path(&mut self) -> Call<String> {
        // SAFETY: open handle; the result belongs to the handle and is copied before any other call.
        let value = unsafe { (self.api.get_path)(self.raw) };
        if value.is_null() {
            return Err(self.error("get_path"));
        }
        // SAFETY: not NULL, ends in NUL.
        Ok(unsafe { CStr::from_ptr(value) }.to_string_lossy().into_owned())
    }

    /// The folder in which the library keeps its appliance.
    pub fn cachedir(&mut self) -> Call<String> {
        // SAFETY: open handle; the result is ours.
        let value = unsafe { (self.api.get_cachedir)(self.raw) };
        self.owned_text("get_cachedir", value)
    }

    /// The hypervisor program.
    pub fn hypervisor(&mut self) -> Call<String> {
        // SAFETY: open handle; the result is ours.
        let value = unsafe { (self.api.get_hv)(self.raw) };
        self.owned_text("get_hv", value)
    }

    /// Process id of the running hypervisor.
    pub fn pid(&mut self) -> Call<i32> {
        // SAFETY: open handle.
        let pid = unsafe { (self.api.get_pid)(self.raw) };
        if pid > 0 { Ok(pid) } else { Err(self.error("get_pid")) }
    }

    /// Attaches a disk. Its name in the appliance follows from the order of these calls: `/dev/sda`, `/dev/sdb`, ...
    pub fn add_drive(&mut self, drive: Drive<'_>) -> Call<()> {
        let file = path("add_drive", drive.path)?;
        let format = text("add_drive", drive.format)?;
        // SAFETY: an all-zero value of this plain C structure is valid: integers and NULL pointers.
        let mut options: api::AddDriveOpts = unsafe { std::mem::zeroed() };
        options.bitmask = api::DRIVE_READONLY | api::DRIVE_FORMAT;
        options.readonly = c_int::from(drive.readonly);
        options.format = format.as_ptr();
        if !drive.readonly {
            // The file is an overlay that is thrown away unless the run succeeds: waiting for the disk buys nothing, and
            // whoever commits the overlay reads it through the same page cache.
            options.bitmask |= api::DRIVE_CACHEMODE;
            options.cachemode = c"unsafe".as_ptr();
        }
        if drive.discard && !drive.readonly {
            options.bitmask |= api::DRIVE_DISCARD;
            options.discard = c"besteffort".as_ptr();
        }
        // SAFETY: open handle; the strings and the structure outlive the call, which copies them; members whose bit is not
        // set are not read.
        let result = unsafe { (self.api.add_drive_opts_argv)(self.raw, file.as_ptr(), &raw const options) };
        self.done("add_drive", result)
    }

    /// Starts the appliance and waits until it answers.
    pub fn launch(&mut self) -> Call<()> {
        // SAFETY: open handle.
        self.done("launch", unsafe { (self.api.launch)(self.raw) })
    }

    /// Stops the appliance; an error means that what was written may not be in the images.
    pub fn shutdown(&mut self) -> Call<()> {
        // SAFETY: open handle.
        self.done("shutdown", unsafe { (self.api.shutdown)(self.raw) })
    }

    pub(super) fn done(&mut self, call: &'static str, result: c_int) -> Call<()> {
        if result == -1 { Err(self.error(call)) } else { Ok(()) }
    }

    /// The library's last error, which belongs to this thread and handle.
    pub(super) fn error(&mut self, call: &'static str) -> CallError {
        // SAFETY: open handle.
        let (errno, message) = unsafe { ((self.api.last_errno)(self.raw), (self.api.last_error)(self.raw)) };
        let message = if message.is_null() {
            "it failed without a message".to_owned()
        } else {
            // SAFETY: not NULL, ends in NUL, valid until the next call on this handle.
            unsafe { CStr::from_ptr(message) }.to_string_lossy().trim().replace('\n', "; ")
        };
        CallError { call, errno, message }
    }

    /// A string that the library made for us.
    pub(super) fn owned_text(&mut self, call: &'static str, value: *mut c_char) -> Call<String> {
        if value.is_null() {
            return Err(self.error(call));
        }
        // SAFETY: not NULL, ends in NUL.
        let text = unsafe { CStr::from_ptr(value) }.to_string_lossy().into_owned();
        // SAFETY: made by the library with malloc and documented to be freed by the caller; not used afterwards.
        unsafe { libc::free(value.cast()) };
        Ok(text)
    }

    /// A buffer of `size` bytes that the library made for us.
    pub(super) fn owned_bytes(&mut self, call: &'static str, value: *mut c_char, size: usize) -> Call<Vec<u8>> {
        if value.is_null() {
            return Err(self.error(call));
        }
        // SAFETY: not NULL, and the library set `size` to the buffer's length.
        let bytes = unsafe { std::slice::from_raw_parts(value.cast::<u8>(), size) }.to_vec();
        // SAFETY: as in `owned_text`.
        unsafe { libc::free(value.cast()) };
        Ok(bytes)
    }

    /// A list of strings that the library made for us.
    pub(super) fn owned_list(&mut self, call: &'static str, list: *mut *mut c_char) -> Call<Vec<String>> {
        if list.is_null() {
            return Err(self.error(call));
        }
        let mut out = Vec::new();
        loop {
            // SAFETY: the list ends in a NULL entry, at which the loop ends.
            let entry = unsafe { *list.add(out.len()) };
            if entry.is_null() {
                break;
            }
            out.push(self.owned_text(call, entry)?);
        }
        // SAFETY: the list itself was made with malloc; its entries are freed already.
        unsafe { libc::free(list.cast()) };
        Ok(out)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is open and never used again; closing kills a running appliance.
        unsafe { (self.api.close)(self.raw) };
    }
}

/// A C string; a text with a NUL inside names nothing in any guest.
pub(super) fn text(call: &'static str, text: &str) -> Call<CString> {
    CString::new(text).map_err(|_| CallError {
        call,
        errno: libc::EINVAL,
        message: format!("{}: the name holds a NUL character", text.escape_debug()),
    })
}

fn path(call: &'static str, path: &Path) -> Call<CString> {
    text(call, &path.to_string_lossy())
}

fn integer(number: u32) -> c_int {
    c_int::try_from(number).unwrap_or(c_int::MAX)
}

//! The functions that every version has.

use std::ffi::{CStr, CString, c_char, c_void};
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::fault::FAULT;
use crate::reads::{self, Reads};
use crate::rules::{self, Call, OPEN, broken, note};
use crate::say::{self, SAY, Say};

pub(crate) const SECTOR: u64 = 512;
pub(crate) const OK: u64 = 0;
pub(crate) const FAIL: u64 = 1;
pub(crate) const INVALID: u64 = 3;
const NOT_FOUND: u64 = 4;
const UNSUPPORTED: u64 = 6;
/// What is in members that are nobody's business.
pub(crate) const CANARY: u64 = 0x5ca1_ab1e_0ddb_a11d;

#[repr(C)]
pub struct Params {
    pub(crate) vm: *const c_char,
    pub(crate) server: *const c_char,
    pub(crate) thumbprint: *const c_char,
    pub(crate) reserved: u64,
    pub(crate) kind: i32,
    pub(crate) credentials: [*const c_char; 3],
    pub(crate) port: u32,
    pub(crate) nfc_port: u32,
    pub(crate) further: [u64; 3],
    pub(crate) spec: [u64; 3],
    pub(crate) spec_kind: i32,
    pub(crate) end: u32,
}

pub struct Connection {
    snapshot: Option<String>,
    is_believed: bool,
}

pub struct Disk {
    pub(crate) busy: AtomicBool,
    pub(crate) file: File,
    pub(crate) size: u64,
    pub(crate) reads: Reads,
}

/// A text that must be there.
fn text(text: *const c_char, what: &str) -> String {
    if text.is_null() {
        broken(&format!("{what} is NULL"));
    }
    // SAFETY: C strings, as the functions say.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned()
}

fn told(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| broken(&format!("{variable} is not set")))
}

fn in_file(variable: &str) -> String {
    std::fs::read_to_string(told(variable)).unwrap().trim_end().to_owned()
}

/// # Safety
/// As C has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn VixDiskLib_InitEx(
    major: u32,
    minor: u32,
    tell: Option<Say>,
    warn: Option<Say>,
    panic: Option<Say>,
    libdir: *const c_char,
    config: *const c_char,
) -> u64 {
    let (Some(tell), Some(warn), Some(panic)) = (tell, warn, panic) else { broken("a callback is NULL") };
    rules::begin();
    SAY.set([tell, warn, panic]).unwrap_or_else(|_| broken("InitEx was called twice"));
    let (libdir, config) = (text(libdir, "libdir"), text(config, "the configuration"));
    let settings = std::fs::read_to_string(config).unwrap();
    let path = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
    let started = std::fs::read("/proc/self/environ").unwrap();
    let had = format!("LD_LIBRARY_PATH={libdir}/lib64:{libdir}");
    if !started.split(|byte| *byte == 0).any(|variable| variable == had.as_bytes()) {
        broken(&format!("the process was not started with {had} ({path})"));
    }
    note(&format!("init {major}.{minor} {}", settings.lines().count()));
    say::tell("fake VDDK is ready in", &[&libdir]);
    OK
}

#[unsafe(no_mangle)]
pub extern "C" fn VixDiskLib_Exit() {
    rules::end();
}

#[unsafe(no_mangle)]
pub extern "C" fn VixDiskLib_GetErrorText(code: u64, _: *const c_char) -> *mut c_char {
    let text = match code & 0xffff {
        FAIL => "Unknown error",
        INVALID => "One of the parameters was invalid",
        NOT_FOUND => "A file was not found",
        UNSUPPORTED => "The operation is not supported",
        _ => "Some error",
    };
    CString::new(text).unwrap().into_raw()
}

/// # Safety
/// As C has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn VixDiskLib_FreeErrorText(text: *mut c_char) {
    // SAFETY: made above.
    drop(unsafe { CString::from_raw(text) });
}

/// # Safety
/// As C has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn VixDiskLib_ConnectEx(
    params: *const Params,
    read_only: c_char,
    snapshot: *const c_char,
    transports: *const c_char,
    connection: *mut *mut Connection,
) -> u64 {
    rules::on_its_thread("ConnectEx");
    // SAFETY: as C has it.
    let params = unsafe { params.as_ref() }.unwrap_or_else(|| broken("the parameters are NULL"));
    let untouched = [
        params.reserved,
        params.further[0],
        params.further[1],
        params.further[2],
        params.spec[0],
        params.spec[1],
        params.spec[2],
    ];
    if untouched.iter().any(|word| *word != untouched[0]) || ![0, CANARY].contains(&untouched[0]) {
        broken("members that are reserved were written to: the record has another form");
    }
    if params.spec_kind != 0 || read_only != 1 || params.nfc_port != 0 {
        return INVALID;
    }
    let transports = text(transports, "the transports");
    let vm = text(params.vm, "vmxSpec");
    let server = format!("{}:{}", text(params.server, "serverName"), params.port);
    if server != told("FAKE_VDDK_SERVER") || !vm.starts_with("moref=vm-") && !vm.starts_with("moref=") {
        return FAIL;
    }
    let (user, password) = (in_file("FAKE_VDDK_USER"), in_file("FAKE_VDDK_PASSWORD"));
    let given: Vec<String> = match params.kind {
        1 => params.credentials[..2].iter().map(|it| text(*it, "the user or the password")).collect(),
        2 => params.credentials.iter().map(|it| text(*it, "the cookie, the user or the key")).collect(),
        _ => return INVALID,
    };
    // As bad as it can be: all of it is told.
    say::tell("connecting with", &given.iter().map(String::as_str).collect::<Vec<_>>());
    say::warn("connecting with", &given.iter().map(String::as_str).collect::<Vec<_>>());
    let is_known = match given.as_slice() {
        [given_user, given_password] => *given_user == user && *given_password == password,
        [cookie, given_user, _] => {
            let value = cookie.strip_prefix("vmware_soap_session=\"").and_then(|rest| rest.strip_suffix('"'));
            !FAULT.is("no-session") && value.is_some_and(|value| value.len() > 8) && *given_user == user
        }
        _ => false,
    };
    note(&format!("connect {} {transports} {is_known}", if params.kind == 1 { "password" } else { "session" }));
    if !is_known {
        return FAIL;
    }
    let snapshot = (!snapshot.is_null()).then(|| text(snapshot, "the snapshot"));
    let is_believed = text(params.thumbprint, "thumbPrint") == told("FAKE_VDDK_THUMBPRINT");
    // SAFETY: as C has it.
    unsafe { *connection = Box::into_raw(Box::new(Connection { snapshot, is_believed })) };
    OK
}

/// # Safety
/// As C has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn VixDiskLib_Disconnect(connection: *mut Connection) -> u64 {
    rules::on_its_thread("Disconnect");
    // SAFETY: made above.
    drop(unsafe { Box::from_raw(connection) });
    OK
}

/// The raw file of a disk.
fn place(connection: &Connection, path: &str) -> Option<PathBuf> {
    let (datastore, path) = path.strip_prefix('[')?.split_once("] ")?;
    let root = PathBuf::from(told("FAKE_VDDK_ROOT"));
    let state = connection.snapshot.as_deref().unwrap_or("now");
    let state = if root.join(state).is_dir() { state } else { "held" };
    Some(root.join(state).join(datastore).join(path)).filter(|path| path.is_file())
}

/// # Safety
/// As C has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn VixDiskLib_Open(
    connection: *mut Connection,
    path: *const c_char,
    flags: u32,
    disk: *mut *mut Disk,
) -> u64 {
    rules::on_its_thread("Open");
    // SAFETY: made above.
    let connection = unsafe { &*connection };
    let path = text(path, "the path");
    if flags != 4 {
        return INVALID;
    }
    if !connection.is_believed || FAULT.is("open-fails") {
        return FAIL;
    }
    let Some(place) = place(connection, &path) else { return NOT_FOUND };
    let file = File::open(place).unwrap();
    let size = file.metadata().unwrap().len();
    note(&format!("open {} {path}", connection.snapshot.as_deref().unwrap_or("now")));
    OPEN.fetch_add(1, Ordering::SeqCst);
    let made = Disk { busy: AtomicBool::new(false), file, size, reads: Reads::default() };
    // SAFETY: as C has it.
    unsafe { *disk = Box::into_raw(Box::new(made)) };
    OK
}

/// # Safety
/// As C has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn VixDiskLib_Close(disk: *mut Disk) -> u64 {
    rules::on_its_thread("Close");
    // SAFETY: made above.
    let disk = unsafe { Box::from_raw(disk) };
    drop(Call::new(&disk.busy, "Close"));
    reads::check_over(&disk);
    OPEN.fetch_sub(1, Ordering::SeqCst);
    note(&format!("close {}", disk.reads.asked()));
    OK
}

/// # Safety
/// As C has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn VixDiskLib_GetTransportMode(disk: *mut Disk) -> *const c_char {
    // SAFETY: made above.
    let _call = Call::new(unsafe { &(*disk).busy }, "GetTransportMode");
    c"nbdssl".as_ptr()
}

/// Bytes of the facts as versions before 7 have them, and as later ones do.
const FACTS: [usize; 2] = [56, 64];
const PAGE: usize = 4096;

/// # Safety
/// As C has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn VixDiskLib_GetInfo(disk: *mut Disk, info: *mut *mut c_void) -> u64 {
    // SAFETY: made above.
    let disk = unsafe { &*disk };
    let _call = Call::new(&disk.busy, "GetInfo");
    let mut sectors = disk.size / SECTOR;
    if FAULT.is("capacity") {
        sectors += 2048;
    }
    let is_old = crate::IS_OLD;
    let length = FACTS[usize::from(!is_old)];
    // The record ends where a page ends that nobody may look behind.
    let flags = rustix::mm::MapFlags::PRIVATE;
    let protection = rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE;
    // SAFETY: new memory, of which the second page is closed.
    let record = unsafe {
        let page = rustix::mm::mmap_anonymous(std::ptr::null_mut(), 2 * PAGE, protection, flags).unwrap().cast::<u8>();
        rustix::mm::mprotect(page.add(PAGE).cast(), PAGE, rustix::mm::MprotectFlags::empty()).unwrap();
        page.add(PAGE - length)
    };
    // SAFETY: within the record.
    unsafe {
        record.add(24).cast::<u64>().write(sectors);
        record.add(36).cast::<i32>().write(1);
        if !is_old {
            record.add(56).cast::<[u32; 2]>().write([if FAULT.is("sectors") { 4096 } else { 512 }, 4096]);
        }
        *info = record.cast();
    }
    OK
}

/// # Safety
/// As C has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn VixDiskLib_FreeInfo(info: *mut c_void) {
    let page = info as usize & !(PAGE - 1);
    // SAFETY: made above.
    unsafe { rustix::mm::munmap(page as *mut c_void, 2 * PAGE).unwrap() };
}

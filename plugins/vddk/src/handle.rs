//! A disk that the library has open: connected, asked for its size, read, and closed by the thread that opened it.

use std::ffi::{CStr, CString, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::abi::{
    ASYNC, BY_PASSWORD, BY_SESSION, Block, BlockList, Code, ConnectParams, Functions, OK, Object, READ_ONLY, SECTOR,
};
use crate::errors::{self, Doing};
use crate::{map, said};

/// Disks that are open in this process.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// So many disks are open.
pub fn open_disks() -> usize {
    OPEN.load(Ordering::SeqCst)
}

/// What to open, and as whom.
#[derive(Clone)]
pub struct Wanted {
    /// What messages call it.
    pub name: String,
    /// `moref=vm-12`.
    pub vm: String,
    pub server: String,
    pub port: u32,
    /// The SHA-1 of the server's certificate, with colons.
    pub thumbprint: String,
    pub user: String,
    pub password: String,
    /// The cookie of a session that lives.
    pub cookie: String,
    /// The id of a snapshot.
    pub snapshot: Option<String>,
    /// `nbdssl:nbd`.
    pub transports: String,
    /// `[datastore] folder/file.vmdk`.
    pub path: String,
}

/// Credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// The session that the catalog lent.
    Session,
    /// The user, with the password: a login of its own.
    Password,
}

/// What is known of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub sectors: u64,
    /// Bytes of a sector for the guest, where the library tells.
    pub sector: u32,
}

/// An open disk.
pub struct Handle {
    functions: Arc<Functions>,
    connection: Connection,
    disk: Object,
    /// No two calls at once.
    calls: Mutex<()>,
}

// SAFETY: the library's disks and connections belong to no thread; what has to come from one is called there by
// whoever owns this.
unsafe impl Send for Handle {}
// SAFETY: calls to one disk are made one after the other, under `calls`.
unsafe impl Sync for Handle {}

/// A connection, with all that it was made of: the library may look at it as long as it is there.
struct Connection {
    object: Object,
    params: *mut ConnectParams,
    _texts: Vec<CString>,
}

impl Connection {
    fn new(functions: &Functions, wanted: &Wanted, way: As) -> Result<Self> {
        let mut texts = Vec::new();
        let mut text = |text: &str, what: &str| {
            let made = CString::new(text).map_err(|_| PluginError::config(format!("{what} has a NUL in it")))?;
            texts.push(made);
            // The bytes stay where they are when the list grows.
            Ok::<_, PluginError>(texts.last().map_or(std::ptr::null(), |text| text.as_ptr()))
        };
        let vm = text(&wanted.vm, "the VM's id")?;
        let server = text(&wanted.server, "the server's name")?;
        let thumbprint = text(&wanted.thumbprint, "the digest of the certificate")?;
        let user = text(&wanted.user, "the user")?;
        let password = text(&wanted.password, "the password")?;
        let cookie = text(&wanted.cookie, "the session's cookie")?;
        let transports = text(&wanted.transports, "the list of transports")?;
        let snapshot = wanted.snapshot.as_deref().map(|id| text(id, "the snapshot's id")).transpose()?;
        let params = match functions.allocate_params {
            // SAFETY: it takes nothing.
            Some(allocate) => unsafe { allocate() },
            // SAFETY: any size may be asked for.
            None => unsafe { libc::calloc(1, size_of::<ConnectParams>()) }.cast(),
        };
        if params.is_null() {
            return Err(PluginError::io(format!("{}: there is no memory for a connection", wanted.name)));
        }
        let mut made = Self { object: std::ptr::null_mut(), params, _texts: Vec::new() };
        // SAFETY: a record of this size that nobody else has yet.
        let record = unsafe { &mut *params };
        (record.vm, record.server, record.thumbprint, record.port) = (vm, server, thumbprint, wanted.port);
        match way {
            As::Session => (record.kind, record.credentials) = (BY_SESSION, [cookie, user, password]),
            As::Password => (record.kind, record.credentials[0], record.credentials[1]) = (BY_PASSWORD, user, password),
        }
        let snapshot = snapshot.unwrap_or(std::ptr::null());
        // SAFETY: all texts end with a NUL and live as long as the connection; what may be none is the snapshot alone.
        let code = unsafe { (functions.connect)(params, 1, snapshot, transports, &raw mut made.object) };
        made._texts = texts;
        if code == OK && !made.object.is_null() {
            return Ok(made);
        }
        made.object = std::ptr::null_mut();
        let error = errors::error(functions, &wanted.name, Doing::Connect, code);
        made.end(functions);
        Err(error)
    }

    fn end(self, functions: &Functions) {
        if !self.object.is_null() {
            // SAFETY: connected, and ended once. What a goodbye answers changes nothing.
            let _ = unsafe { (functions.disconnect)(self.object) };
        }
        match functions.free_params.filter(|_| functions.allocate_params.is_some()) {
            // SAFETY: the library made it.
            Some(free) => unsafe { free(self.params) },
            // SAFETY: `calloc` made it.
            None if functions.allocate_params.is_none() => unsafe { libc::free(self.params.cast()) },
            // What the library made and cannot take back stays.
            None => {}
        }
    }
}

impl Handle {
    /// Opens a disk. On the library's own thread.
    pub fn open(functions: &Arc<Functions>, wanted: &Wanted, way: As) -> Result<Self> {
        said::begin();
        let path =
            CString::new(wanted.path.as_str()).map_err(|_| PluginError::unusable("the disk's path has a NUL in it"))?;
        let connection = Connection::new(functions, wanted, way)?;
        let mut disk = std::ptr::null_mut();
        // SAFETY: connected, and the path ends with a NUL.
        let code = unsafe { (functions.open)(connection.object, path.as_ptr(), READ_ONLY, &raw mut disk) };
        if code != OK || disk.is_null() {
            let error = errors::error(functions, &wanted.name, Doing::Open, code);
            connection.end(functions);
            return Err(error);
        }
        OPEN.fetch_add(1, Ordering::SeqCst);
        Ok(Self { functions: Arc::clone(functions), connection, disk, calls: Mutex::new(()) })
    }

    /// Closes it. On the library's own thread; nothing is read any more.
    pub fn close(self) {
        // SAFETY: open, and closed once; every request has ended, or was waited for.
        let _ = unsafe { (self.functions.close)(self.disk) };
        OPEN.fetch_sub(1, Ordering::SeqCst);
        self.connection.end(&self.functions);
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the library knows of the disk. `version`: the library's, for an older one tells less.
    pub fn facts(&self, version: u32) -> Result<Facts, Code> {
        let _one = self.lock();
        let mut info = std::ptr::null_mut();
        // SAFETY: open; the answer is the library's until it is given back.
        let code = unsafe { (self.functions.info)(self.disk, &raw mut info) };
        if code != OK || info.is_null() {
            return Err(code);
        }
        // SAFETY: a record that ends before `logical_sector` in an older library: that member is not touched there.
        let facts = unsafe {
            Facts {
                sectors: (&raw const (*info).capacity).read(),
                sector: if version >= 7 { (&raw const (*info).logical_sector).read() } else { 0 },
            }
        };
        // SAFETY: it came from the library, and is given back once.
        unsafe { (self.functions.free_info)(info) };
        Ok(facts)
    }

    /// How the bytes come, in the library's words.
    pub fn mode(&self) -> String {
        let _one = self.lock();
        // SAFETY: open; the text is the library's, and lives as long as the disk is open.
        let mode = unsafe { (self.functions.mode)(self.disk) };
        // SAFETY: as above.
        if mode.is_null() { String::new() } else { said::shown(&unsafe { CStr::from_ptr(mode) }.to_string_lossy()) }
    }

    /// Which sectors were written to: of whole pieces (`map::PIECE`), at most `map::PIECES` of them. `None`:
    /// the library cannot tell.
    pub fn allocated(&self, start: u64, count: u64) -> Option<Vec<Block>> {
        let (ask, free) = (self.functions.allocated?, self.functions.free_list?);
        let _one = self.lock();
        let mut list: *mut BlockList = std::ptr::null_mut();
        // SAFETY: open; the numbers are within the function's limits.
        let code = unsafe { ask(self.disk, start, count, map::PIECE, &raw mut list) };
        if code != OK || list.is_null() {
            tracing::debug!("VDDK does not report allocated areas: error {}", code & 0xffff);
            return None;
        }
        // SAFETY: a list of the library's: a number, and as many records behind it.
        let length = unsafe { (&raw const (*list).count).read() } as usize;
        // More runs than pieces there cannot be.
        let blocks = (length as u64 <= count / map::PIECE).then(|| {
            // SAFETY: as above; the place behind the number is aligned as the record says.
            unsafe { std::slice::from_raw_parts((&raw const (*list).first).cast::<Block>(), length) }.to_vec()
        });
        // SAFETY: it came from the library, and is given back once.
        let _ = unsafe { free(list) };
        // One that cannot be is no answer.
        blocks
    }

    /// Reads whole sectors, and returns when all of them are there or will never come.
    pub fn read(&self, sector: u64, buffer: &mut [u8]) -> Result<(), Code> {
        let request = Arc::new(Request::default());
        let data = Arc::into_raw(Arc::clone(&request)).cast_mut().cast::<c_void>();
        let count = buffer.len() as u64 / SECTOR;
        let began = {
            let _one = self.lock();
            // SAFETY: open; the buffer has so many sectors, and is left alone until the request has ended or
            // was waited for.
            unsafe { (self.functions.read_async)(self.disk, sector, count, buffer.as_mut_ptr(), ended, data) }
        };
        let code = if began == ASYNC { request.wait() } else { began };
        if code != OK || began != ASYNC {
            // What failed may still be written to: the buffer is given back when nothing is under way any more.
            // Where the callback never came its count stays taken, for it may yet come.
            let _one = self.lock();
            // SAFETY: open.
            let waited = unsafe { (self.functions.wait)(self.disk) };
            return if code == OK && waited != OK {
                Err(waited)
            } else if code == OK {
                Ok(())
            } else {
                Err(code)
            };
        }
        Ok(())
    }
}

/// A request under way.
#[derive(Default)]
struct Request {
    code: Mutex<Option<Code>>,
    came: Condvar,
}

impl Request {
    fn wait(&self) -> Code {
        let mut code = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match *code {
                Some(code) => return code,
                None => code = self.came.wait(code).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// # Safety
/// `data` is what the request was begun with, and it is called once for each.
unsafe extern "C" fn ended(data: *mut c_void, code: Code) {
    // SAFETY: made by `Arc::into_raw` for this call.
    let request = unsafe { Arc::from_raw(data.cast_const().cast::<Request>()) };
    *request.code.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
    request.came.notify_all();
}

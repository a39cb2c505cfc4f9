//! The library at work: opened and made ready once in this process, and one thread for all that must come from
//! the same one (getting ready, connecting, opening, closing, the end). Requests for bytes may come from any.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::abi::{Functions, OK};
use crate::errors::{self, Doing};
use crate::place::Found;
use crate::said;
use crate::turn::Turn;

/// The version of the functions' meaning that is asked for: every library knows it.
const ASKED: (u32, u32) = (6, 5);
/// What the library is told of its work: four buffers of 1 MiB for a disk, so that a host's memory does for
/// many, and no details in its log.
const CONFIGURATION: &str = "vixDiskLib.nfcAio.Session.BufSizeIn64KB=16\nvixDiskLib.nfcAio.Session.BufCount=4\nvixDiskLib.transport.LogLevel=0\n";
/// How often places that nobody uses are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// How long the end of the process waits for the library's.
const GOODBYE: Duration = Duration::from_secs(5);

type Work = Box<dyn FnOnce(&Functions) + Send>;

/// The library, ready.
pub struct Engine {
    functions: Arc<Functions>,
    /// Its major version.
    pub version: u32,
    work: Mutex<Sender<Work>>,
    turns: Arc<Mutex<Vec<Weak<Turn>>>>,
    /// The library may read it as long as it lives.
    _configuration: OwnedFd,
}

/// The one of this process: the library is made ready once, and never again.
static ENGINE: OnceLock<Result<Engine>> = OnceLock::new();

impl Engine {
    /// The engine of this process, made of this library when there is none yet.
    pub fn get(found: &Found, libdir: &str) -> Result<&'static Self> {
        ENGINE.get_or_init(|| Self::start(found, libdir)).as_ref().map_err(Clone::clone)
    }

    fn start(found: &Found, libdir: &str) -> Result<Self> {
        let failed = |error: std::io::Error| PluginError::io(format!("VDDK cannot be started: {error}"));
        let configuration = memfd_create("vddk.conf", MemfdFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
        rustix::io::write(&configuration, CONFIGURATION.as_bytes()).map_err(|error| failed(error.into()))?;
        let (path, libdir) = (found.path.clone(), text(libdir)?);
        let file = text(&format!("/proc/self/fd/{}", configuration.as_raw_fd()))?;
        let (work, to_do) = channel();
        let (ready, is_ready) = channel();
        let turns: Arc<Mutex<Vec<Weak<Turn>>>> = Arc::default();
        let held = Arc::clone(&turns);
        let thread = std::thread::Builder::new().name("vddk".to_owned());
        let begin = move || match begin(&path, &libdir, &file) {
            // Who waits for it is there until it has come.
            Err(error) => drop(ready.send(Err(error))),
            Ok(functions) => {
                let functions = Arc::new(functions);
                drop(ready.send(Ok(Arc::clone(&functions))));
                serve(&functions, &to_do, &held);
            }
        };
        thread.spawn(begin).map_err(failed)?;
        let functions = is_ready.recv().unwrap_or_else(|_| Err(PluginError::defect("VDDK's thread ended")))?;
        // SAFETY: the function stays where it is: a plugin is never unloaded.
        let is_noted = unsafe { libc::atexit(end) } == 0;
        tracing::debug!("VDDK {} is ready, and ends in order: {is_noted}", found.version);
        let work = Mutex::new(work);
        Ok(Self { functions, version: found.version, work, turns, _configuration: configuration })
    }

    /// The functions that any thread may call.
    pub fn functions(&self) -> &Arc<Functions> {
        &self.functions
    }

    /// Looks after the places that a disk takes.
    pub fn look_after(&self, turn: &Arc<Turn>) {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(turn));
    }

    /// Does something on the library's own thread, and waits for it.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce(&Functions) -> T + Send + 'static) -> Result<T> {
        self.begin(work).recv().map_err(|_| PluginError::defect("VDDK's thread ended"))
    }

    fn begin<T: Send + 'static>(&self, work: impl FnOnce(&Functions) -> T + Send + 'static) -> Receiver<T> {
        let (done, is_done) = channel();
        let work: Work = Box::new(move |functions| drop(done.send(work(functions))));
        // A thread that is gone answers by hanging up.
        let _ = self.work.lock().unwrap_or_else(PoisonError::into_inner).send(work);
        is_done
    }
}

fn text(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| PluginError::config("`plugin.vddk.libdir` has a NUL in it"))
}

fn begin(path: &Path, libdir: &CString, configuration: &CString) -> Result<Functions> {
    let functions = Functions::load(path)?;
    let [tell, warn, panic] = said::callbacks();
    // SAFETY: all texts end with a NUL and live; the callbacks take what they are given.
    let code =
        unsafe { (functions.init)(ASKED.0, ASKED.1, tell, warn, panic, libdir.as_ptr(), configuration.as_ptr()) };
    if code == OK { Ok(functions) } else { Err(errors::error(&functions, "vddk", Doing::Start, code)) }
}

fn serve(functions: &Functions, to_do: &Receiver<Work>, turns: &Mutex<Vec<Weak<Turn>>>) {
    loop {
        match to_do.recv_timeout(LOOK) {
            Ok(work) => work(functions),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let mut turns = turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|turn| turn.strong_count() > 0);
        turns.iter().filter_map(Weak::upgrade).for_each(|turn| turn.look());
    }
}

/// At the process's end: the library takes what it had in temporary folders away. Not while a disk is open,
/// which it takes for a mistake.
extern "C" fn end() {
    if let Some(Ok(engine)) = ENGINE.get() {
        let ended = engine.begin(|functions| {
            if crate::handle::open_disks() == 0 {
                // SAFETY: nothing of the library is in use any more.
                unsafe { (functions.exit)() };
            }
        });
        let _ = ended.recv_timeout(GOODBYE);
    }
}

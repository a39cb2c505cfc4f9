//! The rules: whoever breaks one ends here.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

/// The thread that made the library ready, and one of the library's own, by their numbers.
static MAIN: AtomicU32 = AtomicU32::new(0);
static OWN: AtomicU32 = AtomicU32::new(0);
/// Disks that are open.
pub(crate) static OPEN: AtomicUsize = AtomicUsize::new(0);
/// It was ended.
static ENDED: AtomicBool = AtomicBool::new(false);

fn thread() -> u32 {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::gettid() as u32 }
}

/// Ends the process: this is no way to use the library.
pub(crate) fn broken(rule: &str) -> ! {
    let _ = writeln!(std::io::stderr(), "fake VDDK: {rule}");
    note(&format!("broken {rule}"));
    std::process::abort()
}

/// A line into the notes.
pub(crate) fn note(line: &str) {
    if let Some(file) = std::env::var_os("FAKE_VDDK_NOTES") {
        let mut file = std::fs::File::options().create(true).append(true).open(file).unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

/// The library is made ready, once.
pub(crate) fn begin() {
    if MAIN.swap(thread(), Ordering::SeqCst) != 0 {
        broken("InitEx was called twice");
    }
    let (started, is_started) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        started.send(thread()).unwrap();
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    });
    OWN.store(is_started.recv().unwrap(), Ordering::SeqCst);
}

/// What has to come from the thread that made it ready.
pub(crate) fn on_its_thread(call: &str) {
    if ENDED.load(Ordering::SeqCst) {
        broken(&format!("{call} after Exit"));
    }
    let (main, own) = (MAIN.load(Ordering::SeqCst), OWN.load(Ordering::SeqCst));
    match main {
        0 => broken(&format!("{call} before InitEx")),
        _ if !std::path::Path::new(&format!("/proc/self/task/{own}")).exists() => {
            broken(&format!("{call} in a process that was forked after InitEx"));
        }
        main if main != thread() => broken(&format!("{call} on another thread than InitEx")),
        _ => {}
    }
}

/// The library's end.
pub(crate) fn end() {
    on_its_thread("Exit");
    if OPEN.load(Ordering::SeqCst) != 0 {
        broken("Exit with open disks");
    }
    ENDED.store(true, Ordering::SeqCst);
    note("exit");
}

/// A call to a disk; no other may be under way.
pub(crate) struct Call<'a>(&'a AtomicBool);

impl<'a> Call<'a> {
    pub(crate) fn new(busy: &'a AtomicBool, call: &str) -> Self {
        if busy.swap(true, Ordering::SeqCst) {
            broken(&format!("{call} while another call to the same disk is under way"));
        }
        // So that whoever does not wait is met.
        std::thread::yield_now();
        Self(busy)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

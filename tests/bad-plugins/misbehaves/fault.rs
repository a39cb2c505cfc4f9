//! What goes wrong, and where. Also the library's initialiser, which shows that its code ran.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;

/// What the environment asks for. Not settings: the same command without the fault must find the work of the one with it.
#[derive(Debug)]
pub struct Fault {
    at: String,
    how: Option<How>,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// A panic.
    Panic,
    /// A panic on a thread of the plugin's own; the call itself goes well.
    PanicThread,
    /// A write through a wild pointer.
    Segfault,
    /// The same on a thread of the plugin's own.
    SegfaultThread,
    /// The stack is used up.
    Overflow,
    /// `abort()`.
    Abort,
    /// `exit(0)`.
    Exit,
    /// `exit(0)` on a thread of the plugin's own.
    ExitThread,
    /// Never returns, and does not ask whether it should stop.
    Hang,
    /// Leaves a process behind that holds the worker's standard error, and crashes.
    Litter,
    /// Reads somebody else's file, named by `BAD_PLUGIN_SECRET`, itself and by a program; says in a panic what came of it.
    Trespass,
    /// Does nothing wrong.
    Behave,
    /// A document of a schema from the future.
    FutureSchema,
    /// An answer larger than the contract allows.
    Huge,
    /// A number that cannot be: more bytes than were asked for, an extent past the end, a size that is not the disk's.
    Lie,
    /// No progress: zero bytes.
    Nothing,
    /// What the manifest promises is not there.
    Missing,
}

impl Fault {
    /// Reads `BAD_PLUGIN_AT` and `BAD_PLUGIN_HOW`.
    pub fn of_environment() -> Self {
        let how = |text: String| How::deserialize(IntoDeserializer::<ValueError>::into_deserializer(text)).unwrap();
        Self {
            at: std::env::var("BAD_PLUGIN_AT").unwrap_or_default(),
            how: std::env::var("BAD_PLUGIN_HOW").ok().map(how),
        }
    }

    /// Whether this method goes wrong in this way, which it sees to itself.
    pub fn is(&self, method: &str, how: How) -> bool {
        self.at == method && self.how == Some(how)
    }

    /// Whether the plugin has what its manifest says.
    pub fn keeps_promise(&self, method: &str) -> bool {
        !self.is(method, How::Missing)
    }

    /// The schema number of an answer of this method.
    pub fn schema(&self, method: &str) -> u32 {
        if self.is(method, How::FutureSchema) { 99 } else { 1 }
    }

    /// Text for an answer of this method.
    pub fn text(&self, method: &str, text: &str) -> String {
        if self.is(method, How::Huge) { "x".repeat(65 << 20) } else { text.to_owned() }
    }

    /// Goes wrong if this is the method that should.
    pub fn at(&self, method: &str) {
        let (true, Some(how)) = (self.at == method, self.how) else { return };
        match how {
            How::Panic => panic!("a deliberate panic"),
            How::PanicThread => {
                let own = thread::Builder::new().name("own".to_owned()).spawn(|| panic!("a deliberate panic"));
                own.unwrap().join().unwrap_err();
            }
            How::Segfault => segfault(),
            How::SegfaultThread => thread::spawn(segfault).join().unwrap(),
            How::Overflow => assert_ne!(overflow(0), 1),
            How::Abort => std::process::abort(),
            How::Exit => std::process::exit(0),
            How::ExitThread => thread::spawn(|| std::process::exit(0)).join().unwrap(),
            How::Hang => loop {
                thread::sleep(Duration::from_secs(3600));
            },
            How::Litter => {
                #[expect(clippy::zombie_processes, reason = "that it is left behind is the point")]
                Command::new("sleep").arg("1000000").spawn().unwrap();
                segfault();
            }
            How::Trespass => trespass(),
            How::Behave | How::FutureSchema | How::Huge | How::Lie | How::Nothing | How::Missing => {}
        }
    }
}

fn trespass() {
    let secret = std::env::var("BAD_PLUGIN_SECRET").unwrap();
    let read = std::fs::read(&secret).map(|bytes| bytes.len()).map_err(|error| error.kind());
    let by_program = Command::new("cat").arg(&secret).output().unwrap().status.success();
    panic!("read by the plugin: {read:?}, by a program: {by_program}");
}

fn segfault() {
    // SAFETY: there is none: the first page is never mapped, which is the point.
    unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
}

#[expect(unconditional_recursion, reason = "that is how a stack is used up")]
fn overflow(depth: u64) -> u64 {
    let page = std::hint::black_box([depth; 512]);
    overflow(depth + 1) + std::hint::black_box(page[7])
}

extern "C" fn loaded() {
    if let Some(mark) = std::env::var_os("BAD_PLUGIN_MARK").map(PathBuf::from) {
        std::fs::write(mark, "the plugin's code ran").unwrap();
    }
    if std::env::var_os("BAD_PLUGIN_CRASH").is_some() {
        segfault();
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static LOADED: extern "C" fn() = loaded;

//! The fake of VDDK (tests/plugins/fake_vddk) finds out whoever breaks a rule of the library: each is broken here, in a
//! process of its own, which the fake has to end.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::ffi::{CString, c_char, c_void};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use vmdk2kvm_tests::example;

/// Which rule the process breaks.
const RULE: &str = "BREAK_RULE";
const PATH: &str = "[datastore1] web/web.vmdk";
/// Sectors of a request.
const COUNT: u64 = 128;

type Object = *mut c_void;
type Say = unsafe extern "C" fn(*const c_char, *mut c_void);
type Done = unsafe extern "C" fn(*mut c_void, u64);

unsafe extern "C" fn say(_: *const c_char, _: *mut c_void) {}

static ENDED: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" fn ended(_: *mut c_void, code: u64) {
    ENDED.fetch_add(1 + 1000 * code, Ordering::SeqCst);
}

/// The library, ready, with the server's facts in a record.
struct Fake {
    vendor: Library,
    record: [u64; 16],
    _texts: Vec<CString>,
}

/// A pointer that another thread is given.
struct Sent(Object);
// SAFETY: the rules are the fake's to check.
unsafe impl Send for Sent {}

macro_rules! call {
    ($fake:expr, $name:literal, fn($($type:ty),*) -> $back:ty, $($argument:expr),* $(,)?) => {{
        // SAFETY: as the fake declares it.
        let function = unsafe { $fake.vendor.get::<unsafe extern "C" fn($($type),*) -> $back>($name.as_bytes()) }.unwrap();
        // SAFETY: as above.
        unsafe { function($($argument),*) }
    }};
}

impl Fake {
    fn new() -> Self {
        let libdir = std::env::var("LIBDIR").unwrap();
        // SAFETY: the tests' own library.
        let library =
            unsafe { Library::open(Some(format!("{libdir}/lib64/libvixDiskLib.so.8")), RTLD_NOW | RTLD_LOCAL) };
        let texts: Vec<CString> =
            ["moref=vm-1", "lab", "AA", "user", "password"].iter().map(|text| CString::new(*text).unwrap()).collect();
        let place = |at: usize| texts[at].as_ptr() as u64;
        let mut record = [0; 16];
        (record[0], record[1], record[2], record[4], record[8]) = (place(0), place(1), place(2), 1, 443);
        (record[5], record[6]) = (place(3), place(4));
        let fake = Self { vendor: library.unwrap(), record, _texts: texts };
        assert_eq!(fake.init(Some(say)), 0);
        fake
    }

    fn init(&self, first: Option<Say>) -> u64 {
        let libdir = CString::new(std::env::var("LIBDIR").unwrap()).unwrap();
        call!(
            self,
            "VixDiskLib_InitEx",
            fn(u32, u32, Option<Say>, Say, Say, *const c_char, *const c_char) -> u64,
            6,
            5,
            first,
            say,
            say,
            libdir.as_ptr(),
            c"/dev/null".as_ptr()
        )
    }

    fn connect(&self) -> Object {
        let mut connection = std::ptr::null_mut();
        let (record, transports) = (self.record.as_ptr(), c"nbdssl".as_ptr());
        let code = call!(
            self,
            "VixDiskLib_ConnectEx",
            fn(*const u64, c_char, *const c_char, *const c_char, *mut Object) -> u64,
            record,
            1,
            std::ptr::null(),
            transports,
            &raw mut connection
        );
        assert_eq!(code, 0);
        connection
    }

    fn open(&self, connection: Object) -> Object {
        let (path, mut disk) = (CString::new(PATH).unwrap(), std::ptr::null_mut());
        let out = &raw mut disk;
        let code = call!(
            self,
            "VixDiskLib_Open",
            fn(Object, *const c_char, u32, *mut Object) -> u64,
            connection,
            path.as_ptr(),
            4,
            out
        );
        assert_eq!(code, 0);
        disk
    }

    fn close(&self, disk: Object) {
        assert_eq!(call!(self, "VixDiskLib_Close", fn(Object) -> u64, disk), 0);
    }

    fn read(&self, disk: Object, buffer: &mut [u8]) -> u64 {
        let (place, none) = (buffer.as_mut_ptr(), std::ptr::null_mut());
        let count = buffer.len() as u64 / 512;
        call!(
            self,
            "VixDiskLib_ReadAsync",
            fn(Object, u64, u64, *mut u8, Done, *mut c_void) -> u64,
            disk,
            0,
            count,
            place,
            ended,
            none
        )
    }

    fn wait(&self, disk: Object) -> u64 {
        call!(self, "VixDiskLib_Wait", fn(Object) -> u64, disk)
    }

    fn map(&self, disk: Object, start: u64, count: u64, piece: u64) -> u64 {
        let mut list = std::ptr::null_mut();
        let out = &raw mut list;
        call!(
            self,
            "VixDiskLib_QueryAllocatedBlocks",
            fn(Object, u64, u64, u64, *mut *mut u64) -> u64,
            disk,
            start,
            count,
            piece,
            out
        )
    }

    fn exit(&self) {
        call!(self, "VixDiskLib_Exit", fn() -> (),);
    }
}

/// On another thread.
fn elsewhere(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        scope.spawn(work);
    });
}

/// Breaks a rule; with `none` all of them are kept.
fn break_rule(rule: &str) {
    let mut fake = Fake::new();
    if rule == "reserved" {
        fake.record[3] = 7;
    }
    match rule {
        "twice" => drop(fake.init(Some(say))),
        "callback" => drop(fake.init(None)),
        _ => {}
    }
    let connection = fake.connect();
    let fake = &fake;
    match rule {
        "open elsewhere" => {
            let sent = Sent(connection);
            elsewhere(move || _ = fake.open({ sent }.0));
        }
        "forked" => {
            // SAFETY: the child does nothing but call the fake.
            if unsafe { libc::fork() } == 0 {
                fake.open(connection);
                std::process::exit(0);
            }
            let mut status = 0;
            // SAFETY: waits for the child.
            unsafe { libc::wait(&raw mut status) };
            assert!(libc::WIFSIGNALED(status), "the child was not ended");
            std::process::abort();
        }
        _ => {}
    }
    let disk = fake.open(connection);
    let mut buffer = vec![0; COUNT as usize * 512];
    match rule {
        "close elsewhere" => {
            let sent = Sent(disk);
            elsewhere(move || fake.close({ sent }.0));
        }
        "exit" => fake.exit(),
        "buffer" => {
            assert_eq!(fake.read(disk, &mut buffer), 25_000);
            buffer.fill(1);
            fake.wait(disk);
        }
        "overlap" => {
            // One waits for a request that is slow, and the other asks meanwhile.
            assert_eq!(fake.read(disk, &mut buffer), 25_000);
            let sent = Sent(disk);
            std::thread::scope(|scope| {
                scope.spawn(move || fake.wait({ sent }.0));
                std::thread::sleep(std::time::Duration::from_millis(300));
                fake.wait(disk);
            });
        }
        "under way" => {
            assert_eq!(fake.read(disk, &mut buffer), 25_000);
            fake.close(disk);
        }
        _ => {}
    }
    assert_eq!(fake.read(disk, &mut buffer), 25_000);
    assert_eq!((fake.wait(disk), ENDED.load(Ordering::SeqCst)), (0, 1));
    assert!(buffer.iter().all(|byte| *byte == 7));
    // The limits of a map, and a request that is too large.
    assert_eq!((fake.map(disk, 0, 2048, 128), fake.map(disk, 0, 2048, 64), fake.map(disk, 64, 2048, 128)), (0, 3, 3));
    assert_eq!(fake.read(disk, &mut vec![0; 3 << 20]), 3);
    fake.close(disk);
    assert_eq!(call!(fake, "VixDiskLib_Disconnect", fn(Object) -> u64, connection), 0);
    fake.exit();
}

#[test]
fn whoever_breaks_a_rule_is_ended() {
    if let Ok(rule) = std::env::var(RULE) {
        return break_rule(&rule);
    }
    let folder = tempfile::tempdir().unwrap();
    let (libdir, disk) = (folder.path().join("vddk"), folder.path().join("root/now/datastore1/web"));
    std::fs::create_dir_all(libdir.join("lib64")).unwrap();
    std::fs::create_dir_all(&disk).unwrap();
    std::fs::write(disk.join("web.vmdk"), vec![7; 4 << 20]).unwrap();
    std::fs::copy(example("fake_vddk"), libdir.join("lib64/libvixDiskLib.so.8")).unwrap();
    for (name, text) in [("user", "user\n"), ("password", "password\n")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let libdir = libdir.to_str().unwrap();
    for (rule, fault, said) in [
        ("none", "", ""),
        ("twice", "", "InitEx was called twice"),
        ("callback", "", "a callback is NULL"),
        ("reserved", "", "members that are reserved were written to"),
        ("open elsewhere", "", "Open on another thread than InitEx"),
        ("close elsewhere", "", "Close on another thread than InitEx"),
        ("forked", "", "Open in a process that was forked after InitEx"),
        ("exit", "", "Exit with open disks"),
        ("buffer", "slow:500", "a buffer was given to somebody else while its request was under way"),
        ("overlap", "slow:3000", "Wait while another call to the same disk is under way"),
        ("under way", "hang:0", "Close while requests are under way"),
    ] {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again
            .args(["--exact", "whoever_breaks_a_rule_is_ended", "--nocapture"])
            .env(RULE, rule)
            .env("LIBDIR", libdir)
            .env("LD_LIBRARY_PATH", format!("{libdir}/lib64:{libdir}"))
            .env("FAKE_VDDK_ROOT", folder.path().join("root"))
            .env("FAKE_VDDK_SERVER", "lab:443")
            .env("FAKE_VDDK_THUMBPRINT", "AA")
            .env("FAKE_VDDK_USER", folder.path().join("user"))
            .env("FAKE_VDDK_PASSWORD", folder.path().join("password"))
            .env("FAKE_VDDK_FAULT", fault);
        let output = again.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let expected = if rule == "none" { None } else { Some(libc::SIGABRT) };
        assert_eq!(output.status.signal(), expected, "{rule}: {}\n{stderr}", output.status);
        assert!(expected.is_some() || output.status.success(), "{rule}: {stderr}");
        assert!(stderr.contains(said), "{rule}: {stderr}");
    }
}

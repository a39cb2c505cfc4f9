//! What it costs that a disk comes by the plugin `vddk`, in a process of its own, against its library's rate
//! alone: the tests' fake of the library, which copies from memory, read in turns by its own functions here and
//! through the plugin.
//!
//! Arguments: the folder with the plugin, that of the library, and the lab's line of facts (`tests/bench/fetch`
//! gives them). Prints the rates and their ratio.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark reports to whoever runs it")]

use std::ffi::{CString, c_void};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use serde_json::{Value, json};
use vmdk2kvm::plugins::{self, Loaded, discover, search_folders};
use vmdk2kvm_plugin_api::model::{Controller, Cpus, Disk, Firmware, Link, SourceRef, VmSpec};
use vmdk2kvm_plugin_api::{BlockSource, HostServices, read_exact_at};
use vmdk2kvm_plugin_testing::FakeHost;
use vmdk2kvm_vsphere::request::Moref;
use vmdk2kvm_vsphere::session::Login;
use vmdk2kvm_vsphere::trust::{Thumbprint, Trust};
use vmdk2kvm_vsphere::{Door, Session, collector, datastore, disks, ways};

/// As the plugin asks.
const REQUEST: u64 = 2 << 20;
const AT_ONCE: usize = 4;
/// The least that the plugin must have of the library's rate.
const GOAL: f64 = 0.8;
/// Rounds of each; the best counts, since everything else on the machine only adds.
const ROUNDS: usize = 5;

type Object = *mut c_void;

/// The library, with a disk open.
struct Alone {
    vendor: Library,
    disk: Object,
}

/// How many requests have ended, and who waits for that.
type Ended = (Mutex<u64>, Condvar);

unsafe extern "C" fn say(_: *const std::ffi::c_char, _: *mut c_void) {}

unsafe extern "C" fn ended(data: *mut c_void, code: u64) {
    assert_eq!(code, 0);
    // SAFETY: the pair lives until all requests have ended.
    let pair = unsafe { &*data.cast::<Ended>() };
    *pair.0.lock().unwrap() += 1;
    pair.1.notify_one();
}

impl Alone {
    fn open(libdir: &str, facts: &Value, vm: &str, path: &str) -> Self {
        let text = |text: &str| CString::new(text).unwrap();
        let file = format!("{libdir}/lib64/libvixDiskLib.so.8");
        // SAFETY: the tests' own fake, called as its functions are declared; texts and records live as long as
        // the calls.
        unsafe {
            let library = Library::open(Some(Path::new(&file)), RTLD_NOW | RTLD_LOCAL).unwrap();
            type Say = unsafe extern "C" fn(*const std::ffi::c_char, *mut c_void);
            type Init = unsafe extern "C" fn(u32, u32, Say, Say, Say, *const i8, *const i8) -> u64;
            type Connect = unsafe extern "C" fn(*const u8, i8, *const i8, *const i8, *mut Object) -> u64;
            type Open = unsafe extern "C" fn(Object, *const i8, u32, *mut Object) -> u64;
            let init = library.get::<Init>(b"VixDiskLib_InitEx").unwrap();
            assert_eq!(init(6, 5, say, say, say, text(libdir).as_ptr(), c"/dev/null".as_ptr()), 0);
            let (server, port) = facts["address"].as_str().unwrap().rsplit_once(':').unwrap();
            let read = |name: &str| text(std::fs::read_to_string(facts[name].as_str().unwrap()).unwrap().trim_end());
            let (vm, server, pin) =
                (text(&format!("moref={vm}")), text(server), text(facts["thumbprint_sha1"].as_str().unwrap()));
            let (user, password) = (read("user_file"), read("password_file"));
            let mut record = [0u64; 16];
            (record[0], record[1], record[2], record[4]) =
                (vm.as_ptr() as u64, server.as_ptr() as u64, pin.as_ptr() as u64, 1);
            (record[5], record[6], record[8]) = (user.as_ptr() as u64, password.as_ptr() as u64, port.parse().unwrap());
            let (mut connection, mut disk) = (std::ptr::null_mut(), std::ptr::null_mut());
            let connect = library.get::<Connect>(b"VixDiskLib_ConnectEx").unwrap();
            assert_eq!(
                connect(record.as_ptr().cast(), 1, std::ptr::null(), c"nbdssl".as_ptr(), &raw mut connection),
                0
            );
            let open = library.get::<Open>(b"VixDiskLib_Open").unwrap();
            assert_eq!(open(connection, text(path).as_ptr(), 4, &raw mut disk), 0);
            Self { vendor: library, disk }
        }
    }

    /// The seconds that all of a disk takes, as many requests under way as the plugin has.
    fn read(&self, size: u64) -> f64 {
        type Done = unsafe extern "C" fn(*mut c_void, u64);
        type Read = unsafe extern "C" fn(Object, u64, u64, *mut u8, Done, *mut c_void) -> u64;
        // SAFETY: as it is declared.
        let read = unsafe { self.vendor.get::<Read>(b"VixDiskLib_ReadAsync") }.unwrap();
        let mut buffers = vec![vec![0u8; REQUEST as usize]; AT_ONCE];
        let pairs: Vec<Box<Ended>> = (0..AT_ONCE).map(|_| Box::default()).collect();
        let began = Instant::now();
        for (number, at) in (0..size).step_by(REQUEST as usize).enumerate() {
            let (place, pair) = (number % AT_ONCE, &pairs[number % AT_ONCE]);
            wait(pair, (number / AT_ONCE) as u64);
            let data = (&raw const **pair).cast_mut().cast();
            // SAFETY: the buffer has so many bytes, and its last request has ended.
            let code = unsafe { read(self.disk, at / 512, REQUEST / 512, buffers[place].as_mut_ptr(), ended, data) };
            assert_eq!(code, 25_000);
        }
        let each = size / REQUEST / AT_ONCE as u64;
        pairs.iter().for_each(|pair| wait(pair, each));
        began.elapsed().as_secs_f64()
    }
}

fn wait(pair: &Ended, until: u64) {
    let mut count = pair.0.lock().unwrap();
    while *count < until {
        count = pair.1.wait(count).unwrap();
    }
}

/// The seconds that all of a source takes, as the copy engine reads.
fn read(source: &dyn BlockSource) -> f64 {
    let (began, next, size) = (Instant::now(), AtomicU64::new(0), source.size());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let mut buffer = vec![0; REQUEST as usize];
                loop {
                    let at = next.fetch_add(REQUEST, Ordering::Relaxed);
                    if at >= size {
                        break;
                    }
                    read_exact_at(source, at, &mut buffer).unwrap();
                }
            });
        }
    });
    began.elapsed().as_secs_f64()
}

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    // The plugin's process is this program, started again.
    if arguments.first().is_some_and(|word| word == plugins::PLUGIN_COMMAND) {
        return plugins::serve_plugin().into();
    }
    let [folder, libdir, ready] = arguments.as_slice() else {
        println!("usage: vddk PLUGIN-FOLDER VDDK-FOLDER READY.JSON (tests/bench/fetch gives all)");
        return std::process::ExitCode::SUCCESS;
    };
    let facts: Value = serde_json::from_slice(&std::fs::read(ready).unwrap()).unwrap();
    let fact = |name: &str| facts[name].as_str().unwrap();
    let pin = Thumbprint::parse(fact("thumbprint_sha256"));
    let login = Login {
        user: std::fs::read_to_string(fact("user_file")).unwrap().trim_end().to_owned(),
        password: std::fs::read_to_string(fact("password_file")).unwrap().trim_end().to_owned(),
    };
    let session = Session::begin(Door::new(fact("address"), Trust { pin, authorities: None }).unwrap(), login).unwrap();
    let vm = facts["vms"]["full"].as_str().unwrap();
    let seen =
        collector::read(&session, &Moref::new("VirtualMachine", vm), &["config.hardware.device"], "looking").unwrap();
    let disk = disks::disks(seen.get("config.hardware.device").unwrap(), vm, "").swap_remove(0);
    let path = disk.backing.files[0].to_string();

    let host = FakeHost::new();
    let services: Arc<dyn HostServices> = host.services();
    let lent = services.lend_secret(&session.lend().unwrap()).unwrap();
    let candidates = discover(&search_folders(&[folder.into()], &mut |_| {})).unwrap();
    let is_ours = |manifest: &vmdk2kvm_plugin_api::Manifest| manifest.name == "vddk";
    let candidate = candidates.iter().find(|one| one.manifest.as_ref().is_some_and(is_ours)).unwrap();
    let loaded = Loaded::load(candidate, services, &json!({ "libdir": libdir })).unwrap();
    let mut spec = VmSpec::new("full", Firmware::Bios, Cpus::new(1, 1), 1 << 30);
    spec.disks = vec![Disk::new("full.vmdk", Controller::Scsi, 0, 0)];
    let way = ways::disk(vm, disk.key);
    let mut link = Link::new(SourceRef::new("vsphere://lab/full"), spec, 0, way.clone());
    link.hold.notes = json!({datastore::SESSION_NOTE: lent, ways::VM_NOTE: vm});
    let ours = loaded.fetcher().unwrap().unwrap().transport(&link).unwrap().open(&way.object).unwrap();
    let alone = Alone::open(libdir, &facts, vm, &path);

    let mut best = [f64::MAX; 2];
    for _ in 0..ROUNDS {
        best = [best[0].min(alone.read(ours.size())), best[1].min(read(&*ours))];
    }
    let gib = ours.size() as f64 / (1u64 << 30) as f64;
    let ratio = best[0] / best[1];
    println!(
        "vddk    library {:.2} GiB/s  plugin {:.2} GiB/s  ratio {ratio:.2}  goal {GOAL}",
        gib / best[0],
        gib / best[1]
    );
    u8::from(ratio < GOAL).into()
}

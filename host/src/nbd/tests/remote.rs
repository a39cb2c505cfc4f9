//! The client against real servers: our own and qemu-nbd (Debian: qemu-utils). Whoever serves a disk, it has the same bytes and the same map.

use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::copy::{Control, content_sha256};
use crate::nbd::{Address, Options, RemoteDisk};

fn open(uri: &str) -> RemoteDisk {
    RemoteDisk::open(Address::parse(uri).unwrap(), Options::default()).unwrap()
}

fn bytes(source: &dyn BlockSource, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0xa5; length];
    vmdk2kvm_plugin_api::read_exact_at(source, offset, &mut bytes).unwrap();
    bytes
}

/// A map with neighbours of one kind joined.
fn joined(extents: Vec<Extent>) -> Vec<Extent> {
    extents.into_iter().fold(Vec::new(), |mut runs: Vec<Extent>, run| {
        match runs.last_mut() {
            Some(last) if last.kind == run.kind => last.length += run.length,
            _ => runs.push(run),
        }
        runs
    })
}

/// Random lengths and kinds.
fn runs() -> impl Strategy<Value = Vec<(u64, ExtentKind)>> {
    let kind = prop_oneof![Just(ExtentKind::Data), Just(ExtentKind::Zero), Just(ExtentKind::Hole)];
    proptest::collection::vec((1u64..200_000, kind), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_remote_disk_is_the_served_one(
        runs in runs(),
        ranges in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 8),
    ) {
        let served = Disk::of(&runs);
        let size = served.bytes.len();
        let (_folder, _, export) = start(served.clone());
        let remote = open(&export.uri());
        prop_assert_eq!(remote.size(), served.size());
        prop_assert!(bytes(&remote, 0, size) == served.bytes);
        prop_assert_eq!(remote.extents(0, size as u64).unwrap(), joined(served.extents(0, size as u64).unwrap()));
        for (start, length) in ranges {
            let start = start.index(size);
            let length = 1 + length.index(size - start);
            prop_assert!(bytes(&remote, start as u64, length) == served.bytes[start..start + length]);
            let map = remote.extents(start as u64, length as u64).unwrap();
            vmdk2kvm_plugin_api::check_map(&map, start as u64, length as u64).unwrap();
            prop_assert_eq!(map, joined(served.extents(start as u64, length as u64).unwrap()));
        }
    }
}

#[test]
fn several_threads_read_over_several_connections() {
    let (_folder, _, export) = start(Disk::new());
    let remote = open(&export.uri());
    let expected = Disk::new().bytes;
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let (remote, expected) = (&remote, &expected);
            scope.spawn(move || {
                for step in 0..60 {
                    let at = (thread * 977 + step * 313_131) % (19 * MIB);
                    let length = 1 + (step as usize * 7919) % 900_000;
                    assert!(bytes(remote, at, length) == expected[at as usize..][..length]);
                }
            });
        }
    });
    assert_eq!(export.first_error(), None);
}

/// Answers one request when another has come, so that it ends only if both are under way at once.
struct Pair(AtomicUsize);

impl BlockSource for Pair {
    fn size(&self) -> u64 {
        8192
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let until = Instant::now() + Duration::from_secs(30);
        while self.0.load(Ordering::SeqCst) < 2 {
            if Instant::now() > until {
                return Err(PluginError::io("nobody else came"));
            }
            std::thread::yield_now();
        }
        buffer.fill(1 + (offset / 4096) as u8);
        Ok(buffer.len())
    }
}

#[test]
fn one_connection_has_several_requests_under_way() {
    let (_folder, socket) = folder();
    let export = Export::start(Arc::new(Pair(AtomicUsize::new(0))), &socket).unwrap();
    let options = Options { connections: 1, ..Options::default() };
    let remote = RemoteDisk::open(Address::unix(&socket), options).unwrap();
    std::thread::scope(|scope| {
        for half in 0..2u8 {
            let remote = &remote;
            scope.spawn(move || assert_eq!(bytes(remote, u64::from(half) * 4096, 4096), [half + 1; 4096]));
        }
    });
    assert_eq!(export.first_error(), None);
}

#[test]
fn an_error_of_the_source_comes_through_and_the_disk_goes_on() {
    let (_folder, _, export) = start(Disk { bad: 16 * MIB, ..Disk::new() });
    let remote = open(&export.uri());
    let error = remote.read_at(16 * MIB - 10, &mut [0; 20]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Io);
    let at = 16 * MIB - 10;
    let said =
        format!("{}: the server cannot read 20 bytes at {at}: web.vmdk: the datastore went away at {at}", export.uri());
    assert_eq!(error.message, said);
    assert_eq!(bytes(&remote, 0, 10), Disk::new().bytes[..10]);
    let error = remote.read_at(20 * MIB - 1, &mut [0; 2]).unwrap_err();
    assert!(error.message.contains("2 bytes at 20971519 lead past the end of the disk"), "{error}");
}

#[test]
fn an_export_that_is_not_there_is_named() {
    let (_folder, socket, export) = start(Disk::new());
    let open = |address| RemoteDisk::open(address, Options::default()).map(|_| ()).unwrap_err();
    let error = open(Address { export: "web".into(), ..Address::unix(&socket) });
    assert_eq!(error.kind, ErrorKind::Unusable);
    assert!(error.message.contains("the server has no export `web`: the only export here"), "{error}");
    drop(export);
    let error = open(Address::unix(&socket));
    assert_eq!(error.kind, ErrorKind::Io);
    assert!(error.message.ends_with("the server cannot be reached: No such file or directory (os error 2)"), "{error}");
}

/// A server that is started again in between is no reason to fail.
#[test]
fn a_connection_that_broke_off_is_made_again() {
    let (_folder, socket, export) = start(Disk::new());
    let remote = open(&export.uri());
    assert_eq!(bytes(&remote, 0, 10), Disk::new().bytes[..10]);
    drop(export);
    let again = Export::start(Arc::new(Disk::new()), &socket).unwrap();
    assert_eq!(bytes(&remote, 0, 10), Disk::new().bytes[..10]);
    drop(again);
    let other = Disk { bytes: vec![1; 512], map: Vec::new(), bad: u64::MAX };
    let _other = Export::start(Arc::new(other), &socket).unwrap();
    let error = remote.read_at(0, &mut [0; 10]).unwrap_err();
    assert!(error.message.ends_with("on a new connection the disk is another one than before"), "{error}");
}

/// qemu-nbd, ended when the test is.
struct QemuNbd(Child);

impl QemuNbd {
    fn serve(arguments: &[&str], is_up: impl Fn() -> bool) -> Self {
        let mut command = Command::new("qemu-nbd");
        command.args(["--read-only", "--persistent"]).args(arguments).stdin(Stdio::null());
        let child = command.spawn();
        let mut server =
            Self(child.unwrap_or_else(|error| panic!("this test needs qemu-nbd (Debian: qemu-utils): {error}")));
        let until = Instant::now() + Duration::from_secs(30);
        while !is_up() {
            assert!(server.0.try_wait().unwrap().is_none() && Instant::now() < until, "qemu-nbd does not come up");
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }
}

impl Drop for QemuNbd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A raw file with data, a hole and data.
fn raw_file(path: &Path) -> Vec<u8> {
    let mut content = vec![0; 9 << 20];
    content[..1 << 20].fill(3);
    content[6 << 20..].chunks_mut(4096).zip(1u8..=255).for_each(|(chunk, byte)| chunk.fill(byte));
    let file = std::fs::File::create(path).unwrap();
    use std::os::unix::fs::FileExt;
    file.set_len(content.len() as u64).unwrap();
    file.write_all_at(&content[..1 << 20], 0).unwrap();
    file.write_all_at(&content[6 << 20..7 << 20], 6 << 20).unwrap();
    content[7 << 20..].fill(0);
    content
}

fn check_against_file(remote: &RemoteDisk, content: &[u8]) {
    assert_eq!(remote.size(), content.len() as u64);
    assert!(bytes(remote, 0, content.len()) == content);
    assert!(bytes(remote, 1_000_001, 77_777) == content[1_000_001..][..77_777]);
    let map = remote.extents(0, remote.size()).unwrap();
    vmdk2kvm_plugin_api::check_map(&map, 0, remote.size()).unwrap();
    for run in map.iter().filter(|run| run.kind != ExtentKind::Data) {
        assert!(content[run.offset as usize..][..run.length as usize].iter().all(|byte| *byte == 0), "{run:?}");
    }
    let data: u64 = map.iter().filter(|run| run.kind == ExtentKind::Data).map(|run| run.length).sum();
    assert_eq!(data, 2 << 20, "{map:?}");
}

#[test]
fn qemu_nbd_serves_the_same_disk_on_a_socket() {
    let (folder, socket) = folder();
    let file = folder.path().join("disk.raw");
    let content = raw_file(&file);
    for shared in ["1", "4"] {
        let arguments =
            ["-f", "raw", "-e", shared, "-x", "web", "-k", socket.to_str().unwrap(), file.to_str().unwrap()];
        // Its file is there before it listens.
        let _server = QemuNbd::serve(&arguments, || UnixStream::connect(&socket).is_ok());
        let address = Address { export: "web".into(), ..Address::unix(&socket) };
        let remote = RemoteDisk::open(address, Options::default()).unwrap();
        check_against_file(&remote, &content);
        let digest = content_sha256(&remote, &Control::unattended()).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert!(content_sha256(&remote, &Control::unattended()).unwrap() == digest));
            }
        });
        drop(remote);
        let _ = std::fs::remove_file(&socket);
    }
}

#[test]
fn qemu_nbd_serves_the_same_disk_over_tcp() {
    let (folder, _) = folder();
    let (file, qcow2) = (folder.path().join("disk.raw"), folder.path().join("disk.qcow2"));
    let content = raw_file(&file);
    let convert = ["convert", "-f", "raw", "-O", "qcow2", file.to_str().unwrap(), qcow2.to_str().unwrap()];
    assert!(Command::new("qemu-img").args(convert).status().unwrap().success());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port_text = port.to_string();
    let arguments = ["-f", "qcow2", "-e", "8", "-b", "127.0.0.1", "-p", &port_text, qcow2.to_str().unwrap()];
    let address = Address::parse(&format!("nbd://127.0.0.1:{port}/")).unwrap();
    let options = Options::default;
    let _server = QemuNbd::serve(&arguments, || RemoteDisk::open(address.clone(), options()).is_ok());
    check_against_file(&RemoteDisk::open(address.clone(), options()).unwrap(), &content);
    let unknown = Address { export: "other".into(), ..address };
    let error = RemoteDisk::open(unknown, options()).map(|_| ()).unwrap_err();
    assert!(error.message.contains("the server has no export `other`"), "{error}");
}

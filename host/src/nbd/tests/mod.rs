//! Server and client against each other, against real peers, and against peers that break the protocol.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, Extent, ExtentKind, PluginError, Result};

use super::Export;

mod clients;
mod hostile;
mod protocol;
mod remote;
mod stopping;

/// A disk in memory. That of most tests: data, a hole, stored zeros, data; from `bad` on it cannot be read.
#[derive(Clone)]
struct Disk {
    bytes: Vec<u8>,
    map: Vec<Extent>,
    bad: u64,
}

const MIB: u64 = 1 << 20;

impl Disk {
    fn new() -> Self {
        Self::of(&[
            (3 * MIB + 512, ExtentKind::Data),
            (9 * MIB - 512, ExtentKind::Hole),
            (2 * MIB, ExtentKind::Zero),
            (6 * MIB, ExtentKind::Data),
        ])
    }

    fn of(runs: &[(u64, ExtentKind)]) -> Self {
        let mut map = Vec::new();
        let mut bytes = Vec::new();
        for &(length, kind) in runs {
            map.push(Extent::new(bytes.len() as u64, length, kind));
            let at = bytes.len();
            bytes.resize(at + length as usize, 0);
            if kind == ExtentKind::Data {
                bytes[at..].chunks_mut(251).zip((0u8..=255).cycle()).for_each(|(chunk, byte)| chunk.fill(byte | 1));
            }
        }
        Self { bytes, map, bad: u64::MAX }
    }
}

impl BlockSource for Disk {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let end = offset + buffer.len() as u64;
        if end > self.bad {
            return Err(PluginError::io(format!("web.vmdk: the datastore went away at {offset}")));
        }
        let n = buffer.len().min(700_000);
        buffer[..n].copy_from_slice(&self.bytes[offset as usize..][..n]);
        Ok(n)
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        let clip = |extent: &Extent| {
            let start = extent.offset.max(offset);
            let end = (extent.offset + extent.length).min(offset + length);
            (start < end).then(|| Extent::new(start, end - start, extent.kind))
        };
        Ok(self.map.iter().filter_map(clip).collect())
    }
}

/// A private folder for a socket. The name needs escaping in a URI.
fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::Builder::new().prefix("export 100%+&#?ä").tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let socket = folder.path().join("disk 1.sock");
    (folder, socket)
}

fn start(disk: Disk) -> (TempDir, PathBuf, Export) {
    let (folder, socket) = folder();
    let export = Export::start(Arc::new(disk), &socket).unwrap();
    (folder, socket, export)
}

#[test]
fn the_socket_is_private_and_goes_away() {
    let (_folder, socket, export) = start(Disk::new());
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(export.uri().starts_with("nbd+unix:///?socket=/"), "{}", export.uri());
    assert!(export.uri().ends_with("/disk%201.sock"), "{}", export.uri());
    assert!(export.uri().contains("/export%20100%25%2B%26%23%3F%C3%A4"), "{}", export.uri());
    let again = Export::start(Arc::new(Disk::new()), &socket).map(|_| ()).unwrap_err();
    assert_eq!(again.kind, ErrorKind::Output);
    assert!(again.message.ends_with("disk 1.sock: cannot be bound: Address already in use (os error 98)"), "{again}");
    assert!(socket.exists(), "a second export took the first one's socket away");
    drop(export);
    assert!(!socket.exists());
}

#[test]
fn a_long_path_and_an_open_folder_are_refused() {
    let (folder, _) = folder();
    let long = folder.path().join("x".repeat(100));
    let error = Export::start(Arc::new(Disk::new()), &long).map(|_| ()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Output);
    let length = long.as_os_str().len();
    assert!(
        error.message.ends_with(&format!("the path of a socket has at most 107 bytes, this has {length}")),
        "{error}"
    );
    assert_eq!(error.hint.as_deref(), Some("choose a work directory with a shorter path (--work-dir)"));
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o750)).unwrap();
    let error = Export::start(Arc::new(Disk::new()), &folder.path().join("s")).map(|_| ()).unwrap_err();
    assert!(
        error.message.contains("a folder for sockets must be the user's own with mode 0700, this has mode 0750"),
        "{error}"
    );
}

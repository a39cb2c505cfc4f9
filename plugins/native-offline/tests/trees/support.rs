//! Filesystems made by the real tools of a folder, and what they hold: by the folder itself, and by the readers.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use vmdk2kvm_native_offline::open_filesystem;
use vmdk2kvm_offline_guest::Filesystem;
use vmdk2kvm_plugin_api::{BlockSource, FileKind, PluginError, Result};

/// Paths, and a line on what is there.
pub type Holds = BTreeMap<String, String>;

pub fn run(program: &str, arguments: &[&str]) {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let mut command = Command::new(program);
    // Small filesystems are made for tests only, and mkfs.xfs wants to be told so.
    command.args(arguments).env("PATH", path).envs(["TEST_DIR", "TEST_DEV", "QA_CHECK_FS"].map(|name| (name, "1")));
    let out = command.output().unwrap_or_else(|error| panic!("this test requires {program}: {error}"));
    assert!(out.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A sparse image.
pub fn sparse(path: &Path, mib: u64) -> &str {
    File::create(path).unwrap().set_len(mib << 20).unwrap();
    path.to_str().unwrap()
}

/// An image file that remembers where it was read, and may be damaged.
pub struct Image {
    file: File,
    pub read: Mutex<Vec<(u64, u64)>>,
    /// Bytes that are something else.
    pub damage: Vec<(u64, u8)>,
}

impl Image {
    pub fn open(path: &Path) -> Self {
        Self { file: File::open(path).unwrap(), read: Mutex::default(), damage: Vec::new() }
    }
}

impl BlockSource for Image {
    fn size(&self) -> u64 {
        self.file.metadata().unwrap().len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.file.read_exact_at(buffer, offset).map_err(|error| PluginError::io(error.to_string()))?;
        self.read.lock().unwrap().push((offset, buffer.len() as u64));
        for (at, value) in &self.damage {
            if let Some(byte) = at.checked_sub(offset).and_then(|at| buffer.get_mut(at as usize)) {
                *byte ^= value;
            }
        }
        Ok(buffer.len())
    }
}

/// A folder with what a system has, and what only a test has.
pub fn populate(folder: &Path) {
    let file = |path: &str, bytes: &[u8]| fs::write(folder.join(path), bytes).unwrap();
    for name in ["etc", "usr/share/deep/deeper", "many", "empty"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    file("etc/fstab", b"UUID=1 / ext4 defaults 0 1\n");
    for length in [0usize, 1, 59, 60, 61, 155, 4095, 4096, 4097, 70_000, 3 << 20] {
        let bytes: Vec<u8> = (0..length).map(|at| (at * 7 + at / 251) as u8).collect();
        file(&format!("usr/share/{length}-bytes"), &bytes);
    }
    file(&format!("etc/{}", "n".repeat(255)), b"long");
    file("etc/gr\u{fc}n", b"green");
    file("etc/run", b"#!/bin/sh\n");
    fs::set_permissions(folder.join("etc/run"), fs::Permissions::from_mode(0o4755)).unwrap();
    for number in 0..700 {
        file(&format!("many/entry-{number:05}-of-a-large-folder"), &[number as u8; 3]);
    }
    symlink("../etc/fstab", folder.join("usr/link")).unwrap();
    symlink(format!("/{}", "long/".repeat(40)), folder.join("usr/long-link")).unwrap();
    let sparse = File::create(folder.join("usr/sparse")).unwrap();
    sparse.write_all_at(b"begin", 0).unwrap();
    sparse.write_all_at(b"middle", 1 << 20).unwrap();
    sparse.set_len(5 << 20).unwrap();
}

fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// What a folder holds.
pub fn of_folder(folder: &Path) -> Holds {
    read_folder(folder).unwrap()
}

/// The same; an error where any of it cannot be read.
pub fn read_folder(folder: &Path) -> io::Result<Holds> {
    let mut holds = Holds::new();
    let mut left: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let found = fs::symlink_metadata(&path)?;
        let owner = format!("{:o} {} {}", found.mode() & 0o7777, found.uid(), found.gid());
        let line = if found.is_dir() {
            for entry in fs::read_dir(&path)? {
                left.push(entry?.path());
            }
            format!("folder {owner}")
        } else if found.is_symlink() {
            format!("link {} {}", &owner["777".len()..], fs::read_link(&path)?.display())
        } else if found.is_file() {
            format!("file {owner} {} {}", found.len(), digest(&fs::read(&path)?))
        } else {
            format!("other {owner}")
        };
        holds.insert(format!("/{}", path.strip_prefix(folder).unwrap().display()), line);
    }
    holds.remove("/lost+found");
    Ok(holds)
}

/// What a filesystem holds. `with_content`: data as well, not only what describes it.
pub fn of_filesystem(filesystem: &dyn Filesystem, with_content: bool) -> Result<Holds> {
    let mut holds = Holds::new();
    let mut left = vec!["/".to_owned()];
    while let Some(path) = left.pop() {
        let found =
            filesystem.stat(&path)?.ok_or_else(|| PluginError::unusable(format!("{path} is listed and not there")))?;
        let owner = format!("{:o} {} {}", found.mode, found.uid, found.gid);
        let line = match found.kind {
            FileKind::Dir => {
                for entry in filesystem.list(&path)? {
                    let name = if path == "/" { format!("/{}", entry.name) } else { format!("{path}/{}", entry.name) };
                    left.push(name);
                }
                format!("folder {owner}")
            }
            FileKind::Symlink => format!("link {} {}", &owner["777".len()..], filesystem.read_link(&path)?),
            FileKind::File if with_content => {
                let bytes = filesystem.read(&path)?;
                assert_eq!(bytes.len() as u64, found.size, "{path}");
                format!("file {owner} {} {}", found.size, digest(&bytes))
            }
            FileKind::File => format!("file {owner} {}", found.size),
            FileKind::Other => format!("other {owner}"),
        };
        holds.insert(path, line);
    }
    holds.retain(|path, _| path != "/lost+found");
    Ok(holds)
}

pub fn open(fstype: &str, image: Image) -> Result<Arc<dyn Filesystem>> {
    open_filesystem(fstype, Arc::new(image), None).map(Option::unwrap)
}

/// The whole of an image against what it was made of.
pub fn assert_same(fstype: &str, image: &Path, expected: &Holds, what: &str) {
    let filesystem = open(fstype, Image::open(image)).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = of_filesystem(filesystem.as_ref(), true).unwrap_or_else(|error| panic!("{what}: {error}"));
    for (path, line) in expected {
        assert_eq!(found.get(path), Some(line), "{what}: {path}");
    }
    assert_eq!(found.len(), expected.len(), "{what}: more than there is");
}

/// A description of a folder for mkfs.xfs.
pub fn prototype(folder: &Path, file: &Path) {
    fn describe(folder: &Path, text: &mut String) {
        let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let found = fs::symlink_metadata(&path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            let set = |bit: u32, letter: char| if found.mode() & bit != 0 { letter } else { '-' };
            let mode = format!("{}{}{:03o}", set(0o4000, 'u'), set(0o2000, 'g'), found.mode() & 0o777);
            if found.is_dir() {
                text.push_str(&format!("{name} d{mode} {} {}\n", found.uid(), found.gid()));
                describe(&path, text);
                text.push_str("$\n");
            } else if found.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                text.push_str(&format!("{name} l{mode} {} {} {}\n", found.uid(), found.gid(), target.display()));
            } else {
                text.push_str(&format!("{name} -{mode} {} {} {}\n", found.uid(), found.gid(), path.display()));
            }
        }
    }
    let top = fs::metadata(folder).unwrap();
    let mut text = format!("/\n0 0\nd--{:03o} {} {}\n", top.mode() & 0o777, top.uid(), top.gid());
    describe(folder, &mut text);
    text.push_str("$\n");
    fs::write(file, text).unwrap();
}

//! A guest that wants to lead its fixers astray: at every place that inspection and the fixers read or write there is, one kind
//! after the other, what is no file. Nothing outside is read or written, nothing hangs, and no plan ends.
//!
//! The places are not listed here but collected: they are what the fixers ask a whole guest for.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use vmdk2kvm_dir::guest::DirGuest;
use vmdk2kvm_linux_guest::{FixSettings, fixers, inspect};
use vmdk2kvm_plugin_api::model::{Applied, Change, PlanContext};
use vmdk2kvm_plugin_api::{Entry, ErrorKind, Guest, Result, Stat};

use crate::guests::{bios, uefi};
use crate::support::Tree;

/// Remembers what was asked for.
struct Listening<'a> {
    guest: &'a dyn Guest,
    asked: Mutex<BTreeSet<String>>,
}

impl Listening<'_> {
    fn note(&self, path: &str) {
        self.asked.lock().unwrap().insert(path.trim_start_matches('/').to_owned());
    }
}

impl Guest for Listening<'_> {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        self.note(path);
        self.guest.stat(path)
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.note(path);
        self.guest.read(path, limit)
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        self.note(path);
        self.guest.list(path)
    }

    fn read_link(&self, path: &str) -> Result<String> {
        self.note(path);
        self.guest.read_link(path)
    }

    fn apply(&self, change: &Change) -> Result<Applied> {
        self.guest.apply(change)
    }

    fn close(&self) -> Result<()> {
        self.guest.close()
    }
}

/// Inspects and plans as a host does, and gives every place that was asked for.
fn places(tree: &Tree) -> BTreeSet<String> {
    let guest = tree.guest();
    let listening = Listening { guest: &guest, asked: Mutex::default() };
    let inspection = inspect(&listening, tree.layout()).unwrap();
    let context = PlanContext::new(tree.vm(), inspection);
    for fixer in fixers(&FixSettings::default()) {
        for change in fixer.plan(&context, &listening).unwrap().changes {
            listening.note(&change.target);
        }
    }
    let mut asked = listening.asked.into_inner().unwrap();
    asked.remove("");
    asked
}

/// What a hostile guest has at a place.
const KINDS: [&str; 11] = [
    "an absolute link outside",
    "a relative link outside",
    "a link through /proc",
    "a link to itself",
    "a link to a folder above",
    "a dangling link",
    "a FIFO",
    "a device",
    "a socket",
    "a folder",
    "a huge file",
];

fn clear(at: &Path) {
    match fs::symlink_metadata(at) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(at).unwrap(),
        Ok(_) => fs::remove_file(at).unwrap(),
        Err(_) => {}
    }
}

/// Puts it there, where nothing is.
fn put(kind: &str, at: &Path, outside: &Path) {
    if fs::create_dir_all(at.parent().unwrap()).is_err() {
        return;
    }
    let climbing = PathBuf::from("../".repeat(40)).join(outside.strip_prefix("/").unwrap());
    match kind {
        "an absolute link outside" => symlink(outside, at).unwrap(),
        "a relative link outside" => symlink(climbing, at).unwrap(),
        "a link through /proc" => symlink(format!("/proc/self/root{}", outside.display()), at).unwrap(),
        "a link to itself" => symlink(at.file_name().unwrap(), at).unwrap(),
        "a link to a folder above" => symlink("..", at).unwrap(),
        "a dangling link" => symlink("/nowhere/at/all", at).unwrap(),
        "a FIFO" => mknodat(CWD, at, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap(),
        // /dev/zero never ends; where devices cannot be made, a FIFO hangs as well.
        "a device" => {
            mknodat(CWD, at, FileType::CharacterDevice, Mode::from_raw_mode(0o644), rustix::fs::makedev(1, 5))
                .or_else(|_| mknodat(CWD, at, FileType::Fifo, Mode::from_raw_mode(0o644), 0))
                .unwrap()
        }
        "a socket" => {
            // The name of a socket is short, wherever the tree is.
            let short = outside.with_file_name("socket");
            drop(UnixListener::bind(&short).unwrap());
            fs::rename(short, at).unwrap();
        }
        "a folder" => fs::create_dir(at).unwrap(),
        "a huge file" => fs::File::create(at).unwrap().set_len(1 << 40).unwrap(),
        other => panic!("{other}"),
    }
}

/// Everything beside the tree, with what would show that it was touched.
fn beside(outside: &Path) -> Vec<(PathBuf, String, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut folders = vec![outside.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let stat = fs::symlink_metadata(&path).unwrap();
            if stat.is_dir() {
                folders.push(path.clone());
            }
            let when = format!("{} {}.{}", stat.ino(), stat.mtime(), stat.mtime_nsec());
            found.push((path.clone(), when, fs::read(&path).ok()));
        }
    }
    found.sort();
    found
}

/// A guest with one hostile place is planned for, and what was planned is tried; whether something was written.
fn survives(tree: &Tree, place: &str, kind: &str) -> bool {
    let mut wrote = false;
    let guest = tree.guest();
    let what = format!("{kind} at {place}");
    let inspection = inspect(&guest, tree.layout()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let context = PlanContext::new(tree.vm(), inspection);
    let writable = DirGuest::open(tree.path("").to_str().unwrap(), true).unwrap();
    for fixer in fixers(&FixSettings::default()) {
        let name = fixer.name();
        let plan = fixer.plan(&context, &guest).unwrap_or_else(|error| panic!("{what} stops {name}: {error}"));
        for finding in plan.findings.iter().chain(&context.inspection.findings) {
            assert!(!finding.message.contains(SECRET), "{what}: {name} read outside");
        }
        for change in plan.changes {
            assert!(!serde_json::to_string(&change).unwrap().contains(SECRET), "{what}: {name} read outside");
            // The guest's own programs are a matter of their own, and what is elsewhere is as it ever was.
            let is_here = change.target == format!("/{place}") || change.target.starts_with(&format!("/{place}/"));
            if !is_here || matches!(change.action.kind(), "remove_packages" | "rebuild_initramfs") {
                continue;
            }
            match writable.apply(&change) {
                Ok(_) => wrote = true,
                Err(error) => {
                    let expected = matches!(error.kind, ErrorKind::Unusable | ErrorKind::Io | ErrorKind::Output);
                    assert!(expected, "{what}: {name}, {}: {error}", change.target);
                }
            }
        }
    }
    wrote
}

const SECRET: &str = "what only the host may know";

fn survives_everywhere(make: fn() -> Tree, all: &BTreeSet<String>) {
    let host = tempfile::tempdir().unwrap();
    let outside = host.path().join("outside");
    fs::create_dir(&outside).unwrap();
    // Whatever name a fixer asks for below a link, it is there, and says that it is to be changed.
    for name in ["fstab", "grub", "grub.cfg", "interfaces", "a.conf", "lvm.conf", "70-persistent-net.rules", "status"] {
        fs::write(
            outside.join(name),
            format!("# {SECRET}\n/dev/sda1 / ext4 {SECRET}\nlinux root=/dev/sda1 {SECRET}\n"),
        )
        .unwrap();
    }
    let before = beside(&outside);
    let aside = host.path().join("aside");
    let mut tree = make();
    for place in all {
        for (index, kind) in KINDS.iter().enumerate() {
            let at = tree.path(place);
            let had = fs::rename(&at, &aside).is_ok();
            let target = if index % 2 == 0 { outside.clone() } else { outside.join("fstab") };
            put(kind, &at, &target);
            if survives(&tree, place, kind) {
                tree = make();
                clear(&aside);
            } else {
                clear(&at);
                if had {
                    fs::rename(&aside, &at).unwrap();
                }
            }
        }
    }
    assert_eq!(beside(&outside), before, "something outside of the tree was touched");
}

#[test]
fn a_bios_guest() {
    let all = places(&bios());
    assert!(all.len() > 80, "{all:?}");
    for expected in
        ["etc/fstab", "boot", "etc/udev/rules.d", "boot/grub/grub.cfg", "etc/systemd/network", "lib/modules"]
    {
        assert!(all.contains(expected), "{expected} is not among {all:?}");
    }
    survives_everywhere(bios, &all);
}

/// The places that the other guest has not.
#[test]
fn a_uefi_guest() {
    let make = || {
        let tree = uefi();
        tree.write("etc/cloud/cloud.cfg", "x");
        tree.write("var/lib/cloud/instance/obj.pkl", "x");
        tree.write("etc/vmware-tools/locations", "x");
        tree
    };
    let more: BTreeSet<String> = places(&make()).difference(&places(&bios())).cloned().collect();
    assert!(more.contains("boot/efi/EFI/BOOT/BOOTX64.EFI") && more.len() > 10, "{more:?}");
    survives_everywhere(make, &more);
}

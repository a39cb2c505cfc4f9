//! Tests of the overlay over a guest of a few files.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// Files and symlinks (`-> TO`) by path; folders are where something is. Counts the questions.
struct Few(BTreeMap<&'static str, &'static str>, AtomicU32);

impl Few {
    fn asked(&self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

impl Guest for Few {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        self.asked();
        let stat = |kind, size: usize, mode| Some(Stat::new(kind, size as u64, mode));
        Ok(match self.0.get(path) {
            Some(link) if link.starts_with("-> ") => stat(FileKind::Symlink, 0, 0o777),
            Some(text) => stat(FileKind::File, text.len(), 0o600),
            None if self.list(path)?.is_some() => stat(FileKind::Dir, 0, 0o755),
            None => None,
        })
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.asked();
        let found = self.0.get(path).filter(|text| text.len() as u64 <= limit);
        found.map(|text| Some(text.as_bytes().to_vec())).ok_or_else(|| PluginError::unusable("too large"))
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        let prefix = prefix(path);
        let below = self.0.iter().filter_map(|(path, text)| Some((path.strip_prefix(&prefix)?, text)));
        let entries: BTreeMap<&str, FileKind> = below
            .map(|(rest, text)| match rest.split_once('/') {
                Some((folder, _)) => (folder, FileKind::Dir),
                None if text.starts_with("-> ") => (rest, FileKind::Symlink),
                None => (rest, FileKind::File),
            })
            .collect();
        let entries: Vec<Entry> = entries.into_iter().map(|(name, kind)| Entry::new(name, kind)).collect();
        Ok((!entries.is_empty()).then_some(entries))
    }

    fn read_link(&self, path: &str) -> Result<String> {
        Ok(self.0[path].trim_start_matches("-> ").to_owned())
    }

    fn apply(&self, change: &Change) -> Result<Applied> {
        panic!("the guest below was to be changed: {change:?}")
    }

    fn close(&self) -> Result<()> {
        panic!("the guest below was closed")
    }
}

fn few() -> Few {
    let files = [
        ("/etc/fstab", "old\n"),
        ("/etc/conf.d/a", "a"),
        ("/usr/lib/x", "x"),
        ("/lib", "-> usr/lib"),
        ("/boot/grub/menu.lst", "-> grub.conf"),
        ("/boot/grub/grub.conf", "menu"),
    ];
    Few(files.into(), AtomicU32::new(0))
}

fn apply(guest: &Overlay<'_>, action: Action, target: &str) -> Result<AppliedStatus> {
    guest.apply(&Change::new(action, target, "", "")).map(|applied| applied.status)
}

fn names(guest: &Overlay<'_>, path: &str) -> String {
    let entries = guest.list(path).unwrap().unwrap_or_default();
    entries.into_iter().map(|entry| format!("{}:{:?}", entry.name, entry.kind)).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_planned_is_seen_by_every_name() {
    let below = few();
    let guest = Overlay::new(&below);
    let write = |old: &str, new: &str| Action::write_file(Some(old.as_bytes()), new);
    assert_eq!(apply(&guest, write("menu", "new menu"), "/boot/grub/menu.lst"), Ok(AppliedStatus::Done));
    assert_eq!(guest.read("/boot/grub/grub.conf", 100).unwrap().unwrap(), b"new menu");
    assert_eq!(guest.stat("/boot/grub/menu.lst").unwrap().unwrap().kind, FileKind::Symlink);
    assert_eq!(guest.stat("/boot/grub/grub.conf").unwrap().unwrap().mode, 0o600, "the mode stays");
    assert_eq!(apply(&guest, Action::write_file(None, "y"), "/lib/new/y"), Ok(AppliedStatus::Done));
    assert_eq!(guest.stat("/usr/lib/new/y").unwrap().unwrap().mode, 0o644);
    assert_eq!(names(&guest, "/lib"), "new:Dir x:File");
    assert_eq!(
        guest.read("/usr/lib/new/y", 0).unwrap_err().message,
        "/usr/lib/new/y: 1 bytes, more than the 0 that are read"
    );
    let copy = Action::CopyFile { from: "/lib/x".into(), source_sha256: sha256_hex(b"x"), old_sha256: None };
    assert_eq!(apply(&guest, copy, "/boot/x"), Ok(AppliedStatus::Done));
    assert_eq!(names(&guest, "/boot"), "grub:Dir x:File");
    assert_eq!(guest.read("/boot/x", 9).unwrap().unwrap(), b"x");
    assert_eq!(apply(&guest, Action::remove_file(b"old\n"), "/etc/fstab"), Ok(AppliedStatus::Done));
    assert_eq!((guest.stat("/etc/fstab").unwrap(), guest.read("/etc/fstab", 9).unwrap()), (None, None));
    assert_eq!(apply(&guest, Action::Symlink { to: "conf.d/a".into() }, "/etc/fstab"), Ok(AppliedStatus::Done));
    assert_eq!(guest.read_link("/etc/fstab").unwrap(), "conf.d/a");
    assert_eq!(guest.read("/etc/fstab", 9).unwrap().unwrap(), b"a");
    assert_eq!(names(&guest, "/etc"), "conf.d:Dir fstab:Symlink");
    assert!(guest.list("/etc/fstab").unwrap().is_none());
    // What no tool was run for leaves no trace.
    let packages = Action::RemovePackages { manager: crate::model::PackageManager::Dpkg, packages: vec!["a".into()] };
    assert_eq!(apply(&guest, packages, "a"), Ok(AppliedStatus::Done));
    guest.close().unwrap();
}

#[test]
fn planned_again_is_unchanged_and_another_content_is_refused() {
    let below = few();
    let guest = Overlay::new(&below);
    let write = |old: Option<&[u8]>| Action::write_file(old, "new\n");
    let changed = "/etc/fstab: not what it was when the change was planned";
    for refused in
        [write(None), write(Some(b"other")), Action::remove_file(b"other"), Action::Remove { old_sha256: None }]
    {
        assert_eq!(apply(&guest, refused, "/etc/fstab").unwrap_err().message, changed);
    }
    assert_eq!(apply(&guest, write(Some(b"old\n")), "/etc/fstab"), Ok(AppliedStatus::Done));
    assert_eq!(apply(&guest, write(Some(b"old\n")), "/etc/fstab"), Ok(AppliedStatus::Unchanged));
    assert_eq!(apply(&guest, write(Some(b"gone")), "/etc/none").unwrap_err().message, changed.replace("fstab", "none"));
    let copy = Action::CopyFile { from: "/lib/x".into(), source_sha256: sha256_hex(b"y"), old_sha256: None };
    assert_eq!(apply(&guest, copy, "/boot/x").unwrap_err().message, changed.replace("etc/fstab", "lib/x"));
    assert_eq!(apply(&guest, Action::Remove { old_sha256: None }, "/etc/none"), Ok(AppliedStatus::Unchanged));
    assert_eq!(apply(&guest, Action::Symlink { to: "usr/lib".into() }, "/lib"), Ok(AppliedStatus::Unchanged));
}

#[test]
fn what_is_no_file_or_lies_below_one_is_refused() {
    let below = few();
    let guest = Overlay::new(&below);
    let message = |action, target: &str| apply(&guest, action, target).unwrap_err().message;
    let write = || Action::write_file(None, "x");
    assert_eq!(message(write(), "/etc/conf.d"), "/etc/conf.d: not a regular file");
    assert_eq!(message(write(), "/etc/fstab/x"), "/etc/fstab/x: /etc/fstab is not a folder");
    assert_eq!(message(write(), "/etc/fstab/x/y"), "/etc/fstab/x/y: /etc/fstab is not a folder");
    assert_eq!(message(Action::Symlink { to: "x".into() }, "/etc"), "/etc: neither a file nor a symlink");
    assert_eq!(message(Action::Remove { old_sha256: None }, "/etc"), "/etc: neither a file nor a symlink");
    assert_eq!(message(write(), "etc/x"), "etc/x: not an absolute path of a guest");
    assert_eq!(guest.read("/etc", 9).unwrap_err().message, "/etc: not a regular file");
    assert_eq!(guest.read_link("/etc/fstab").unwrap_err().message, "/etc/fstab: not a symlink");
}

#[test]
fn a_folder_in_the_place_of_a_symlink_is_empty() {
    let below = few();
    let guest = Overlay::new(&below);
    assert_eq!(apply(&guest, Action::Remove { old_sha256: None }, "/lib"), Ok(AppliedStatus::Done));
    assert_eq!(guest.read("/lib/x", 9).unwrap(), None);
    assert_eq!(names(&guest, "/"), "boot:Dir etc:Dir usr:Dir");
    assert_eq!(apply(&guest, Action::write_file(None, "z"), "/lib/deep/z"), Ok(AppliedStatus::Done));
    assert_eq!(names(&guest, "/"), "boot:Dir etc:Dir lib:Dir usr:Dir");
    assert_eq!((names(&guest, "/lib"), names(&guest, "/lib/deep")), ("deep:Dir".to_owned(), "z:File".to_owned()));
    assert_eq!(guest.read("/lib/x", 9).unwrap(), None);
    assert_eq!(guest.read("/usr/lib/x", 9).unwrap().unwrap(), b"x");
}

#[test]
fn the_guest_below_is_asked_once_about_a_path() {
    let below = few();
    let guest = Overlay::new(&below);
    for _ in 0..3 {
        assert!(guest.stat("/lib/x").unwrap().is_some());
        assert!(guest.stat("/lib/none").unwrap().is_none());
    }
    // /lib, /usr, /usr/lib, and the two.
    assert_eq!(below.1.load(Ordering::Relaxed), 5);
}

/// A guest whose names fold.
struct Folding(Few);

impl Guest for Folding {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        self.0.stat(&path.to_lowercase())
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.0.read(&path.to_lowercase(), limit)
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        self.0.list(&path.to_lowercase())
    }

    fn read_link(&self, path: &str) -> Result<String> {
        self.0.read_link(&path.to_lowercase())
    }

    fn folds_case(&self) -> bool {
        true
    }

    fn apply(&self, change: &Change) -> Result<Applied> {
        self.0.apply(change)
    }

    fn close(&self) -> Result<()> {
        self.0.close()
    }
}

#[test]
fn names_that_differ_in_case_name_one_file_where_the_guest_folds() {
    let below = Folding(few());
    let guest = Overlay::new(&below);
    assert_eq!(apply(&guest, Action::write_file(Some(b"old\n"), "new\n"), "/ETC/FsTab"), Ok(AppliedStatus::Done));
    assert_eq!(guest.read("/etc/fstab", 9).unwrap().unwrap(), b"new\n");
    assert_eq!(apply(&guest, Action::write_file(None, "s"), "/Etc/Straße/Ä"), Ok(AppliedStatus::Done));
    assert_eq!(guest.read("/etc/STRAßE/ä", 9).unwrap().unwrap(), b"s");
    // A name that is there stays as it is, a new one is as it was given.
    assert_eq!(names(&guest, "/etc"), "Straße:Dir conf.d:Dir fstab:File");
    assert_eq!(names(&guest, "/ETC/straße"), "Ä:File");
    assert_eq!(apply(&guest, Action::remove_file(b"new\n"), "/etc/FSTAB"), Ok(AppliedStatus::Done));
    assert_eq!(names(&guest, "/etc"), "Straße:Dir conf.d:Dir");
    assert!(guest.folds_case() && !Overlay::new(&below.0).folds_case());
}

#[test]
fn a_file_of_this_machine_is_known_by_its_digest_alone() {
    let below = few();
    let guest = Overlay::new(&below);
    let copy = |content: &[u8], old: Option<&[u8]>| Action::CopyIn {
        from: "/iso/driver.sys".into(),
        sha256: sha256_hex(content),
        bytes: content.len() as u64,
        old_sha256: old.map(sha256_hex),
    };
    assert_eq!(apply(&guest, copy(b"one", None), "/etc/driver.sys"), Ok(AppliedStatus::Done));
    assert_eq!(apply(&guest, copy(b"one", None), "/etc/driver.sys"), Ok(AppliedStatus::Unchanged));
    let changed = "/etc/driver.sys: not what it was when the change was planned";
    assert_eq!(apply(&guest, copy(b"two", None), "/etc/driver.sys").unwrap_err().message, changed);
    assert_eq!(apply(&guest, copy(b"two!", Some(b"one")), "/etc/driver.sys"), Ok(AppliedStatus::Done));
    let stat = guest.stat("/etc/driver.sys").unwrap().unwrap();
    assert_eq!((stat.kind, stat.size, stat.mode), (FileKind::File, 4, 0o644));
    assert_eq!(names(&guest, "/etc"), "conf.d:Dir driver.sys:File fstab:File");
    assert_eq!(
        guest.read("/etc/driver.sys", 9).unwrap_err().message,
        "/etc/driver.sys: it will be a copy of /iso/driver.sys on this machine, which is not read while it is planned"
    );
    assert_eq!(apply(&guest, Action::remove_file(b"two!"), "/etc/driver.sys"), Ok(AppliedStatus::Done));
    assert_eq!(guest.stat("/etc/driver.sys").unwrap(), None);
}

#[test]
fn no_two_edits_of_a_value_want_different_things() {
    let below = few();
    let guest = Overlay::new(&below);
    let value = |number: u8| Some(RegistryValue::new(4, &[number, 0, 0, 0]));
    let edit = |key: &str, name: &str, new| RegistryEdit::new(key, name, None, new);
    let edits = |edits: &[RegistryEdit]| Action::EditRegistry { edits: edits.to_vec() };
    let hive = "/usr/lib/x";
    assert_eq!(apply(&guest, edits(&[edit("A\\B", "Start", value(0))]), hive), Ok(AppliedStatus::Done));
    // The same again, by another fixer and another name of the hive; and others.
    let same = edits(&[edit("a\\b", "START", value(0)), edit("A\\C", "Start", value(3)), edit("A\\D", "", None)]);
    assert_eq!(apply(&guest, same, "/lib/x"), Ok(AppliedStatus::Done));
    for other in [value(3), None] {
        let error =
            apply(&guest, edits(&[edit("A\\E", "new", value(1)), edit("A\\b", "start", other)]), "/lib/x").unwrap_err();
        assert_eq!(error.message, "/lib/x: the value \"start\" of A\\b is wanted to be two different things");
    }
    // A refused change leaves nothing, and within one change it is no better.
    assert_eq!(apply(&guest, edits(&[edit("A\\E", "new", value(2))]), hive), Ok(AppliedStatus::Done));
    let torn = edits(&[edit("F", "x", value(1)), edit("F", "X", value(2))]);
    assert!(apply(&guest, torn, hive).unwrap_err().message.contains("two different things"));
    assert_eq!(
        apply(&guest, edits(&[edit("F", "x", value(2))]), "/etc/fstab"),
        Ok(AppliedStatus::Done),
        "another hive"
    );
    let gone = "/etc/none: not what it was when the change was planned";
    assert_eq!(apply(&guest, edits(&[]), "/etc/none").unwrap_err().message, gone);
    let replay = || Action::ReplayLog { old_sha256: sha256_hex(b"x") };
    assert_eq!(apply(&guest, replay(), hive), Ok(AppliedStatus::Done));
    assert_eq!(apply(&guest, replay(), "/etc/none").unwrap_err().message, gone);
}

#[test]
fn no_key_is_removed_that_shall_hold_something() {
    let below = few();
    let guest = Overlay::new(&below);
    let value = |number: u8| Some(RegistryValue::new(4, &[number, 0, 0, 0]));
    let set = |key: &str, new| RegistryEdit::new(key, "Start", value(9), new);
    let remove = |key: &str| RegistryEdit::remove_key(key, "00");
    let edits = |edits: &[RegistryEdit]| Action::EditRegistry { edits: edits.to_vec() };
    let hive = "/usr/lib/x";
    let first = [set("A\\B\\C", value(0)), remove("A\\B2"), remove("D"), set("d\\E", None)];
    assert_eq!(apply(&guest, edits(&first), hive), Ok(AppliedStatus::Done));
    for (wrong, key) in [
        (remove("a\\b"), "A\\B"),
        (remove("A\\B\\c"), "A\\B\\C"),
        (set("D", value(1)), "D"),
        (set("d\\x", value(1)), "D"),
    ] {
        let error = apply(&guest, edits(&[set("new", value(1)), wrong]), hive).unwrap_err();
        assert_eq!(error.message, format!("{hive}: the key {key} is wanted to be removed, and to hold values"));
    }
    assert_eq!(apply(&guest, edits(&[remove("new"), remove("D")]), hive), Ok(AppliedStatus::Done));
    assert_eq!(apply(&guest, edits(&[remove("A")]), "/etc/fstab"), Ok(AppliedStatus::Done), "another hive");
}

/// A guest that is far away: counts the journeys of what is asked at once, and refuses to be asked for one path.
struct Far(Few, AtomicU32);

impl Guest for Far {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        panic!("{path} was asked for alone")
    }

    fn read(&self, path: &str, _: u64) -> Result<Option<Vec<u8>>> {
        panic!("{path} was read alone")
    }

    fn stat_many(&self, paths: &[&str]) -> Vec<Result<Option<Stat>>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.stat_many(paths)
    }

    fn read_many(&self, paths: &[&str], limit: u64) -> Vec<Result<Option<Vec<u8>>>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.read_many(paths, limit)
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        self.0.list(path)
    }

    fn read_link(&self, path: &str) -> Result<String> {
        self.0.read_link(path)
    }

    fn apply(&self, change: &Change) -> Result<Applied> {
        self.0.apply(change)
    }

    fn close(&self) -> Result<()> {
        self.0.close()
    }
}

#[test]
fn a_guest_that_is_far_away_is_asked_for_many_paths_at_once() {
    let below = Far(few(), AtomicU32::new(0));
    let guest = Overlay::new(&below);
    let kinds = |paths: &[&str]| -> Vec<Option<FileKind>> {
        guest.stat_many(paths).into_iter().map(|found| found.unwrap().map(|stat| stat.kind)).collect()
    };
    let found = kinds(&[
        "/etc/fstab",
        "/etc/conf.d/a",
        "/boot/grub/menu.lst",
        "/etc/new",
        "/boot/none",
        "/boot/grub/grub.conf",
    ]);
    let (file, link) = (Some(FileKind::File), Some(FileKind::Symlink));
    assert_eq!(found, [file, file, link, None, None, file]);
    assert_eq!(below.1.load(Ordering::Relaxed), 1);

    // What a change made is not asked for below.
    assert_eq!(apply(&guest, Action::Symlink { to: "fstab".into() }, "/etc/new"), Ok(AppliedStatus::Done));
    let paths = ["/etc/fstab", "/etc/new", "/boot/grub/menu.lst", "/boot/none", "/boot/grub"];
    let read: Vec<Result<Option<String>>> = guest
        .read_many(&paths, 9)
        .into_iter()
        .map(|read| read.map(|bytes| bytes.map(|bytes| String::from_utf8(bytes).unwrap())))
        .collect();
    let text = |text: &str| Ok(Some(text.to_owned()));
    assert_eq!(read[..4], [text("old\n"), text("old\n"), text("menu"), Ok(None)]);
    assert_eq!(read[4].as_ref().unwrap_err().message, "/boot/grub: not a regular file");
}

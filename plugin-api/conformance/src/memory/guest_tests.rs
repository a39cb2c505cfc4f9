//! Tests of the guest in memory: paths stay inside, and changes are applied as a real guest applies them.

use super::*;

fn guest() -> MemoryGuest {
    MemoryGuest::new(&[("/etc/fstab", "old\n"), ("/etc/a/b", "x")])
        .symlink("/lib", "usr/lib")
        .symlink("/etc/loop", "loop")
        .symlink("/etc/out", "../../../../etc/fstab")
        .dir("/usr/lib")
        .with("/run/fifo", Node::Other)
}

#[test]
fn paths_are_resolved_inside() {
    let guest = guest().file("/lib/x.so", b"\x7fELF");
    assert!(guest.tree().contains_key("/usr/lib/x.so"));
    assert_eq!(guest.read("/etc/out", 10).unwrap().unwrap(), b"old\n");
    assert_eq!(guest.stat("/lib").unwrap().unwrap().kind, FileKind::Symlink);
    assert_eq!(guest.stat("/lib/").unwrap().unwrap().kind, FileKind::Symlink);
    assert_eq!(guest.read_link("/lib").unwrap(), "usr/lib");
    assert_eq!(guest.stat("/").unwrap().unwrap().kind, FileKind::Dir);
    assert_eq!(guest.read("/etc/loop", 10).unwrap_err().message, "/etc/loop: more than 40 symlinks on the way");
    assert_eq!(guest.read("etc/fstab", 10).unwrap_err().message, "etc/fstab: not an absolute path of a guest");
    assert_eq!(guest.read("/run/fifo", 10).unwrap_err().message, "/run/fifo: not a regular file");
    assert_eq!(guest.read("/etc/fstab", 3).unwrap_err().message, "/etc/fstab: it has 4 bytes, the limit is 3");
}

#[test]
fn folders_list_what_is_directly_in_them() {
    let names = |path: &str| {
        let entries = guest().list(path).unwrap();
        entries.map(|entries| entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(names("/").as_deref(), Some("etc lib run usr"));
    assert_eq!(names("/etc").as_deref(), Some("a fstab loop out"));
    assert_eq!(names("/usr/lib").as_deref(), Some(""));
    assert_eq!(names("/nowhere"), None);
}

#[test]
fn changes_are_applied_against_what_was_planned() {
    let guest = guest();
    let change = |action, target: &str| Change::new(action, target, "", "");
    let apply = |action, target: &str| guest.apply(&change(action, target)).map(|applied| applied.status);
    let write = |old: Option<&[u8]>| Action::write_file(old, "new\n");
    assert!(apply(write(None), "/etc/fstab").unwrap_err().message.contains("not what it was"));
    assert_eq!(apply(write(Some(b"old\n")), "/etc/fstab"), Ok(AppliedStatus::Done));
    assert_eq!(apply(write(Some(b"old\n")), "/etc/fstab"), Ok(AppliedStatus::Unchanged));
    assert_eq!(apply(write(None), "/etc/new/file"), Ok(AppliedStatus::Done));
    assert_eq!(apply(Action::Symlink { to: "fstab".into() }, "/etc/link"), Ok(AppliedStatus::Done));
    assert_eq!(apply(Action::Remove { old_sha256: None }, "/etc/link"), Ok(AppliedStatus::Done));
    assert!(apply(Action::Remove { old_sha256: None }, "/etc/fstab").is_err());
    assert_eq!(apply(Action::remove_file(b"new\n"), "/etc/fstab"), Ok(AppliedStatus::Done));
    assert!(apply(write(None), "/etc/new/file/below").unwrap_err().message.ends_with("/etc/new/file is not a folder"));
    assert_eq!(guest.asked().len(), 9);
    assert!(guest.clone().asked().is_empty());
}

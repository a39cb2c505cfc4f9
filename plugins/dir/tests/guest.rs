//! The tree as a guest: what hostile paths, links and devices do, and what each change leaves.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use vmdk2kvm_dir::guest::DirGuest;
use vmdk2kvm_plugin_api::model::{Action, AppliedStatus, Change, Content};
use vmdk2kvm_plugin_api::{FileKind, Guest};

fn change(target: &str, action: Action) -> Change {
    Change::new(action, target.to_owned(), String::new(), String::new()).with(|it| {
        it.id = "c1".to_owned();
        it.fixer = "test".to_owned();
        it.critical = true;
    })
}

fn write(text: &str, old: Option<&str>) -> Action {
    Action::WriteFile { content: Content::Text(text.to_owned()), mode: None, old_sha256: old.map(sha256) }
}

fn sha256(text: &str) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A tree beside a secret that it must not reach.
struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("tree/etc")).unwrap();
        fs::write(folder.path().join("secret"), "secret").unwrap();
        Self { folder }
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join("tree").join(path)
    }

    fn guest(&self) -> DirGuest {
        DirGuest::open(self.path("").to_str().unwrap(), true).unwrap()
    }

    fn outside(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn links_stay_inside() {
    let lab = Lab::new();
    fs::write(lab.path("etc/real"), "inside").unwrap();
    symlink("/etc/real", lab.path("absolute")).unwrap();
    symlink("../../../../etc/real", lab.path("etc/climbing")).unwrap();
    symlink(lab.folder.path().join("secret"), lab.path("escape")).unwrap();
    symlink("/proc/self/root/etc/passwd", lab.path("magic")).unwrap();
    symlink("loop", lab.path("loop")).unwrap();
    let guest = lab.guest();
    for path in ["/absolute", "/etc/climbing", "/../../etc/real", "/etc/../etc/./real"] {
        assert_eq!(guest.read(path, 100).unwrap().as_deref(), Some(&b"inside"[..]), "{path}");
    }
    for path in ["/escape", "/magic", "/../secret", "/etc/real/x", "/none"] {
        assert_eq!(guest.read(path, 100).unwrap(), None, "{path}");
    }
    assert_eq!(guest.read("/loop", 100).unwrap_err().message, "/loop: too many symlinks");
    assert_eq!(guest.read_link("/absolute").unwrap(), "/etc/real");
    assert_eq!(guest.stat("/absolute").unwrap().unwrap().kind, FileKind::Symlink);
    // Writing through a link that leads outside makes the file inside.
    guest.apply(&change("/escape", write("new", None))).unwrap();
    assert_eq!(fs::read_to_string(lab.folder.path().join("secret")).unwrap(), "secret");
    assert_eq!(lab.outside(), ["secret", "tree"]);
}

#[test]
fn what_is_no_file_is_an_error_and_no_hang() {
    let lab = Lab::new();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        lab.path("etc/fstab"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    let guest = lab.guest();
    assert_eq!(guest.read("/etc/fstab", 100).unwrap_err().message, "/etc/fstab: not a regular file but a FIFO");
    assert_eq!(guest.read("/etc", 100).unwrap_err().message, "/etc: not a regular file but a folder");
    assert_eq!(guest.list("/etc").unwrap().unwrap()[0].kind, FileKind::Other);
    assert!(guest.apply(&change("/etc/fstab", write("x", None))).is_err());
    assert!(guest.apply(&change("/etc", Action::Remove { old_sha256: None })).is_err());
    assert!(guest.apply(&change("/etc", Action::Symlink { to: "x".to_owned() })).is_err());
    fs::write(lab.path("large"), "12345").unwrap();
    assert_eq!(guest.read("/large", 4).unwrap_err().message, "/large: larger than 4 bytes, the limit");
    for path in ["/", "/etc/..", ""] {
        assert!(guest.apply(&change(path, write("x", None))).is_err(), "{path}");
    }
}

/// Requires root: others cannot give files away or label them.
#[test]
fn a_written_file_keeps_its_owner_its_mode_its_label_and_its_link() {
    let lab = Lab::new();
    fs::write(lab.path("etc/real"), "old").unwrap();
    fs::set_permissions(lab.path("etc/real"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("real", lab.path("etc/link")).unwrap();
    std::os::unix::fs::chown(lab.path("etc/real"), Some(4711), Some(4712)).unwrap();
    let (label, of_folder) = (b"system_u:object_r:shadow_t:s0\0", b"system_u:object_r:etc_t:s0\0");
    let set = |path: &str, label: &[u8]| {
        rustix::fs::setxattr(lab.path(path), "security.selinux", label, rustix::fs::XattrFlags::empty()).unwrap();
    };
    let label_of = |path: &str| {
        let mut found = vec![0; 256];
        let length = rustix::fs::getxattr(lab.path(path), "security.selinux", &mut found[..]).unwrap();
        found.truncate(length);
        found
    };
    set("etc/real", label);
    set("etc", of_folder);
    let guest = lab.guest();
    let applied = guest.apply(&change("/etc/link", write("new", Some("old")))).unwrap();
    assert_eq!(applied.status, AppliedStatus::Done);
    assert!(lab.path("etc/link").is_symlink());
    assert_eq!(fs::read_to_string(lab.path("etc/real")).unwrap(), "new");
    let real = fs::metadata(lab.path("etc/real")).unwrap();
    assert_eq!((real.mode() & 0o7777, real.uid(), real.gid()), (0o600, 4711, 4712));
    assert_eq!(label_of("etc/real"), label);
    assert_eq!(guest.apply(&change("/etc/link", write("new", Some("old")))).unwrap().status, AppliedStatus::Unchanged);
    guest.apply(&change("/a/b/c", write("deep", None))).unwrap();
    assert_eq!(fs::metadata(lab.path("a/b/c")).unwrap().permissions().mode() & 0o7777, 0o644);
    assert_eq!(fs::read_dir(lab.path("etc")).unwrap().count(), 2, "a temporary file was left");
    // What is new has its folder's label, as the kernel would give it.
    guest.apply(&change("/etc/new", write("new", None))).unwrap();
    assert_eq!(label_of("etc/new"), of_folder);
}

#[test]
fn a_guest_that_changed_is_refused() {
    let lab = Lab::new();
    fs::write(lab.path("etc/a"), "now").unwrap();
    let guest = lab.guest();
    let refused = [
        write("x", Some("then")),
        write("x", None),
        Action::Remove { old_sha256: Some(sha256("then")) },
        Action::Remove { old_sha256: None },
        Action::CopyFile { from: "/etc/a".to_owned(), source_sha256: sha256("then"), old_sha256: None },
    ];
    for action in refused {
        let error = guest.apply(&change("/etc/a", action)).unwrap_err();
        assert_eq!(error.message, "/etc/a: not what it was when the change was planned");
        assert_eq!(error.hint.as_deref(), Some("plan again"));
    }
    assert_eq!(fs::read_to_string(lab.path("etc/a")).unwrap(), "now");
    let read_only = DirGuest::open(lab.path("").to_str().unwrap(), false).unwrap();
    assert!(read_only.apply(&change("/etc/a", write("x", Some("now")))).is_err());
}

#[test]
fn copies_removes_and_links() {
    let lab = Lab::new();
    fs::write(lab.path("etc/a"), "text").unwrap();
    let guest = lab.guest();
    let copy = Action::CopyFile { from: "/etc/a".to_owned(), source_sha256: sha256("text"), old_sha256: None };
    guest.apply(&change("/efi/b", copy.clone())).unwrap();
    assert_eq!(fs::read_to_string(lab.path("efi/b")).unwrap(), "text");
    assert_eq!(guest.apply(&change("/efi/b", copy)).unwrap().status, AppliedStatus::Unchanged);
    let remove = Action::Remove { old_sha256: Some(sha256("text")) };
    guest.apply(&change("/etc/a", remove.clone())).unwrap();
    assert_eq!(guest.apply(&change("/etc/a", remove)).unwrap().status, AppliedStatus::Unchanged);
    let link = Action::Symlink { to: "/efi/b".to_owned() };
    guest.apply(&change("/etc/a", link.clone())).unwrap();
    assert_eq!(guest.read("/etc/a", 10).unwrap().as_deref(), Some(&b"text"[..]));
    assert_eq!(guest.apply(&change("/etc/a", link)).unwrap().status, AppliedStatus::Unchanged);
    guest.apply(&change("/etc/a", Action::Remove { old_sha256: None })).unwrap();
    assert!(!Path::exists(&lab.path("etc/a")) && Path::exists(&lab.path("efi/b")));
}

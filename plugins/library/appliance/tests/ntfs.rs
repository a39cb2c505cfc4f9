//! A registry on an NTFS in a real appliance: replaced in one step with all that Windows knows it by, or left as it was.
//! Requires root, and libguestfs0, qemu-system-x86, ntfs-3g, and a kernel in /boot for the appliance.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::fs;
use std::path::Path;

use support::{change, request, run};
use vmdk2kvm_appliance::{Settings, open};
use vmdk2kvm_offline_guest::Mounter;
use vmdk2kvm_plugin_api::Guest;
use vmdk2kvm_plugin_api::model::{Action, AppliedStatus, RegistryEdit, RegistryValue};
use vmdk2kvm_plugin_testing::FakeHost;
use vmdk2kvm_windows_guest::hive;

const HIVE: &str = "/C:/Windows/System32/config/SYSTEM";
/// A security descriptor that only SYSTEM and the administrators may write by, owned by SYSTEM.
const SECURITY: &[u8] = &[
    1, 0, 4, 0x80, 72, 0, 0, 0, 84, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, // its parts
    2, 0, 52, 0, 2, 0, 0, 0, // the list
    0, 0, 20, 0, 0xff, 1, 0x1f, 0, 1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0, // SYSTEM
    0, 0, 24, 0, 0xff, 1, 0x1f, 0, 1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0, // administrators
    1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0, // owner, group
];

/// Mounts the image while `look` is at work.
fn mounted<T>(image: &Path, look: impl FnOnce(&Path) -> T) -> T {
    let place = tempfile::tempdir().unwrap();
    let (image, folder) = (image.to_str().unwrap(), place.path().to_str().unwrap());
    run("ntfs-3g", &[image, folder]);
    let found = look(place.path());
    run("umount", &[folder]);
    found
}

fn attribute(path: &Path, name: &str) -> Vec<u8> {
    let mut value = vec![0; 4096];
    let length = rustix::fs::lgetxattr(path, name, &mut value).unwrap_or_else(|error| panic!("{name}: {error}"));
    value.truncate(length);
    value
}

fn set(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
}

#[test]
fn a_hive_is_the_old_one_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk.raw");
    fs::File::create(&disk).unwrap().set_len(48 << 20).unwrap();
    run("mkntfs", &["-F", "-Q", "-q", disk.to_str().unwrap()]);
    let long: Vec<String> = (0..1_000_000).map(|at: u32| format!("{:02x}", at % 251)).collect();
    let old =
        hive::build(&format!("[Select]\n\"Current\"=dword:00000001\n\"Long\"=hex(3):{}\n", long.join(","))).unwrap();
    mounted(&disk, |top| {
        let config = top.join("Windows/System32/config");
        fs::create_dir_all(&config).unwrap();
        fs::write(config.join("SYSTEM"), &old).unwrap();
        set(&config.join("SYSTEM"), "system.ntfs_acl", SECURITY);
        set(&config.join("SYSTEM"), "system.ntfs_attrib", &0x22_u32.to_le_bytes());
        set(&config.join("SYSTEM"), "system.ntfs_dos_name", b"SYSTEM");
    });

    let host = FakeHost::new();
    let request = request(&disk, folder.path(), true);
    let (mut mounts, volumes) = open(&request, &Settings::default(), &host.without_settings()).unwrap();
    mounts.fold_case();
    mounts.mount_beside(volumes.by_name("/dev/sda").unwrap(), "/C:", "").unwrap();
    let free = mounts.infos().unwrap()[0].free_bytes.unwrap();
    let guest = mounts.into_guest(&volumes);
    let number = |number: u8| Some(RegistryValue::new(4, &[number, 0, 0, 0]));
    let edits = vec![RegistryEdit::new("Select", "Current", number(1), number(2))];
    let new = hive::edit(old.clone(), &edits).unwrap();
    let edit = change(Action::EditRegistry { edits }, HIVE);

    // Not enough room for another hive beside the old one, which then is as it was.
    let filler = vec![7; usize::try_from(free - (512 << 10)).unwrap()];
    let fill = Action::write_file(None, filler.clone());
    guest.apply(&change(fill, "/C:/filler")).unwrap();
    let error = guest.apply(&edit).unwrap_err();
    assert!(error.message.contains("No space left on device"), "{}", error.message);
    assert!(error.hint.as_deref().is_some_and(|hint| hint.starts_with("make room")), "{error:?}");
    assert!(guest.read(HIVE, 1 << 30).unwrap().unwrap() == old, "the old hive was touched");
    let left: Vec<String> =
        guest.list("/C:/Windows/System32/config").unwrap().unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(left, ["SYSTEM"]);
    guest.apply(&change(Action::remove_file(&filler), "/C:/filler")).unwrap();

    // With room it is another, under any spelling of its name.
    let edit = change(edit.action, "/C:/WINDOWS/system32/Config/System");
    assert_eq!(guest.apply(&edit).unwrap().status, AppliedStatus::Done);
    assert!(guest.read(HIVE, 1 << 30).unwrap().unwrap() == new, "not what was wanted");
    let script = "/C:/Windows/new/start.cmd";
    guest.apply(&change(Action::write_file(None, "echo"), script)).unwrap();
    guest.close().unwrap();

    mounted(&disk, |top| {
        let hive = top.join("Windows/System32/config/SYSTEM");
        assert!(fs::read(&hive).unwrap() == new);
        assert_eq!(attribute(&hive, "system.ntfs_acl"), SECURITY);
        assert_eq!(attribute(&hive, "system.ntfs_attrib"), 0x22_u32.to_le_bytes());
        assert_eq!(attribute(&hive, "system.ntfs_dos_name"), b"SYSTEM");
        // Nobody but SYSTEM and the administrators may write what is new: the system runs it.
        let everyone = [1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        for path in ["Windows/new", "Windows/new/start.cmd"] {
            let security = attribute(&top.join(path), "system.ntfs_acl");
            assert!(!security.windows(everyone.len()).any(|part| part == everyone), "{path}: {security:?}");
            let users = [0xa9, 0, 0x12, 0, 1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 33, 2, 0, 0];
            assert!(security.windows(users.len()).any(|part| part == users), "{path}: {security:?}");
        }
    });
    run("ntfsfix", &["-n", disk.to_str().unwrap()]);
}

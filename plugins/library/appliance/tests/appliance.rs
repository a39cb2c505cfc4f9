//! A small made-up guest in a real appliance: reading, hostile names, every change of files, a cancelled run.
//! Requires libguestfs0, qemu-system-x86, qemu-utils, e2fsprogs, and a kernel in /boot for the appliance.

mod support;

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use support::{allocated, change, guest_tree, image, request, run};
use vmdk2kvm_appliance::{Settings, open};
use vmdk2kvm_offline_guest::Mounter;
use vmdk2kvm_plugin_api::model::{Action, AppliedStatus, AttachedDisk, Content};
use vmdk2kvm_plugin_api::{ErrorKind, FileKind, Guest};
use vmdk2kvm_plugin_testing::FakeHost;

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(text: &str) -> Content {
    Content::Text(text.to_owned())
}

#[test]
fn a_guest_is_read_and_changed_and_stays_inside_of_itself() {
    let folder = tempfile::tempdir().unwrap();
    let disk = image(folder.path(), guest_tree);
    // SELinux's labels, which the appliance's kernel neither gives nor minds.
    for (path, label) in [("/etc", "etc_t"), ("/etc/default/grub", "bootloader_etc_t")] {
        run("debugfs", &["-w", "-R", &format!("ea_set {path} security.selinux {label}"), disk.to_str().unwrap()]);
    }
    // chattr +i, beside the flag of extents that every file has.
    for path in ["/etc/many/2", "/etc/many/3"] {
        run("debugfs", &["-w", "-R", &format!("set_inode_field {path} flags 0x80010"), disk.to_str().unwrap()]);
    }
    let before = allocated(&disk);
    // As the host has it: an overlay, committed at the end.
    let overlay = folder.path().join("overlay.qcow2").display().to_string();
    run("qemu-img", &["create", "-q", "-f", "qcow2", "-b", disk.to_str().unwrap(), "-F", "raw", &overlay]);
    let mut request = request(&disk, folder.path(), true);
    request.disks[0] = AttachedDisk::new(overlay.clone(), "qcow2");
    let host = FakeHost::new();
    let (mut mounts, volumes) = open(&request, &Settings::default(), &host.without_settings()).unwrap();
    let tasks: Vec<String> = host.progress().into_iter().map(|reported| reported.task).collect();
    assert_eq!(tasks, ["launch", "disks"]);

    // What the disks hold.
    assert_eq!(volumes.disks[0].table, "none");
    assert_eq!(volumes.disks[0].devices[0].fstype.as_deref(), Some("ext4"));
    let volume = volumes.by_name("/dev/sda").unwrap();

    // Looking changes nothing and may end; then the root is taken.
    mounts.look(volume, "").unwrap();
    assert!(mounts.files().stat("/etc/fstab").unwrap().is_some());
    mounts.look_away().unwrap();
    assert_eq!(mounts.files().stat("/etc/fstab").unwrap_or_default(), None);
    assert_eq!(mounts.infos().unwrap(), []);
    mounts.take_root(volume, "").unwrap();
    let root = &mounts.infos().unwrap()[0];
    assert_eq!((root.device.as_str(), root.mountpoint.as_str(), root.fstype.as_str()), ("/dev/sda", "/", "ext4"));
    assert!(root.free_bytes.is_some_and(|free| (1 << 20..96 << 20).contains(&free)), "{root:?}");
    assert!(root.used_bytes.is_some_and(|used| (1 << 10..96 << 20).contains(&used)), "{root:?}");
    assert!(root.free_inodes.is_some_and(|free| (100..100_000).contains(&free)), "{root:?}");
    let guest = mounts.into_guest(&volumes);

    // Reading, also through symlinks, which end inside.
    assert_eq!(guest.read("/etc/os-release", 100).unwrap().unwrap(), b"ID=debian\n");
    assert_eq!(guest.read("/etc/outside", 100).unwrap().unwrap(), b"/dev/sda / ext4 defaults 0 1\n");
    assert_eq!(guest.read("/../../etc/many/../fstab", 100).unwrap().unwrap().len(), 29);
    assert_eq!(guest.read("/usr/share/big", 10 << 20).unwrap().unwrap(), vec![7u8; 9 << 20]);
    assert_eq!(guest.stat("/etc/os-release").unwrap().unwrap().kind, FileKind::Symlink);
    assert_eq!(guest.stat("/etc/default/grub").unwrap().unwrap().mode, 0o640);
    assert_eq!(guest.read_link("/etc/os-release").unwrap(), "../usr/lib/os-release");
    assert_eq!(guest.list("/etc/many").unwrap().unwrap().len(), 20);
    for nothing in ["/etc/none", "/etc/fstab/x", "/no/such/folder", "/etc/dangling"] {
        assert_eq!(guest.read(nothing, 100).unwrap(), None, "{nothing}");
    }
    assert_eq!(guest.list("/etc/fstab").unwrap(), None);

    // Hostile: what would hang or fill the memory is an error that names the file.
    let begin = Instant::now();
    let message = |path: &str, limit| guest.read(path, limit).unwrap_err().message;
    assert_eq!(message("/etc/pipe", 100), "/etc/pipe: not a regular file");
    assert_eq!(message("/etc", 100), "/etc: not a regular file");
    assert_eq!(message("/usr/share/big", 100), "/usr/share/big: 9437184 bytes, more than the 100 that are read");
    assert_eq!(message("/etc/loop-a", 100), "/etc/loop-a: more than 40 symlinks on the way");
    assert_eq!(message("etc/fstab", 100), "etc/fstab: not an absolute path of a guest");
    assert!(begin.elapsed() < Duration::from_secs(60));

    // Writing through a symlink keeps the symlink, the mode, and is seen under both names.
    let write = |content: &str, mode, old: Option<&str>| Action::WriteFile {
        content: text(content),
        mode,
        old_sha256: old.map(sha256),
    };
    let apply = |action, target: &str| guest.apply(&change(action, target)).map(|applied| applied.status);
    let old = "GRUB_TIMEOUT=5\n";
    assert_eq!(apply(write("GRUB_TIMEOUT=1\n", None, Some(old)), "/etc/sysconfig/grub"), Ok(AppliedStatus::Done));
    assert_eq!(guest.read("/etc/default/grub", 100).unwrap().unwrap(), b"GRUB_TIMEOUT=1\n");
    assert_eq!(guest.stat("/etc/default/grub").unwrap().unwrap().mode, 0o640);
    assert_eq!(guest.stat("/etc/sysconfig/grub").unwrap().unwrap().kind, FileKind::Symlink);
    // Again: nothing to do. Planned against something else: refused.
    assert_eq!(apply(write("GRUB_TIMEOUT=1\n", None, Some(old)), "/etc/sysconfig/grub"), Ok(AppliedStatus::Unchanged));
    let refused = apply(write("x", None, Some(old)), "/etc/default/grub").unwrap_err();
    assert_eq!(refused.message, "/etc/default/grub has another content since the plan was made");
    let refused = apply(write("x", None, None), "/etc/fstab").unwrap_err();
    assert_eq!(refused.message, "/etc/fstab has come into being since the plan was made");
    let refused = apply(write("x", None, Some("y")), "/etc/none").unwrap_err();
    assert_eq!(refused.message, "/etc/none has gone since the plan was made");
    assert!(apply(write("x", None, None), "/etc/many/../../x").unwrap_err().message.contains("not a path of a file"));
    assert_eq!(apply(write("x", None, None), "/etc/pipe").unwrap_err().message, "/etc/pipe: not a regular file");

    // A new file with its folders; where a folder is in the way, nothing is left behind.
    let link = "/etc/systemd/network/10-vmdk2kvm-ens192.link";
    assert_eq!(apply(write("[Match]\n", Some(0o600), None), link), Ok(AppliedStatus::Done));
    assert_eq!(guest.stat(link).unwrap().unwrap().mode, 0o600);
    assert!(apply(write("x", None, None), "/etc/many/0/1/2").is_err());
    let entries: Vec<String> = guest.list("/etc/many").unwrap().unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(entries.len(), 20, "{entries:?}");

    // Copies, symlinks, removals.
    let copy = |source: &str| Action::CopyFile {
        from: "/etc/os-release".into(),
        source_sha256: sha256(source),
        old_sha256: None,
    };
    assert!(apply(copy("ID=other\n"), "/boot/copy").is_err());
    assert_eq!(guest.stat("/boot").unwrap(), None);
    assert_eq!(apply(copy("ID=debian\n"), "/boot/copy"), Ok(AppliedStatus::Done));
    let to = |to: &str| Action::Symlink { to: to.into() };
    assert_eq!(apply(to("/etc/fstab"), "/etc/dangling"), Ok(AppliedStatus::Done));
    assert_eq!(apply(to("/etc/fstab"), "/etc/dangling"), Ok(AppliedStatus::Unchanged));
    assert_eq!(guest.read("/etc/dangling", 100).unwrap().unwrap().len(), 29);
    assert!(apply(to("x"), "/etc/many").is_err());
    let remove = |old: Option<&str>| Action::Remove { old_sha256: old.map(sha256) };
    assert!(apply(remove(None), "/etc/many/1").is_err());
    assert_eq!(apply(remove(Some("x")), "/etc/many/1"), Ok(AppliedStatus::Done));
    assert_eq!(apply(remove(Some("x")), "/etc/many/1"), Ok(AppliedStatus::Unchanged));
    assert_eq!(apply(remove(None), "/etc/loop-a"), Ok(AppliedStatus::Done));
    // What a flag holds is released for its change; a change that is refused for another reason leaves it held.
    assert_eq!(apply(write("y", None, Some("x")), "/etc/many/2"), Ok(AppliedStatus::Done));
    assert!(apply(write("z", None, Some("x")), "/etc/many/2").is_err());
    assert_eq!(apply(remove(Some("x")), "/etc/many/3"), Ok(AppliedStatus::Done));
    assert!(apply(remove(Some("x")), "/etc/pipe").is_err());
    assert_eq!(apply(remove(Some(&"\u{7}".repeat(9 << 20))), "/usr/share/big"), Ok(AppliedStatus::Done));

    // Where no file is: ext4 leaves the first KiB alone.
    let edit = |old: &[u8], new: &[u8]| Action::edit_device(26, old, new);
    assert_eq!(apply(edit(&[0, 0], &[255, 0]), "/dev/sda"), Ok(AppliedStatus::Done));
    assert_eq!(apply(edit(&[0, 0], &[255, 0]), "/dev/sda"), Ok(AppliedStatus::Unchanged));
    let refused = apply(edit(&[0, 0], &[254, 0]), "/dev/sda").unwrap_err();
    assert_eq!(refused.message, "/dev/sda holds other bytes at 26 since the plan was made");
    let refused = apply(edit(&[0], &[1]), "/dev/sdz").unwrap_err();
    assert_eq!(refused.message, "/dev/sdz has gone since the plan was made");
    assert!(apply(edit(&[255, 0], &[1]), "/dev/sda").unwrap_err().message.contains("1 bytes cannot take"));
    guest.discard_unused().unwrap();

    // Everything is on the disk afterwards, and nothing under a temporary name.
    guest.close().unwrap();
    guest.close().unwrap();
    assert!(guest.stat("/never-looked-at/x").unwrap_err().message.contains("the guest was closed"));
    run("qemu-img", &["commit", "-q", "-d", &overlay]);
    let debugfs = |command: &str| run("debugfs", &["-R", command, disk.to_str().unwrap()]);
    assert_eq!(debugfs("cat /etc/default/grub"), "GRUB_TIMEOUT=1\n");
    assert_eq!(debugfs("cat /boot/copy"), "ID=debian\n");
    assert_eq!(debugfs("cat /etc/many/2"), "y");
    assert!(debugfs("stat /etc/many/2").contains("Flags: 0x80010"));
    // A changed file keeps its label, and a new one, and each new folder above it, has that of the folder it is in.
    let label = |path: &str| debugfs(&format!("ea_get {path} security.selinux"));
    assert!(label("/etc/default/grub").contains("\"bootloader_etc_t\""), "{}", label("/etc/default/grub"));
    for path in ["/etc/systemd", "/etc/systemd/network", link, "/etc/dangling"] {
        assert!(label(path).contains("\"etc_t\""), "{path}: {}", label(path));
    }
    assert_eq!(std::fs::read(&disk).unwrap()[24..30], [0, 0, 255, 0, 0, 0]);
    assert!(debugfs("ls -l /etc").lines().all(|line| !line.contains("vmdk2kvm-new")));
    assert!(run("e2fsck", &["-fn", disk.to_str().unwrap()]).contains("files"));
    let after = allocated(&disk);
    assert!(
        after + (8 << 20) < before,
        "the image has {before} bytes and then {after}: what was removed is still there"
    );
}

#[test]
fn reading_leaves_every_byte_as_it_was_and_cancelling_stops_a_call() {
    let folder = tempfile::tempdir().unwrap();
    let disk = image(folder.path(), guest_tree);
    let before = Sha256::digest(std::fs::read(&disk).unwrap());
    let host = FakeHost::new();
    let request = request(&disk, folder.path(), false);
    let (mut mounts, volumes) = open(&request, &Settings::default(), &host.without_settings()).unwrap();
    mounts.take_root(&volumes.volumes[0], "").unwrap();
    let guest = mounts.into_guest(&volumes);
    assert!(guest.read("/etc/fstab", 100).unwrap().is_some());
    let refused = guest.apply(&change(Action::Remove { old_sha256: None }, "/etc/fstab")).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Defect);
    host.cancel();
    let begin = Instant::now();
    assert_eq!(guest.read("/usr/share/big", 10 << 20).unwrap_err().kind, ErrorKind::Interrupted);
    assert!(begin.elapsed() < Duration::from_secs(60));
    drop(guest);
    assert!(before == Sha256::digest(std::fs::read(&disk).unwrap()), "the image was written to");
}

#[test]
fn an_image_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let host = FakeHost::new().without_settings();
    let request = request("/nonexistent.qcow2".as_ref(), folder.path(), false);
    let Err(error) = open(&request, &Settings::default(), &host) else { panic!("it opened nothing") };
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Unusable, "/nonexistent.qcow2: not a file"));
}

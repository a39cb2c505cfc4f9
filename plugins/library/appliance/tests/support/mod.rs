//! Requests, and small images for the tests.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use vmdk2kvm_plugin_api::model::{Action, AttachedDisk, Change, OpenGuest};
use vmdk2kvm_plugin_testing::sample;

/// A request for one raw disk.
pub fn request(disk: &Path, work_dir: &Path, writable: bool) -> OpenGuest {
    let vm = sample::vm("test").with(|vm| {
        vm.disks.clear();
        vm.nics.clear();
    });
    OpenGuest::new(vm, sample::source("disk.raw"), work_dir.display().to_string()).with(|request| {
        request.disks = vec![AttachedDisk::new(disk.display().to_string(), "raw")];
        request.writable = writable;
    })
}

/// A change as a plan would hold it.
pub fn change(action: Action, target: &str) -> Change {
    Change::new(action, target, "", "").with(|it| {
        it.id = "c1".into();
        it.fixer = "test".into();
        it.critical = true;
    })
}

/// An ext4 image, without a partition table, of what `fill` puts into a folder.
pub fn image(folder: &Path, fill: impl FnOnce(&Path)) -> PathBuf {
    let tree = folder.join("tree");
    fs::create_dir(&tree).unwrap();
    fill(&tree);
    let image = folder.join("disk.raw");
    fs::File::create(&image).unwrap().set_len(96 << 20).unwrap();
    run("mke2fs", &["-q", "-t", "ext4", "-d", tree.to_str().unwrap(), image.to_str().unwrap()]);
    image
}

/// Bytes that a file takes on its disk.
pub fn allocated(path: &Path) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}

/// A small Linux with awkward files.
pub fn guest_tree(tree: &Path) {
    file(tree, "etc/fstab", "/dev/sda / ext4 defaults 0 1\n");
    file(tree, "usr/lib/os-release", "ID=debian\n");
    symlink("../usr/lib/os-release", tree.join("etc/os-release")).unwrap();
    file(tree, "usr/share/big", vec![7u8; 9 << 20]);
    file(tree, "etc/default/grub", "GRUB_TIMEOUT=5\n");
    std::fs::create_dir(tree.join("etc/sysconfig")).unwrap();
    symlink("/etc/default/grub", tree.join("etc/sysconfig/grub")).unwrap();
    symlink("../../../../../../etc/fstab", tree.join("etc/outside")).unwrap();
    symlink("/etc/loop-b", tree.join("etc/loop-a")).unwrap();
    symlink("loop-a", tree.join("etc/loop-b")).unwrap();
    symlink("/nowhere/at/all", tree.join("etc/dangling")).unwrap();
    std::fs::set_permissions(tree.join("etc/default/grub"), std::fs::Permissions::from_mode(0o640)).unwrap();
    run("mkfifo", &[tree.join("etc/pipe").to_str().unwrap()]);
    for name in 0..20 {
        file(tree, &format!("etc/many/{name}"), "x");
    }
}

/// Writes a file with its folders.
pub fn file(tree: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = tree.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Runs a program that must succeed; gives its output.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let path = format!("/usr/sbin:/sbin:{}", std::env::var("PATH").unwrap());
    let out = Command::new(program).args(arguments).env("PATH", path).output();
    let out = out.unwrap_or_else(|error| panic!("this test requires {program}: {error}"));
    assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Four disks: an encrypted one with a volume group that has an encrypted volume, a btrfs with a system in `@`, a read-only snapshot,
/// and the halves of a mirror.
pub fn storage_disks(folder: &Path) -> Vec<PathBuf> {
    let disks: Vec<PathBuf> = ["luks", "btrfs", "half1", "half2"].iter().map(|name| folder.join(name)).collect();
    for disk in &disks {
        fs::File::create(disk).unwrap().set_len(192 << 20).unwrap();
    }
    // The appliance's own choice of key derivation takes a minute under emulation.
    let key = folder.join("key");
    fs::write(&key, "secret").unwrap();
    let (luks, key) = (disks[0].to_str().unwrap(), key.to_str().unwrap());
    let inner = folder.join("inner");
    fs::File::create(&inner).unwrap().set_len(20 << 20).unwrap();
    for container in [luks, inner.to_str().unwrap()] {
        run(
            "cryptsetup",
            &["luksFormat", "-q", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", container, key],
        );
    }
    let script = format!(
        "{}run
         luks-open /dev/sda lock keys-come-from-stdin
         pvcreate /dev/mapper/lock
         vgcreate vg-one /dev/mapper/lock
         lvcreate root vg-one 100
         lvcreate data vg-one 32
         lvcreate safe vg-one 32
         upload {} /dev/vg-one/safe
         luks-open /dev/vg-one/safe inner keys-come-from-stdin
         mkfs ext2 /dev/mapper/inner
         mkfs ext4 /dev/vg-one/root
         mkfs ext4 /dev/vg-one/data label:photos
         mount /dev/vg-one/root /
         mkdir /etc
         mkdir /usr
         mkdir-p /lib/modules/6.1
         write /etc/fstab \"/dev/mapper/vg--one-root / ext4 defaults 0 1\\nLABEL=photos /var ext4 defaults 0 2\\n/dev/mapper/safe_crypt /boot ext2 defaults 0 2\\n/dev/md/mirror /usr ext2 defaults 0 2\\n\"
         write /etc/crypttab \"safe_crypt /dev/mapper/vg--one-safe none luks\\n\"
         mkdir /var
         mkdir /boot
         umount /
         mkfs btrfs /dev/sdb
         mount /dev/sdb /
         btrfs-subvolume-create /made
         mkdir-p /made/etc
         mkdir /made/usr
         write /made/etc/os-release \"ID=other\\n\"
         btrfs-subvolume-snapshot /made /@ ro:true
         btrfs-subvolume-delete /made
         umount /
         md-create mirror \"/dev/sdc /dev/sdd\" level:raid1
         mkfs ext2 /dev/md/mirror label:mirrored
         ",
        disks.iter().map(|disk| format!("add {} format:raw\n", disk.display())).collect::<String>(),
        inner.display()
    );
    // The key is read from the line behind the command that wants it.
    guestfish(&script.replace(" keys-come-from-stdin", "\nsecret"));
    disks
}

/// Runs a script in guestfish; keys are read from the lines behind the commands that want them.
pub fn guestfish(script: &str) {
    let mut guestfish = Command::new("guestfish")
        .arg("--keys-from-stdin")
        .env("LIBGUESTFS_BACKEND", "direct")
        .env("LIBGUESTFS_BACKEND_SETTINGS", "force_tcg")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    guestfish.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(guestfish.wait().unwrap().success());
}

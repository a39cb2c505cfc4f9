//! Storage that a partition table does not show: LVM on an encrypted disk, a btrfs subvolume, a mirror, a second system.
//! Requires libguestfs0 with libguestfs-tools (guestfish), cryptsetup-bin, qemu-system-x86.

#[path = "../../library/appliance/tests/support/mod.rs"]
mod support;

use support::{file, image, request, storage_disks};
use vmdk2kvm_appliance::Settings;
use vmdk2kvm_guestfs_offline_linux::open::attach;
use vmdk2kvm_plugin_api::Guest;
use vmdk2kvm_plugin_api::model::{AttachedDisk, Severity};
use vmdk2kvm_plugin_testing::FakeHost;

#[test]
fn containers_are_opened_and_the_root_that_says_so_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let disks = storage_disks(folder.path());
    let host = FakeHost::new().with_secret("wrong", "guess").with_secret("right", "secret\n").without_settings();
    let mut request = request(&disks[0], folder.path(), true);
    request.disks.extend(disks[1..].iter().map(|disk| AttachedDisk::new(disk.display().to_string(), "raw")));
    request.keys =
        vec![("all".into(), "wrong".into()), ("/dev/sda".into(), "right".into()), ("all".into(), "right".into())];
    let (guest, found) = attach(&request, &Settings::default(), &host).unwrap();

    let devices: Vec<(&str, &str)> =
        found.volumes.volumes.iter().map(|volume| (volume.device.as_str(), volume.fstype.as_str())).collect();
    for expected in [
        ("/dev/sda", "crypto_LUKS"),
        ("/dev/mapper/luks0", "LVM2_member"),
        ("/dev/vg-one/root", "ext4"),
        ("/dev/vg-one/data", "ext4"),
        ("/dev/vg-one/safe", "crypto_LUKS"),
        ("/dev/mapper/luks1", "ext2"),
        ("/dev/sdb", "btrfs"),
        ("/dev/sdc", "linux_raid_member"),
        ("/dev/sdd", "linux_raid_member"),
    ] {
        assert!(devices.contains(&expected), "{expected:?} in {devices:?}");
    }
    let mirrored = found.volumes.volumes.iter().find(|volume| volume.label.as_deref() == Some("mirrored"));
    let mirrored = mirrored.unwrap_or_else(|| panic!("{devices:?}")).device.as_str();

    let mounts: Vec<(&str, &str)> =
        found.mounts.iter().map(|mount| (mount.device.as_str(), mount.mountpoint.as_str())).collect();
    let expected =
        [("/dev/vg-one/root", "/"), ("/dev/vg-one/data", "/var"), ("/dev/mapper/luks1", "/boot"), (mirrored, "/usr")];
    assert_eq!(mounts, expected);
    let messages: Vec<&str> = found.findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(messages, ["/dev/sdb holds a system as well; /dev/vg-one/root was taken"]);
    assert!(guest.read("/etc/fstab", 4096).unwrap().unwrap().starts_with(b"/dev/mapper/vg--one-root"));
    guest.close().unwrap();
    drop(guest);

    // The user may say which system it is.
    request.writable = false;
    request.root = Some("/dev/sdb".to_owned());
    let (guest, found) = attach(&request, &Settings::default(), &host).unwrap();
    assert_eq!(found.mounts[0].device, "/dev/sdb");
    let told: Vec<(&str, Severity)> =
        found.findings.iter().map(|finding| (finding.code.as_str(), finding.severity)).collect();
    assert_eq!(told, [("read-only-subvolume", Severity::Block)], "its fixes would fail at the first file");
    drop(guest);

    // Without its disk's key the guest is another one; that the disk is locked is said.
    request.keys.clear();
    request.root = None;
    let (guest, found) = attach(&request, &Settings::default(), &host).unwrap();
    assert_eq!(found.mounts[0].device, "/dev/sdb");
    assert_eq!(guest.read("/etc/os-release", 100).unwrap().unwrap(), b"ID=other\n");
    let finding = &found.findings[0];
    assert_eq!(finding.message, "/dev/sda is encrypted and no given key opens it");
    assert!(finding.hint.starts_with("give its passphrase: --key "), "{}", finding.hint);
}

#[test]
fn disks_without_a_system_and_damaged_ones_are_said_to_be_so() {
    let folder = tempfile::tempdir().unwrap();
    let disk = image(folder.path(), |tree| file(tree, "ostree/repo/config", "[core]\n"));
    let cut = folder.path().join("cut.raw");
    let mut bytes = vec![0u8; 1 << 20];
    bytes[512..520].copy_from_slice(b"EFI PART");
    std::fs::write(&cut, bytes).unwrap();
    let host = FakeHost::new().without_settings();
    let mut request = request(&disk, folder.path(), false);
    let mut second = request.disks[0].clone();
    second.path = cut.display().to_string();
    request.disks.push(second);
    let (_guest, found) = attach(&request, &Settings::default(), &host).unwrap();
    assert!(found.mounts.is_empty());
    let told: Vec<&str> = found.findings.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(told, ["disk-table-damaged", "ostree-system"]);
    assert_eq!(found.volumes.disks.len(), 2);
}

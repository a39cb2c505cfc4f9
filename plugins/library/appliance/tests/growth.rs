//! Larger disks: a root on LVM in an encrypted logical partition of an MBR, and one on btrfs on a GPT, grow layer by layer; everything
//! else about the tables stays.
//! Requires libguestfs0 with libguestfs-tools (guestfish), cryptsetup-bin, fdisk (sfdisk), qemu-system-x86.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use support::{allocated, guestfish, request, run};
use vmdk2kvm_appliance::{Settings, open};
use vmdk2kvm_linux_guest::{FixSettings, fixers};
use vmdk2kvm_offline_guest::Mounter;
use vmdk2kvm_plugin_api::Guest;
use vmdk2kvm_plugin_api::model::{Action, AppliedStatus, FixerPlan, GrowLayer, GrownDisk, OpenGuest, PlanContext};
use vmdk2kvm_plugin_testing::{FakeHost, sample};

const MIB: u64 = 1 << 20;
const OLD: u64 = 1024 * MIB;
const NEW: u64 = 1536 * MIB;

/// A disk with this table, as sfdisk reads it.
fn disk(path: &Path, table: &str) {
    fs::File::create(path).unwrap().set_len(OLD).unwrap();
    let script = path.with_extension("sfdisk");
    fs::write(&script, table).unwrap();
    run("sh", &["-c", "sfdisk -q \"$0\" < \"$1\"", path.to_str().unwrap(), script.to_str().unwrap()]);
}

/// Code of a boot loader, in the first sector and in the gap behind it.
fn put_boot_code(path: &Path) -> Vec<u8> {
    let code: Vec<u8> = (0..MIB as u32 - 512).map(|at| (at % 251) as u8 + 1).collect();
    let disk = fs::File::options().write(true).open(path).unwrap();
    disk.write_all_at(&code[..440], 0).unwrap();
    disk.write_all_at(&code, 512).unwrap();
    code
}

/// The table as text, the sizes of its last partitions and its own end left out.
fn table(path: &Path, grown: &[&str]) -> String {
    let dump = run("sfdisk", &["-d", path.to_str().unwrap()]);
    let line = |line: &str| match line.split_once("size=") {
        _ if line.starts_with("last-lba") => String::new(),
        Some((before, after)) if grown.iter().any(|number| before.contains(&format!("disk{number} "))) => {
            format!("{before}{}", after.split_once(',').unwrap().1)
        }
        _ => line.to_owned(),
    };
    dump.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// What the fixers want for a root on this device.
fn plan(guest: &dyn Guest, root: &str) -> FixerPlan {
    let grow = fixers(&FixSettings::default()).into_iter().find(|fixer| fixer.name() == "linux-grow").unwrap();
    let mut context: PlanContext = sample::linux();
    context.inspection.root = Some(root.to_owned());
    context.grown = vec![GrownDisk::new(0, OLD, NEW)];
    grow.plan(&context, guest).unwrap()
}

/// Makes the disk larger and carries out what is planned: each layer with its device and what it gained, in MiB. Nothing can be, or is
/// to be, discarded.
fn grow(
    path: &Path,
    root: &str,
    request: &OpenGuest,
    settings: &Settings,
    keys: &[(&str, &str)],
) -> Vec<(GrowLayer, String, u64)> {
    fs::File::options().write(true).open(path).unwrap().set_len(NEW).unwrap();
    let before = allocated(path);
    let host = keys.iter().fold(FakeHost::new(), |host, (name, key)| host.with_secret(name, key)).without_settings();
    let (mut mounts, volumes) = open(request, settings, &host).unwrap();
    mounts.take_root(volumes.by_name(root).unwrap(), "").unwrap();
    let guest = &mounts.into_guest(&volumes);
    let first = plan(guest, root);
    assert_eq!(first.findings, []);
    let mut grown = Vec::new();
    for change in &first.changes {
        let applied = guest.apply(change).unwrap();
        assert_eq!(applied.status, AppliedStatus::Done, "{change:?}");
        assert_eq!(guest.apply(change).unwrap().status, AppliedStatus::Unchanged, "{change:?}");
        let Action::Grow { layer, old_bytes, new_bytes } = change.action else { panic!("{change:?}") };
        grown.push((layer, change.target.clone(), (new_bytes - old_bytes) / MIB));
    }
    assert_eq!(plan(guest, root), FixerPlan::default(), "planned again");
    // It is mounted as before, and can be written to.
    assert_eq!(guest.read("/etc/hostname", 100).unwrap().unwrap(), b"grown\n");
    let write = support::change(Action::write_file(None, "x"), "/etc/written");
    assert_eq!(guest.apply(&write).unwrap().status, AppliedStatus::Done);
    // A plan for a disk of another size is refused.
    let mut other = first.changes.last().unwrap().clone();
    other.action = Action::Grow { layer: GrowLayer::Filesystem, old_bytes: 1, new_bytes: NEW * 2 };
    let refused = guest.apply(&other).unwrap_err();
    assert_eq!(refused.message, format!("{root} has another size since the plan was made"));
    guest.discard_unused().unwrap();
    guest.close().unwrap();
    assert!(allocated(path) >= before, "something was discarded");
    grown
}

const SYSTEM: &str = "mkdir /etc
    mkdir /usr
    mkdir-p /lib/modules/6.1
    write /etc/os-release \"ID=debian\\n\"
    write /etc/hostname \"grown\\n\"
    fill 7 64M /waste
    sync
    rm /waste
    umount /
    ";

fn on_lvm_in_an_encrypted_logical_partition(folder: &Path) -> PathBuf {
    let path = folder.join("disk");
    disk(
        &path,
        "label: dos\nlabel-id: 0x1234abcd\nstart=2048,size=20480,type=83,bootable\nstart=24574,size=2072578,type=f\n\
         start=24576,size=40960,type=82\nstart=67584,size=2029568,type=83\n",
    );
    // The header alone is 16 MiB; what is behind it is empty.
    let (part, key) = (folder.join("part"), folder.join("key"));
    fs::File::create(&part).unwrap().set_len(2_029_568 * 512).unwrap();
    fs::write(&key, "secret").unwrap();
    let (name, key) = (part.to_str().unwrap(), key.to_str().unwrap());
    run("cryptsetup", &["luksFormat", "-q", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", name, key]);
    let header = &fs::read(&part).unwrap()[..16 << 20];
    fs::File::options().write(true).open(&path).unwrap().write_all_at(header, 67_584 * 512).unwrap();
    fs::remove_file(&part).unwrap();
    guestfish(&format!(
        "add {} format:raw
         run
         luks-open /dev/sda6 lock\nsecret
         pvcreate /dev/mapper/lock
         vgcreate vg-one /dev/mapper/lock
         lvcreate root vg-one 400
         mkfs xfs /dev/vg-one/root
         mount /dev/vg-one/root /
         {SYSTEM}",
        path.display()
    ));
    path
}

#[test]
fn a_root_on_xfs_on_lvm_in_an_encrypted_logical_partition() {
    let folder = tempfile::tempdir().unwrap();
    let path = on_lvm_in_an_encrypted_logical_partition(folder.path());
    let (code, before) = (put_boot_code(&path), table(&path, &["2", "6"]));
    let mut request = request(&path, folder.path(), true);
    request.keys = vec![("all".into(), "right".into())];
    // What is encrypted passes no discard on, and that is no error.
    let grown = grow(&path, "/dev/vg-one/root", &request, &Settings::default(), &[("right", "secret\n")]);
    let expected = [
        (GrowLayer::Partition, "/dev/sda2", 512),
        (GrowLayer::Partition, "/dev/sda6", 512),
        (GrowLayer::PhysicalVolume, "/dev/mapper/luks0", 512),
        // What was free in the group stays free.
        (GrowLayer::LogicalVolume, "/dev/vg-one/root", 512),
        (GrowLayer::Filesystem, "/dev/vg-one/root", 512),
    ];
    assert_eq!(grown, expected.map(|(layer, device, mib)| (layer, device.to_owned(), mib)));
    assert_eq!(table(&path, &["2", "6"]), before);
    let start = fs::read(&path).unwrap()[..MIB as usize].to_vec();
    assert!(start[..440] == code[..440] && start[512..] == code[..], "the boot loader's code changed");
}

#[test]
fn a_root_on_btrfs_on_a_gpt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    disk(
        &path,
        "label: gpt\nlabel-id: 2E9F1D04-6C77-4B55-A1F3-90D8BB5E7800\n\
         start=2048,size=2048,type=21686148-6449-6E6F-744E-656564454649,uuid=6D1A7C40-52C7-4F0E-9D60-28C07A1B7801\n\
         start=4096,size=2088960,type=L,uuid=7CBA754F-805A-4749-BE8B-100CAE847803,name=\"root fs\",\
         attrs=\"RequiredPartition,LegacyBIOSBootable,GUID:48\"\n",
    );
    guestfish(&format!(
        "add {} format:raw
         run
         mkfs btrfs /dev/sda2
         mount /dev/sda2 /
         {SYSTEM}",
        path.display()
    ));
    let before = table(&path, &["2"]);
    let settings = Settings { discard_unused: false, ..Settings::default() };
    let grown = grow(&path, "/dev/sda2", &request(&path, folder.path(), true), &settings, &[]);
    // The old disk's end, where the backup of the table was, is its own now.
    let expected = [(GrowLayer::Partition, "/dev/sda2", 513), (GrowLayer::Filesystem, "/dev/sda2", 513)];
    assert_eq!(grown, expected.map(|(layer, device, mib)| (layer, device.to_owned(), mib)));
    assert_eq!(table(&path, &["2"]), before);
    assert!(run("sfdisk", &["--verify", path.to_str().unwrap()]).contains("No errors detected"));
}

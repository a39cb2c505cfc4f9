//! What grows in which layout, and why not: disks of 4 GiB that were made 6 GiB.

use super::*;

const GIB: u64 = 1 << 30;

fn device(name: &str, size_bytes: u64, layer: Layer, fstype: &str, used_bytes: u64) -> StorageDevice {
    let fstype = (!fstype.is_empty()).then(|| fstype.to_owned());
    StorageDevice::new(name.to_owned(), size_bytes, layer).with(|it| {
        it.fstype = fstype;
        it.used_bytes = used_bytes;
    })
}

/// `/dev/sda` (`index` 0), `/dev/sdb`...
fn disk(index: u32, table: &str, size: u64) -> StorageDevice {
    let name = format!("/dev/sd{}", char::from(b'a' + index as u8));
    device(&name, size, Layer::Disk { index, table: table.to_owned() }, "", 0)
}

/// A partition from and to MiB of its disk, whose filesystem fills it.
fn part(name: &str, from: u64, to: u64, fstype: &str) -> StorageDevice {
    let (number, size) = (name[8..].parse::<u32>().unwrap(), (to - from) * MIB);
    let role = match number {
        _ if fstype == "extended" => PartitionRole::Extended,
        5.. => PartitionRole::Logical,
        _ => PartitionRole::Primary,
    };
    let layer = Layer::Partition { on: name[..8].to_owned(), start_bytes: from * MIB, role };
    device(name, size, layer, if fstype == "extended" { "" } else { fstype }, size)
}

/// A physical volume of extents of 4 MiB behind 1 MiB.
fn physical(mut on: StorageDevice) -> StorageDevice {
    on.fstype = Some("LVM2_member".to_owned());
    on.unit_bytes = 4 * MIB;
    on.used_bytes = (on.size_bytes - MIB) / on.unit_bytes * on.unit_bytes + MIB;
    on
}

fn volume(on: &[&str], size: u64, linear: bool) -> StorageDevice {
    let on = on.iter().map(|&name| name.to_owned()).collect();
    device("/dev/vg/root", size, Layer::LogicalVolume { on, linear }, "ext4", size)
}

fn container(on: &str, size: u64, fstype: &str) -> StorageDevice {
    device("/dev/mapper/luks0", size, Layer::Container { on: on.to_owned() }, fstype, size)
}

fn plan(devices: &[StorageDevice], root: &str, disks: &[u32]) -> FixerPlan {
    let grown: Vec<GrownDisk> = disks.iter().map(|&index| GrownDisk::new(index, 4 * GIB, 6 * GIB)).collect();
    decide(&Storage::new(devices.to_vec()), root, &grown).unwrap()
}

/// Each change as `LAYER DEVICE +MIB`.
fn changes(plan: &FixerPlan) -> Vec<String> {
    let line = |change: &Change| match change.action {
        Action::Grow { layer, old_bytes, new_bytes } => {
            assert!(change.critical && new_bytes > old_bytes);
            format!("{layer:?} {} +{}", change.target, (new_bytes - old_bytes) / MIB)
        }
        _ => panic!("{change:?}"),
    };
    plan.changes.iter().map(line).collect()
}

/// The devices as they are after these changes, the way a guest would tell.
fn apply(devices: &[StorageDevice], plan: &FixerPlan) -> Vec<StorageDevice> {
    let mut after = devices.to_vec();
    for change in &plan.changes {
        let Action::Grow { layer, new_bytes, .. } = change.action else { panic!("{change:?}") };
        let mut above = vec![change.target.clone()];
        let one = after.iter_mut().find(|one| one.device == change.target).unwrap();
        match layer {
            GrowLayer::Partition | GrowLayer::LogicalVolume => {
                let gain = new_bytes - one.size_bytes;
                one.size_bytes = new_bytes;
                // A container follows by itself.
                while let Some(below) = above.pop() {
                    let is_on =
                        |one: &&mut StorageDevice| matches!(&one.layer, Layer::Container { on } if *on == below);
                    for one in after.iter_mut().filter(is_on) {
                        one.size_bytes += gain;
                        above.push(one.device.clone());
                    }
                }
            }
            _ => one.used_bytes = new_bytes,
        }
    }
    after
}

#[test]
fn layouts_in_which_the_root_grows() {
    let extents = 4 * GIB - 516 * MIB;
    let cases: Vec<(&str, Vec<StorageDevice>, &str, &[&str])> = vec![
        (
            "the last partition of an MBR",
            vec![disk(0, "mbr", 6 * GIB), part("/dev/sda1", 1, 4096, "ext4")],
            "/dev/sda1",
            &["Partition /dev/sda1 +2048", "Filesystem /dev/sda1 +2048"],
        ),
        (
            "the last place on the disk, with the first number",
            vec![disk(0, "gpt", 6 * GIB), part("/dev/sda1", 128, 4095, "xfs"), part("/dev/sda9", 4, 128, "vfat")],
            "/dev/sda1",
            &["Partition /dev/sda1 +2048", "Filesystem /dev/sda1 +2048"],
        ),
        (
            "a logical one: the extended one first",
            vec![
                disk(0, "mbr", 6 * GIB),
                part("/dev/sda1", 1, 500, "ext4"),
                part("/dev/sda2", 500, 4096, "extended"),
                part("/dev/sda5", 501, 900, "swap"),
                part("/dev/sda6", 901, 4090, "btrfs"),
            ],
            "/dev/sda6",
            &["Partition /dev/sda2 +2048", "Partition /dev/sda6 +2054", "Filesystem /dev/sda6 +2054"],
        ),
        (
            "the whole disk",
            vec![device("/dev/sda", 6 * GIB, Layer::Disk { index: 0, table: "none".into() }, "ext4", 4 * GIB)],
            "/dev/sda",
            &["Filesystem /dev/sda +2048"],
        ),
        (
            "a volume group",
            vec![
                disk(0, "gpt", 6 * GIB),
                part("/dev/sda1", 1, 513, "vfat"),
                physical(part("/dev/sda2", 513, 4095, "")),
                volume(&["/dev/sda2"], extents, true),
            ],
            "/dev/vg/root",
            &[
                "Partition /dev/sda2 +2048",
                "PhysicalVolume /dev/sda2 +2048",
                "LogicalVolume /dev/vg/root +2048",
                "Filesystem /dev/vg/root +2048",
            ],
        ),
        (
            "a volume group over two disks, of which the second grew",
            vec![
                disk(0, "mbr", 4 * GIB),
                physical(part("/dev/sda2", 513, 3000, "")),
                disk(1, "none", 6 * GIB),
                physical(part("/dev/sdb1", 1, 4095, "")),
                volume(&["/dev/sda2", "/dev/sdb1"], 7 * GIB, true),
            ],
            "/dev/vg/root",
            &[
                "Partition /dev/sdb1 +2049",
                "PhysicalVolume /dev/sdb1 +2048",
                "LogicalVolume /dev/vg/root +2048",
                "Filesystem /dev/vg/root +2048",
            ],
        ),
        (
            "an encrypted partition",
            vec![
                disk(0, "gpt", 6 * GIB),
                part("/dev/sda3", 600, 4095, "crypto_LUKS"),
                container("/dev/sda3", 3479 * MIB, "ext4"),
            ],
            "/dev/mapper/luks0",
            &["Partition /dev/sda3 +2048", "Filesystem /dev/mapper/luks0 +2048"],
        ),
        (
            "a volume group in an encrypted partition",
            vec![
                disk(0, "mbr", 6 * GIB),
                part("/dev/sda2", 500, 4096, "extended"),
                part("/dev/sda5", 501, 4096, "crypto_LUKS"),
                physical(container("/dev/sda5", 3579 * MIB, "")),
                volume(&["/dev/mapper/luks0"], GIB, true),
            ],
            "/dev/vg/root",
            &[
                "Partition /dev/sda2 +2048",
                "Partition /dev/sda5 +2048",
                "PhysicalVolume /dev/mapper/luks0 +2048",
                "LogicalVolume /dev/vg/root +2048",
                "Filesystem /dev/vg/root +2048",
            ],
        ),
        (
            "an encrypted logical volume",
            vec![
                disk(0, "gpt", 6 * GIB),
                physical(part("/dev/sda2", 513, 4095, "")),
                volume(&["/dev/sda2"], GIB, true).with(|it| it.fstype = Some("crypto_LUKS".into())),
                container("/dev/vg/root", GIB - 16 * MIB, "xfs"),
            ],
            "/dev/mapper/luks0",
            &[
                "Partition /dev/sda2 +2048",
                "PhysicalVolume /dev/sda2 +2048",
                "LogicalVolume /dev/vg/root +2048",
                "Filesystem /dev/mapper/luks0 +2048",
            ],
        ),
    ];
    for (what, devices, root, expected) in cases {
        let first = plan(&devices, root, if what.contains("second") { &[1] } else { &[0] });
        assert_eq!(changes(&first), expected, "{what}");
        assert_eq!(first.findings, [], "{what}");
        let again = plan(&apply(&devices, &first), root, if what.contains("second") { &[1] } else { &[0] });
        assert_eq!(again, FixerPlan::default(), "{what}, planned again");
        // Room that nobody asked for is left alone.
        assert_eq!(plan(&devices, root, &[]), FixerPlan::default(), "{what}, not asked for");
    }
}

#[test]
fn layouts_in_which_nothing_grows_and_why() {
    let root = || part("/dev/sda1", 1, 3000, "ext4");
    let cases: Vec<(Vec<StorageDevice>, &str, &str)> = vec![
        (
            vec![],
            "/dev/sda1",
            "the storage below this guest's filesystems is unknown: nothing on its larger disk can grow",
        ),
        (
            vec![disk(0, "mbr", 6 * GIB)],
            "/dev/md0",
            "the storage below /dev/md0 is unknown: nothing on its larger disk can grow",
        ),
        (
            vec![disk(0, "gpt", 6 * GIB), root(), part("/dev/sda2", 3000, 4000, "swap")],
            "/dev/sda1",
            "/dev/sda1 cannot grow into the new space: /dev/sda2 (swap) follows it on the disk",
        ),
        (
            vec![
                disk(0, "mbr", 6 * GIB),
                root(),
                part("/dev/sda2", 3000, 4096, "extended"),
                part("/dev/sda5", 3001, 4096, "swap"),
            ],
            "/dev/sda1",
            "/dev/sda1 cannot grow into the new space: the extended partition /dev/sda2 follows it on the disk",
        ),
        (
            vec![
                disk(0, "mbr", 6 * GIB),
                part("/dev/sda2", 100, 4096, "extended"),
                part("/dev/sda5", 101, 3000, "ext4"),
                part("/dev/sda6", 3001, 4096, ""),
            ],
            "/dev/sda5",
            "/dev/sda5 cannot grow into the new space: /dev/sda6 follows it on the disk",
        ),
        (
            vec![disk(0, "gpt", 6 * GIB), part("/dev/sda1", 1, 4000, "f2fs")],
            "/dev/sda1",
            "/dev/sda1 has a filesystem of the type f2fs, which is not grown",
        ),
        (
            vec![disk(0, "gpt", 6 * GIB), part("/dev/sda1", 1, 4000, "btrfs").with(|it| it.used_bytes = 9 * GIB)],
            "/dev/sda1",
            "the filesystem of /dev/sda1 is on several devices, and is not grown",
        ),
        (
            vec![
                disk(0, "gpt", 6 * GIB),
                physical(part("/dev/sda2", 513, 4095, "")),
                volume(&["/dev/sda2"], GIB, false),
            ],
            "/dev/vg/root",
            "/dev/vg/root is no plain logical volume, or has snapshots, and is not grown",
        ),
        (
            vec![disk(0, "gpt", 6 * GIB), device("/dev/md127", GIB, Layer::Array, "ext4", GIB)],
            "/dev/md127",
            "the root is on the array /dev/md127, which is not grown",
        ),
        (
            vec![disk(0, "gpt", 6 * GIB), disk(1, "gpt", GIB), part("/dev/sdb1", 1, 1000, "ext4")],
            "/dev/sdb1",
            "disk 1 is larger now, and /dev/sdb1 is not on it",
        ),
        (
            vec![disk(0, "mbr", 4100 * MIB), part("/dev/sda1", 1, 4096, "ext4")],
            "/dev/sda1",
            "/dev/sda1 could grow by less than 16 MiB, and keeps its size",
        ),
        (
            vec![disk(0, "mbr", 3 << 40), part("/dev/sda1", 1, (2 << 20) - 1, "ext4")],
            "/dev/sda1",
            "/dev/sda: its MBR reaches no further than 2 TiB, and what is behind stays unused",
        ),
    ];
    for (devices, root, said) in cases {
        let plan = plan(&devices, root, &[0]);
        assert_eq!(changes(&plan), [""; 0], "{said}");
        let messages: Vec<&str> = plan.findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(messages, [said]);
        assert!(plan.findings.iter().all(|finding| finding.severity == Severity::Warn && !finding.hint.is_empty()));
    }
}

/// A guest's own answer is another plugin's: a ring is an error, no endless walk.
#[test]
fn a_ring_of_devices_is_refused() {
    let ring = [
        device("/dev/mapper/a", GIB, Layer::Container { on: "/dev/mapper/b".into() }, "ext4", GIB),
        device("/dev/mapper/b", GIB, Layer::Container { on: "/dev/mapper/a".into() }, "", 0),
    ];
    let grown = [GrownDisk::new(0, 1, 2)];
    let error = decide(&Storage::new(ring.to_vec()), "/dev/mapper/a", &grown).unwrap_err();
    assert_eq!(error.message, "/dev/mapper/a lies on more than 8 layers");
}

#[test]
fn what_grows_has_room_for_what_the_others_write() {
    let mount = |device: &str, mountpoint: &str| {
        MountInfo::default().with(|it| {
            it.device = device.to_owned();
            it.mountpoint = mountpoint.to_owned();
            it.free_bytes = Some(MIB);
            it.free_inodes = Some(3);
        })
    };
    let storage = Storage::new(vec![disk(0, "gpt", 6 * GIB), part("/dev/sda1", 1, 4095, "ext4")]);
    let grown = [GrownDisk::new(0, 4 * GIB, 6 * GIB)];
    let changes = decide(&storage, "/dev/sda1", &grown).unwrap().changes;
    let mounts = with_room(&[mount("/dev/sda1", "/"), mount("/dev/sdb1", "/boot")], &changes);
    assert!(mounts[0].free_bytes.is_some_and(|free| free > 17 * GIB / 10 && free < 2 * GIB), "{mounts:?}");
    assert_eq!((mounts[0].free_inodes, mounts[1].free_bytes, mounts[1].free_inodes), (None, Some(MIB), Some(3)));
}

//! What a running guest's filesystems lie on, and which of them it has mounted: from the kernel's mount table and from udev's database.

use std::collections::BTreeMap;

use vmdk2kvm_linux_guest::{DiskLayout, logical_volume};
use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{Firmware, GuestBlockDevice, GuestDiskInfo, MountInfo};

use super::shell::{Shell, parameters};

/// Mounts and devices of a machine with thousands of them, in bytes.
const LIMIT: usize = 32 << 20;
/// Sectors of sysfs, in bytes (Documentation/ABI/stable/sysfs-block).
const SECTOR: u64 = 512;
/// No disk gets a letter beyond this by a hole in the row.
const DISKS: usize = 1024;

/// `M` and a line of the mount table; `B` and a device's own numbers, behind it what udev says of it (`S:` links, `E:` properties) or blkid.
/// Without a cache, which blkid would write.
const BLOCKS: &str = r#"sed 's/^/M /' /proc/self/mountinfo
for at in /sys/class/block/*; do
name=${at##*/}
case $name in \*|loop*|ram*|zram*|fd*|sr*|nbd*) continue;; esac
part=0 size=0 start=0 dev=0:0 map=
[ -e "$at/partition" ] && read -r part <"$at/partition"
[ -e "$at/start" ] && read -r start <"$at/start"
[ -e "$at/dm/name" ] && read -r map <"$at/dm/name"
read -r size <"$at/size"; read -r dev <"$at/dev"
real=$(readlink -f "$at"); above=${real%/*}
echo "B $name $dev $size $part $start ${above##*/} $map"
udevadm info --query=all --name="/dev/$name" || blkid -c /dev/null -o export "/dev/$name"
done"#;
/// Size of a block, free blocks, free inodes, of each mount point.
const FREE: &str = r#"for f do stat -f -c '%S %a %d' -- "$f" || echo - - -; done"#;

/// A line of the mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub device: String,
    pub mountpoint: String,
    pub fstype: String,
    pub is_read_only: bool,
    uuid: Option<String>,
}

/// What is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// All that is mounted from a device or is the root, the root first.
    pub mounts: Vec<Mount>,
    pub disks: Vec<GuestDiskInfo>,
}

impl Layout {
    /// Asks the guest.
    pub fn read(shell: &Shell) -> Result<Self> {
        Ok(parse(&shell.ask(BLOCKS, LIMIT)?.text()))
    }

    /// For the inspection.
    pub fn disk_layout(&self, firmware: Firmware, shell: &Shell) -> Result<DiskLayout> {
        let of_devices: Vec<&Mount> = self.mounts.iter().filter(|mount| mount.device.starts_with("/dev/")).collect();
        let script = parameters(of_devices.iter().map(|mount| mount.mountpoint.as_str()))? + FREE;
        let free = if of_devices.is_empty() { String::new() } else { shell.ask(&script, LIMIT)?.text() };
        let mut lines = free.lines();
        let mounts: Vec<MountInfo> = of_devices
            .iter()
            .map(|mount| {
                let numbers: Vec<Option<u64>> =
                    lines.next().unwrap_or_default().split(' ').map(|word| word.parse().ok()).collect();
                MountInfo::new(&mount.device, &mount.mountpoint, &mount.fstype).with(|it| {
                    it.uuid.clone_from(&mount.uuid);
                    if let [Some(block), Some(blocks), inodes] = numbers[..] {
                        it.free_bytes = block.checked_mul(blocks);
                        // btrfs makes inodes as it needs them and says 0.
                        it.free_inodes = inodes.filter(|inodes| *inodes > 0);
                    }
                })
            })
            .collect();
        let root = mounts.iter().find(|mount| mount.mountpoint == "/").map(|mount| mount.device.clone());
        Ok(DiskLayout { firmware: Some(firmware), root, mounts, disks: self.disks.clone() })
    }
}

/// A block device as the kernel and udev describe it.
#[derive(Debug, Clone, Default)]
struct Block {
    name: String,
    number: String,
    sectors: u64,
    partition: u32,
    start: u64,
    above: String,
    map: String,
    links: Vec<String>,
    properties: BTreeMap<String, String>,
}

impl Block {
    /// By the name that configuration has for it.
    fn device(&self) -> String {
        if self.map.is_empty() {
            return format!("/dev/{}", self.name);
        }
        let mapper = format!("/dev/mapper/{}", self.map);
        logical_volume(&mapper).unwrap_or(mapper)
    }

    /// By udev's name of a property, or by blkid's.
    fn property(&self, of_udev: &str, of_blkid: &str) -> Option<String> {
        self.properties.get(of_udev).or_else(|| self.properties.get(of_blkid)).filter(|text| !text.is_empty()).cloned()
    }

    fn described(&self) -> GuestBlockDevice {
        let hardware = |link: &&String| link.starts_with("/dev/disk/by-path/") || link.starts_with("/dev/disk/by-id/");
        GuestBlockDevice::new(self.device(), self.partition).with(|it| {
            it.fstype = self.property("ID_FS_TYPE", "TYPE");
            it.uuid = self.property("ID_FS_UUID", "UUID");
            it.label = self.property("ID_FS_LABEL_ENC", "LABEL");
            it.partuuid = self.property("ID_PART_ENTRY_UUID", "PARTUUID");
            it.partlabel = self.property("ID_PART_ENTRY_NAME", "PARTLABEL");
            it.parttype = self.property("ID_PART_ENTRY_TYPE", "PART_ENTRY_TYPE");
            it.start_bytes = (self.partition > 0).then(|| self.start.saturating_mul(SECTOR));
            it.links = self.links.iter().filter(hardware).cloned().collect();
        })
    }
}

fn parse(text: &str) -> Layout {
    let mut lines = Vec::new();
    let mut blocks: Vec<Block> = Vec::new();
    for line in text.lines() {
        if let Some(mount) = line.strip_prefix("M ") {
            lines.push(mount);
        } else if let Some(block) = line.strip_prefix("B ").and_then(block) {
            blocks.push(block);
        } else if let Some(last) = blocks.last_mut() {
            if let Some(link) = line.strip_prefix("S: ") {
                last.links.push(format!("/dev/{link}"));
            } else if let Some((key, value)) = line.strip_prefix("E: ").unwrap_or(line).split_once('=') {
                last.properties.insert(key.to_owned(), decoded(value));
            }
        }
    }
    let mut mounts: Vec<Mount> = Vec::new();
    for mount in lines.iter().filter_map(|line| mount(line, &blocks)) {
        // What is mounted over another hides it.
        mounts.retain(|before| before.mountpoint != mount.mountpoint);
        mounts.push(mount);
    }
    mounts.sort_by_key(|mount| mount.mountpoint != "/");
    Layout { mounts, disks: disks(&blocks) }
}

/// `sda1 8:1 2048 1 34 sda NAME`.
fn block(line: &str) -> Option<Block> {
    let mut words = line.splitn(7, ' ');
    let mut word = || words.next().map(str::to_owned);
    Some(Block {
        name: word()?,
        number: word()?,
        sectors: word()?.parse().ok()?,
        partition: word()?.parse().ok()?,
        start: word()?.parse().ok()?,
        above: word()?,
        map: word().unwrap_or_default(),
        ..Block::default()
    })
}

/// A line of the mount table (proc(5), `/proc/PID/mountinfo`), as far as it is of a device or of the root.
fn mount(line: &str, blocks: &[Block]) -> Option<Mount> {
    let (fixed, rest) = line.split_once(" - ")?;
    let mut words = fixed.split(' ').skip(2);
    let (number, within, place, options) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let mut rest = rest.split(' ');
    let (fstype, source, super_options) = (rest.next()?, rest.next()?, rest.next().unwrap_or_default());
    let mountpoint = unescaped(place);
    let block = blocks.iter().find(|block| block.number == number);
    let named = || blocks.iter().find(|block| format!("/dev/{}", block.name) == source || block.device() == source);
    // btrfs and its like have numbers of their own.
    let block = block.or_else(named);
    let is_of_device = block.is_some() || source.starts_with("/dev/");
    // A folder that is bound elsewhere is no filesystem of its own; a subvolume is.
    let is_bound = within != "/" && fstype != "btrfs";
    if mountpoint != "/" && (!is_of_device || is_bound) {
        return None;
    }
    let has = |options: &str, word: &str| options.split(',').any(|option| option == word);
    Some(Mount {
        device: block.map_or_else(|| unescaped(source), Block::device),
        mountpoint,
        fstype: fstype.to_owned(),
        is_read_only: has(options, "ro") || has(super_options, "ro"),
        uuid: block.and_then(|block| block.property("ID_FS_UUID", "UUID")),
    })
}

/// The disks in the order of their names, each with its partitions. A letter that no disk has is one without anything on it: configuration
/// that names disks by letter counts it.
fn disks(blocks: &[Block]) -> Vec<GuestDiskInfo> {
    let prefixes = ["sd", "vd", "xvd", "hd", "nvme", "mmcblk"];
    let is_disk = |block: &&Block| block.partition == 0 && prefixes.iter().any(|prefix| block.name.starts_with(prefix));
    let rank = |name: &str| (prefixes.iter().position(|prefix| name.starts_with(prefix)), name.len(), name.to_owned());
    let mut whole: Vec<&Block> = blocks.iter().filter(is_disk).collect();
    whole.sort_by_key(|block| rank(&block.name));
    let mut found: Vec<GuestDiskInfo> = Vec::new();
    for block in whole {
        let next = |found: &[GuestDiskInfo]| u32::try_from(found.len()).unwrap_or(u32::MAX);
        if let Some(letter) = letter(&block.name) {
            while found.len() < letter && found.len() < DISKS {
                found.push(GuestDiskInfo::new(next(&found), 0, "none"));
            }
        }
        let table = match block.property("ID_PART_TABLE_TYPE", "PTTYPE").as_deref() {
            Some("gpt") => "gpt",
            Some("dos") => "mbr",
            _ => "none",
        };
        let partitions = blocks.iter().filter(|part| part.partition > 0 && part.above == block.name);
        let mut devices: Vec<GuestBlockDevice> =
            std::iter::once(block).chain(partitions).map(Block::described).collect();
        devices.sort_by_key(|device| device.partition);
        let bytes = block.sectors.saturating_mul(SECTOR);
        found.push(GuestDiskInfo::new(next(&found), bytes, table).with(|it| it.devices = devices));
    }
    found
}

/// The number of `sda`, `sdb`, ..., from 0.
fn letter(name: &str) -> Option<usize> {
    let letters = name.strip_prefix("sd").filter(|rest| (1..=3).contains(&rest.len()))?;
    letters
        .bytes()
        .try_fold(0, |number, letter| letter.is_ascii_lowercase().then(|| number * 26 + usize::from(letter - b'a') + 1))
        .map(|number| number - 1)
}

/// Octal numbers behind backslashes, of the mount table.
fn unescaped(text: &str) -> String {
    numbers(text, |rest| {
        let value = u8::from_str_radix(rest.get(..3)?, 8).ok()?;
        Some((value, 3))
    })
}

/// Hexadecimal numbers behind `\x`, of udev, and single letters behind backslashes, of blkid.
fn decoded(text: &str) -> String {
    numbers(text, |rest| match rest.strip_prefix('x') {
        Some(digits) => Some((u8::from_str_radix(digits.get(..2)?, 16).ok()?, 3)),
        None => Some((*rest.as_bytes().first()?, 1)),
    })
}

fn numbers(text: &str, number: impl Fn(&str) -> Option<(u8, usize)>) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((before, behind)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        match number(behind).filter(|(_, length)| behind.is_char_boundary(*length)) {
            Some((byte, length)) => {
                bytes.push(byte);
                rest = &behind[length..];
            }
            None => {
                bytes.push(b'\\');
                rest = behind;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "M 24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw,errors=remount-ro\n\
        M 25 24 0:22 / /proc rw - proc proc rw\n\
        M 26 24 253:0 / /srv/a\\040b ro - xfs /dev/mapper/vg-a--b rw\n\
        M 27 24 8:1 /var/x /bound rw - ext4 /dev/sda1 rw\n\
        B dm-0 253:0 100 0 0 block vg-a--b\nS: vg/a-b\nE: ID_FS_UUID=u-lv\nE: ID_FS_TYPE=xfs\n\
        B sda 8:0 8388608 0 0 block \nS: disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0\nE: ID_PART_TABLE_TYPE=dos\n\
        B sda1 8:1 8384512 1 2048 sda \nS: disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1\nS: disk/by-uuid/u-root\n\
        E: ID_FS_UUID=u-root\nE: ID_FS_TYPE=ext4\nE: ID_FS_LABEL_ENC=my\\x20root\nE: ID_PART_ENTRY_UUID=p-1\n\
        B sdc 8:32 2048 0 0 block \nDEVNAME=/dev/sdc\nUUID=u-c\nLABEL=a\\ b\nTYPE=ext4\n";

    #[test]
    fn disks_by_letter_and_mounts_by_device() {
        let layout = parse(SAID);
        let mounts: Vec<_> = layout
            .mounts
            .iter()
            .map(|mount| (mount.device.as_str(), mount.mountpoint.as_str(), mount.is_read_only, mount.uuid.as_deref()))
            .collect();
        assert_eq!(
            mounts,
            [("/dev/sda1", "/", false, Some("u-root")), ("/dev/vg/a-b", "/srv/a b", true, Some("u-lv"))]
        );
        let tables: Vec<_> =
            layout.disks.iter().map(|disk| (disk.index, disk.table.as_str(), disk.size_bytes)).collect();
        assert_eq!(tables, [(0, "mbr", 4 << 30), (1, "none", 0), (2, "none", 1 << 20)]);
        let root = &layout.disks[0].devices[1];
        assert_eq!((root.device.as_str(), root.label.as_deref()), ("/dev/sda1", Some("my root")));
        assert_eq!((root.partuuid.as_deref(), root.start_bytes), (Some("p-1"), Some(1 << 20)));
        assert_eq!(root.links, ["/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1"]);
        let other = &layout.disks[2].devices[0];
        assert_eq!((other.uuid.as_deref(), other.label.as_deref()), (Some("u-c"), Some("a b")));
    }

    #[test]
    fn nonsense_is_nothing() {
        for text in ["", "M x\nB sda\nE: a=b\nS: c\n", "B sdzzzz 1:1 1 0 0 block \n", "M 1 2 3 4 - \n"] {
            assert!(parse(text).mounts.is_empty(), "{text}");
        }
        assert_eq!(parse("B sdzz 1:1 1 0 0 block \n").disks.len(), 702);
        assert_eq!((unescaped("a\\040\\9é\\"), decoded("\\x2fa\\é\\")), ("a \\9é\\".to_owned(), "/a\\é\\".to_owned()));
    }
}

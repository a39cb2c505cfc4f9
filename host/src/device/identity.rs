//! What a device is, whatever it is called today.

use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};

/// Where the kernel tells of a device what sets it apart (Linux, Documentation/ABI: sysfs-block, sysfs-block-dm, sysfs-block-loop).
const NAMES: [&str; 6] = ["dm/uuid", "wwid", "device/wwid", "device/serial", "serial", "md/uuid"];

/// The folder in which the kernel tells of the device of this number.
pub(super) fn folder(number: u64) -> PathBuf {
    PathBuf::from(format!("/sys/dev/block/{}:{}", major(number), minor(number)))
}

/// A text that is another one for another device: by what its hardware or its mapping says. For a device that says nothing the number it
/// has until the machine is started again.
pub(super) fn identity(number: u64) -> String {
    let of = |folder: &Path, name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).ok()?.trim().to_owned();
        (!text.is_empty()).then_some(text)
    };
    let folder = folder(number);
    let (disk, part) = match of(&folder, "partition") {
        // The disk's folder holds those of its partitions.
        Some(part) => (folder.canonicalize().ok().and_then(|it| Some(it.parent()?.to_owned())).unwrap_or(folder), part),
        None => (folder, "whole".to_owned()),
    };
    let says = NAMES.iter().find_map(|name| Some(format!("{name} {}", of(&disk, name)?)));
    let says = says.unwrap_or_else(|| {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let backing = of(&disk, "loop/backing_file").unwrap_or_default();
        format!("{} since {} {backing}", number, boot.trim())
    });
    format!("{says}, {part}")
}

//! Random sparse disks, written by qemu-img in every format and subformat that it writes, come back from the whole program as they were.
//!
//! Requires qemu-img (Debian: qemu-utils).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use vmdk2kvm_tests::run;

/// Format, extension and options; what begins with `-c` is compressed.
const FORMATS: [(&str, &str, &str); 17] = [
    ("vmdk", "vmdk", "subformat=monolithicSparse"),
    ("vmdk", "vmdk", "subformat=monolithicFlat"),
    ("vmdk", "vmdk", "subformat=twoGbMaxExtentSparse"),
    ("vmdk", "vmdk", "subformat=twoGbMaxExtentFlat"),
    ("vmdk", "vmdk", "subformat=streamOptimized"),
    ("vpc", "vhd", "subformat=fixed,force_size=on"),
    ("vpc", "vhd", "subformat=dynamic,force_size=on"),
    ("vdi", "vdi", "static=off"),
    ("vdi", "vdi", "static=on"),
    ("vhdx", "vhdx", "subformat=dynamic"),
    ("vhdx", "vhdx", "subformat=fixed"),
    ("qcow2", "qcow2", "compat=0.10"),
    ("qcow2", "qcow2", "compat=1.1,cluster_size=4096"),
    ("qcow2", "qcow2", "compat=1.1,extended_l2=on"),
    ("qcow2", "qcow2", "-c compat=1.1,compression_type=zlib"),
    ("qcow2", "qcow2", "-c compat=1.1,compression_type=zstd"),
    ("raw", "raw", ""),
];

/// How many disks.
const DISKS: u64 = 4;

/// xorshift64: the same disks on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// Bytes of which some compress and some do not.
    fn bytes(&mut self, count: u64) -> Vec<u8> {
        let mask = [u64::MAX, 0x00ff_00ff_00ff_00ff, 0x0101_0101_0101_0101][self.below(3) as usize];
        (0..count.div_ceil(8)).flat_map(|_| (self.below(u64::MAX) & mask).to_le_bytes()).take(count as usize).collect()
    }
}

/// A disk of any number of sectors, with data in any places.
fn write_disk(path: &Path, random: &mut Random) {
    let size = (1 + random.below(80_000)) * 512;
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    for _ in 0..random.below(20) {
        let offset = random.below(size);
        let longest = 1 << random.below(21);
        let length = (1 + random.below(longest)).min(size - offset);
        file.write_all_at(&random.bytes(length), offset).unwrap();
    }
}

#[test]
fn random_disks_come_back_from_every_format_that_qemu_writes() {
    for number in 0..DISKS {
        let mut random = Random(0x9e37_79b9 + number);
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("disk");
        write_disk(&disk, &mut random);
        let expected = std::fs::read(&disk).unwrap();
        for (at, (format, extension, options)) in FORMATS.iter().enumerate() {
            let place = folder.path().join(at.to_string());
            std::fs::create_dir(&place).unwrap();
            let image = place.join(format!("image.{extension}"));
            let mut convert = Command::new("qemu-img");
            convert.args(["convert", "-f", "raw", "-O", format]);
            let options = options.strip_prefix("-c ").map_or(*options, |rest| {
                convert.arg("-c");
                rest
            });
            if !options.is_empty() {
                convert.args(["-o", options]);
            }
            assert!(convert.arg(&disk).arg(&image).status().expect("qemu-img (package qemu-utils)").success());
            let output = place.join("out");
            let arguments = ["flatten", image.to_str().unwrap(), "-o", output.to_str().unwrap(), "--format", "raw"];
            let report = run(&arguments).expect(0).json;
            let found = std::fs::read(output.join(report["images"][0]["path"].as_str().unwrap())).unwrap();
            assert_eq!(found.len(), expected.len(), "disk {number} as {format} with {options}");
            assert!(found == expected, "disk {number} as {format} with {options}");
            std::fs::remove_dir_all(place).unwrap();
        }
    }
}

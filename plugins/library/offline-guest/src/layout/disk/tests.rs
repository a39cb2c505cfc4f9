//! Tables and superblocks made by the real tools, in sparse files.
//! Requires fdisk (sfdisk), e2fsprogs, dosfstools, btrfs-progs, ntfs-3g, cryptsetup-bin, all but the first of which libguestfs0
//! brings; a tool that is not there fails its test by name. What libguestfs0 does not bring is made by hand.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

struct Image {
    file: File,
    reads: u32,
}

impl ReadDevice for Image {
    fn read(&mut self, offset: u64, length: u32) -> Result<Vec<u8>> {
        self.reads += 1;
        let size = self.file.metadata().unwrap().len();
        let length = u64::from(length).min(size.saturating_sub(offset));
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        self.file.read_exact_at(&mut bytes, offset).unwrap();
        Ok(bytes)
    }
}

fn run(program: &str, arguments: &[&str], input: &str) {
    let path = format!("/usr/local/sbin:/usr/sbin:/sbin:{}", std::env::var("PATH").unwrap());
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("this test requires {program}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
}

fn sparse(path: &Path, mib: u64) -> &str {
    File::create(path).unwrap().set_len(mib << 20).unwrap();
    path.to_str().unwrap()
}

fn scan(path: &Path) -> (DiskScan, u32) {
    let file = File::open(path).unwrap();
    let size = file.metadata().unwrap().len();
    let mut image = Image { file, reads: 0 };
    let scan = scan_disk(0, "/dev/sda", size, &mut image).unwrap();
    (scan, image.reads)
}

fn summary(scan: &DiskScan) -> Vec<String> {
    let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    scan.info
        .devices
        .iter()
        .zip(&scan.kinds)
        .map(|(device, kind)| {
            format!(
                "{} {kind:?} {} {} {}",
                device.device,
                word(&device.fstype),
                word(&device.uuid),
                word(&device.label)
            )
        })
        .collect()
}

#[test]
fn an_mbr_with_logical_partitions_and_ext4_and_swap() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    sparse(&path, 256);
    let script = "label: dos\nlabel-id: 0x1234abcd\nstart=2048,size=200000,type=83,bootable\nstart=206848,type=5\n\
                  start=208896,size=40960,type=82\nstart=253952,type=83\n";
    run("sfdisk", &["-q", path.to_str().unwrap()], script);
    run(
        "mke2fs",
        &[
            "-q",
            "-t",
            "ext4",
            "-L",
            "root fs",
            "-U",
            "11111111-2222-3333-4444-555555555555",
            "-E",
            "offset=1048576",
            path.to_str().unwrap(),
            "90m",
        ],
        "",
    );
    let swap = folder.path().join("swap");
    run("mkswap", &["-U", "aaaaaaaa-2222-3333-4444-555555555555", "-L", "sw", sparse(&swap, 20)], "");
    let begin = &std::fs::read(&swap).unwrap()[..8192];
    File::options().write(true).open(&path).unwrap().write_all_at(begin, 208_896 * 512).unwrap();
    let (scan, reads) = scan(&path);
    assert_eq!(scan.info.table, "mbr");
    assert!(!scan.boot_code);
    assert_eq!(
        summary(&scan),
        [
            "/dev/sda Other - - -",
            "/dev/sda1 Other ext4 11111111-2222-3333-4444-555555555555 root fs",
            "/dev/sda2 Extended - - -",
            "/dev/sda5 Other swap aaaaaaaa-2222-3333-4444-555555555555 sw",
            "/dev/sda6 Other - - -",
        ]
    );
    assert_eq!(scan.info.devices[3].partuuid.as_deref(), Some("1234abcd-05"));
    assert_eq!(reads, 6);
}

#[test]
fn a_gpt_with_esp_bios_boot_and_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    sparse(&path, 128);
    let script = "label: gpt\nfirst-lba: 34\n\
        start=2048,size=81920,type=U,uuid=0FC63DAF-8483-4772-8E79-3D69D8477DE4,name=\"EFI System\"\n\
        start=83968,size=2048,type=21686148-6449-6E6F-744E-656564454649\nstart=86016,type=L\n";
    run("sfdisk", &["-q", path.to_str().unwrap()], script);
    run(
        "mkfs.vfat",
        &["-F", "32", "-i", "CAFE0123", "-n", "ESP", "--offset=2048", path.to_str().unwrap(), "40960"],
        "",
    );
    let (scan, reads) = scan(&path);
    assert_eq!(scan.info.table, "gpt");
    assert_eq!(
        summary(&scan),
        [
            "/dev/sda Other - - -",
            "/dev/sda1 Esp vfat CAFE-0123 ESP",
            "/dev/sda2 BiosBoot - - -",
            "/dev/sda3 Other - - -",
        ]
    );
    assert_eq!(scan.info.devices[1].partuuid.as_deref(), Some("0fc63daf-8483-4772-8e79-3d69d8477de4"));
    assert_eq!(scan.info.devices[1].partlabel.as_deref(), Some("EFI System"));
    assert_eq!(reads, 4);
}

#[test]
fn filesystems_and_containers_on_whole_disks() {
    let folder = tempfile::tempdir().unwrap();
    let id = "12345678-1234-1234-1234-123456789abc";
    let cases: [(&str, &[&str], u64, &str); 8] = [
        (
            "mke2fs",
            &["-q", "-t", "ext2", "-U", id, "-L", "old", "FILE"],
            8,
            "ext2 12345678-1234-1234-1234-123456789abc old",
        ),
        ("mke2fs", &["-q", "-t", "ext3", "-U", id, "FILE"], 8, "ext3 12345678-1234-1234-1234-123456789abc -"),
        ("mkfs.btrfs", &["-q", "-U", id, "-L", "pool", "FILE"], 128, "btrfs 12345678-1234-1234-1234-123456789abc pool"),
        ("mkfs.vfat", &["-F", "16", "-i", "0BADCAFE", "FILE"], 16, "vfat 0BAD-CAFE -"),
        ("mkfs.ntfs", &["-q", "-F", "FILE"], 8, "ntfs"),
        (
            "cryptsetup",
            &["luksFormat", "-q", "--type", "luks1", "--pbkdf-force-iterations", "1000", "--uuid", id, "FILE", "-"],
            32,
            "crypto_LUKS 12345678-1234-1234-1234-123456789abc -",
        ),
        (
            "cryptsetup",
            &[
                "luksFormat",
                "-q",
                "--type",
                "luks2",
                "--label",
                "safe",
                "--pbkdf",
                "pbkdf2",
                "--pbkdf-force-iterations",
                "1000",
                "--uuid",
                id,
                "FILE",
                "-",
            ],
            32,
            "crypto_LUKS 12345678-1234-1234-1234-123456789abc safe",
        ),
        ("mkswap", &["-q", "-U", id, "FILE"], 8, "swap 12345678-1234-1234-1234-123456789abc -"),
    ];
    for (program, arguments, mib, expected) in cases {
        let path = folder.path().join("one");
        let name = sparse(&path, mib).to_owned();
        let arguments: Vec<&str> =
            arguments.iter().map(|one| if *one == "FILE" { name.as_str() } else { one }).collect();
        // The others may end before they could be written to.
        run(program, &arguments, if program == "cryptsetup" { "secret" } else { "" });
        let (scan, _) = scan(&path);
        assert_eq!(scan.info.table, "none", "{program}");
        let found = summary(&scan).join("\n");
        assert!(found.contains(expected), "{program} {arguments:?}: {found}");
    }
}

#[test]
fn images_that_nobody_writes_to_are_known() {
    for (offset, magic, fstype) in
        [(0, &b"hsqs"[..], "squashfs"), (1024, b"\xe2\xe1\xf5\xe0", "erofs"), (0, b"verity\0\0", "DM_verity_hash")]
    {
        let mut start = vec![0; 4096];
        start[offset..offset + magic.len()].copy_from_slice(magic);
        assert_eq!(Superblock::read(&start).map(|found| found.fstype).as_deref(), Some(fstype));
        start[offset] ^= 1;
        assert_eq!(Superblock::read(&start), None, "{fstype}");
    }
}

#[test]
fn a_filesystem_says_how_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one");
    run("mke2fs", &["-q", "-t", "ext4", sparse(&path, 16)], "");
    let health = || scan(&path).0.health;
    assert_eq!(health(), [Health::Fine]);
    for (command, expected) in [("feature needs_recovery", Health::InUse), ("ssv state 2", Health::Errors)] {
        run("debugfs", &["-w", "-R", command, path.to_str().unwrap()], "");
        assert_eq!(health(), [expected], "{command}");
    }
}

#[test]
fn what_is_hibernated_or_nothing_is_told_apart() {
    let mut swap = vec![0u8; 8192];
    swap[4086..4095].copy_from_slice(b"S1SUSPEND");
    assert_eq!(Superblock::read(&swap).unwrap().fstype, "swsuspend");
    assert_eq!(Superblock::read(&[]), None);
    assert_eq!(Superblock::read(&vec![0xff; 72 << 10]), None);
}

#[test]
fn xfs_has_its_label_behind_its_uuid() {
    let mut start = vec![0u8; 512];
    start[..4].copy_from_slice(b"XFSB");
    start[4..8].copy_from_slice(&[0, 0, 16, 0]);
    start[15] = 10;
    start[32..48].fill(0x5a);
    start[108..112].copy_from_slice(b"data");
    let found = Superblock::read(&start).unwrap();
    assert_eq!(found.uuid.as_deref(), Some("5a5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a"));
    assert_eq!(found.size, 40960);
    assert_eq!((found.fstype.as_str(), found.label.as_deref()), ("xfs", Some("data")));
}

#[test]
fn an_array_member_is_told_from_what_it_holds() {
    let mut start = vec![0u8; 8192];
    start[4096..4104].copy_from_slice(&[0xfc, 0x4e, 0x2b, 0xa9, 1, 0, 0, 0]);
    start[4112..4128].fill(0x11);
    start[1024 + 0x38..1024 + 0x3a].copy_from_slice(&0xef53u16.to_le_bytes());
    assert_eq!(Superblock::read(&start).unwrap().fstype, "linux_raid_member");
}

#[test]
fn a_physical_volume_has_its_uuid_in_groups() {
    let mut start = vec![0u8; 4096];
    start[512..520].copy_from_slice(b"LABELONE");
    start[532..536].copy_from_slice(&32u32.to_le_bytes());
    start[536..544].copy_from_slice(b"LVM2 001");
    start[544..576].copy_from_slice(b"abcdef0123456789ABCDEFGHIJKLMNOP");
    let found = Superblock::read(&start).unwrap();
    assert_eq!(
        (found.fstype.as_str(), found.uuid.as_deref()),
        ("LVM2_member", Some("abcdef-0123-4567-89AB-CDEF-GHIJ-KLMNOP"))
    );
}

#[test]
fn hostile_tables_are_errors_or_end() {
    let size = 1u64 << 20;
    let scan_bytes = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        scan_disk(0, "/dev/sda", size, &mut Image { file, reads: 0 })
    };
    // An extended partition whose chain points to itself.
    let mut ring = vec![0u8; size as usize];
    ring[446 + 4] = 5;
    ring[446 + 8..446 + 16].copy_from_slice(&[8, 0, 0, 0, 0, 4, 0, 0]);
    let link = 8 * 512;
    ring[link + 446 + 4] = 0x83;
    ring[link + 446 + 8..link + 446 + 16].copy_from_slice(&[1, 0, 0, 0, 8, 0, 0, 0]);
    ring[link + 462 + 4] = 5;
    for at in [510, link + 510] {
        ring[at..at + 2].copy_from_slice(&[0x55, 0xaa]);
    }
    assert_eq!(scan_bytes(&ring).unwrap().info.devices.len(), 3);
    ring[link + 446 + 8..link + 446 + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(
        scan_bytes(&ring).unwrap_err().message,
        "/dev/sda: partition 5 at byte 2199023259136 lies outside of the disk of 1048576 bytes"
    );
    // A GPT whose entries are said to be huge, and one whose partition is outside.
    let mut gpt = vec![0u8; size as usize];
    gpt[512..520].copy_from_slice(b"EFI PART");
    gpt[512 + 72] = 2;
    gpt[512 + 80..512 + 84].copy_from_slice(&u32::MAX.to_le_bytes());
    gpt[512 + 84..512 + 88].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(scan_bytes(&gpt).unwrap_err().message.contains("GPT header names entries of 4294967295 bytes"));
    gpt[512 + 84..512 + 88].copy_from_slice(&128u32.to_le_bytes());
    assert_eq!(scan_bytes(&gpt).unwrap().info.devices.len(), 1);
    gpt[1024] = 1;
    gpt[1024 + 32..1024 + 48].fill(0xff);
    assert!(scan_bytes(&gpt).unwrap_err().message.contains("partition 1 at byte 18446744073709551615 lies outside"));
}

#[test]
fn disks_are_named_as_a_kernel_names_them() {
    let names: Vec<String> = [0, 1, 25, 26, 27, 701, 702].into_iter().map(disk_name).collect();
    assert_eq!(names, ["/dev/sda", "/dev/sdb", "/dev/sdz", "/dev/sdaa", "/dev/sdab", "/dev/sdzz", "/dev/sdaaa"]);
}

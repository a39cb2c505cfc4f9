//! Damaged filesystems: an error, or the same tree; and where a format seals too little to notice, what the kernel reads of the same bytes.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::mounted::{Mounted, try_of_kernel};
use super::support::{Holds, Image, of_filesystem, open, prototype, read_folder, run, sparse};
use vmdk2kvm_native_offline::open_filesystem;
use vmdk2kvm_plugin_api::Result;

/// How often each filesystem is damaged: `VMDK2KVM_TIMES`, or so often that the suite does not wait for it.
fn times(usually: u64) -> u64 {
    std::env::var("VMDK2KVM_TIMES").map_or(usually, |times| times.parse().expect("VMDK2KVM_TIMES is a number"))
}

/// What a tree is but for what NTFS seals nowhere: the sizes and the content of files.
fn shape(holds: Holds) -> Holds {
    holds.into_iter().map(|(path, line)| (path, line.split(' ').next().unwrap().to_owned())).collect()
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    /// One to three runs of up to eight bytes in what was read, each with what it is changed by.
    fn damage(&mut self, places: &[(u64, u64)]) -> Vec<(u64, u8)> {
        let mut damage = Vec::new();
        for _ in 0..=self.roll(3) {
            let (start, length) = places[self.roll(places.len() as u64) as usize];
            let first = start + self.roll(length);
            damage.extend((0..=self.roll(8)).map(|at| (first + at, self.roll(255) as u8 + 1)).collect::<Vec<_>>());
        }
        damage
    }
}

/// Where a walk reads an image, and what it finds.
fn sound(fstype: &str, path: &Path, with_content: bool) -> (Vec<(u64, u64)>, Holds) {
    let image = Arc::new(Image::open(path));
    let filesystem = open_filesystem(fstype, image.clone(), None).unwrap().unwrap();
    let whole = of_filesystem(filesystem.as_ref(), with_content).unwrap();
    let places = image.read.lock().unwrap().clone();
    (places, whole)
}

fn files(tree: &Path) {
    fs::create_dir_all(tree.join("etc/deep")).unwrap();
    for number in 0..300 {
        fs::write(tree.join(format!("etc/deep/file-{number}")), vec![number as u8; number * 20]).unwrap();
    }
}

fn small_tree(tree: &Path) {
    files(tree);
    std::os::unix::fs::symlink("deep/file-1", tree.join("etc/link")).unwrap();
}

fn walk(fstype: &str, image: Image, with_content: bool) -> Result<Holds> {
    of_filesystem(open(fstype, image)?.as_ref(), with_content)
}

/// Damages what a walk reads, again and again. Where the format seals it, no walk sees anything else.
fn assert_sealed(fstype: &str, path: &Path, with_content: bool) {
    assert_sealed_but_for(fstype, path, with_content, &|holds| holds);
}

/// The same, of what `of` leaves of a tree.
fn assert_sealed_but_for(fstype: &str, path: &Path, with_content: bool, of: &dyn Fn(Holds) -> Holds) {
    let (places, whole) = sound(fstype, path, with_content);
    let whole = of(whole);
    let (mut dice, mut refused) = (Dice(0x9e37_79b9_7f4a_7c15), 0);
    let times = times(300);
    for time in 0..times {
        let mut image = Image::open(path);
        image.damage = dice.damage(&places);
        let damage = image.damage.clone();
        match walk(fstype, image, with_content) {
            Ok(found) => assert!(of(found) == whole, "{fstype}, time {time}: another tree after {damage:?}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > times / 10, "{fstype}: only {refused} were refused");
}

/// Damages what a walk reads, again and again. Whatever is read without an error, `peer` reads it so, too: data and all. `is_sealed`: its metadata
/// has checksums.
fn assert_as_others_read_it(fstype: &str, path: &Path, is_sealed: bool, peer: &dyn Fn(&Path) -> Option<Holds>) {
    let (places, whole) = sound(fstype, path, true);
    let disk = File::options().read(true).write(true).open(path).unwrap();
    let (mut dice, mut same, mut other, mut refused_there) = (Dice(0x2545_f491_4f6c_dd1d), 0u64, 0u64, 0u64);
    for time in 0..times(60) {
        let damage = dice.damage(&places);
        let flip = || {
            for (at, value) in &damage {
                let mut byte = [0];
                if disk.read_at(&mut byte, *at).unwrap() == 1 {
                    disk.write_all_at(&[byte[0] ^ value], *at).unwrap();
                }
            }
            disk.sync_data().unwrap();
        };
        flip();
        if let Ok(found) = walk(fstype, Image::open(path), true) {
            match peer(path) {
                Some(expected) => {
                    let differs = expected.iter().find(|(path, line)| found.get(*path) != Some(line));
                    assert!(
                        differs.is_none() && found.len() == expected.len(),
                        "{fstype}, time {time}: {differs:?} after {damage:?}"
                    );
                    if found == whole { same += 1 } else { other += 1 }
                }
                // What has no checksum may be wrong where only they look: in a file's attributes.
                None if is_sealed => panic!("{fstype}, time {time}: read, and refused by others, after {damage:?}"),
                None => refused_there += 1,
            }
        }
        flip();
    }
    assert!(same > 0 || other > 0, "{fstype}: nothing was compared, and {refused_there} were refused by others alone");
}

#[test]
fn damaged_ext4_is_never_another_tree() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, image) = (folder.path().join("tree"), folder.path().join("image"));
    small_tree(&tree);
    run("mkfs.ext4", &["-q", "-F", "-d", tree.to_str().unwrap(), sparse(&image, 16)]);
    assert_sealed("ext4", &image, false);
}

#[test]
fn damaged_ext_is_read_as_the_kernel_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, image) = (folder.path().join("tree"), folder.path().join("image"));
    small_tree(&tree);
    for (fstype, features) in
        [("ext4", &[][..]), ("ext4", &["-O", "^metadata_csum"]), ("ext3", &[]), ("ext2", &["-b", "1024"])]
    {
        let tree = tree.to_str().unwrap();
        run(&format!("mkfs.{fstype}"), &[&["-q", "-F", "-d", tree], features, &[sparse(&image, 16)]].concat());
        // A damaged superblock may ask for a panic.
        let options = if fstype == "ext2" { "ro,errors=continue" } else { "ro,noload,errors=continue" };
        let is_sealed = fstype == "ext4" && features.is_empty();
        assert_as_others_read_it(fstype, &image, is_sealed, &|image| try_of_kernel(image, options));
    }
}

/// Found by three thousand damaged images: the reader's crate gives the entries before such a length, and then ends without an error.
#[test]
fn an_entry_of_ext_that_leaves_its_block_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, image) = (folder.path().join("tree"), folder.path().join("image"));
    small_tree(&tree);
    for fstype in ["ext3", "ext2"] {
        run(&format!("mkfs.{fstype}"), &["-q", "-F", "-d", tree.to_str().unwrap(), sparse(&image, 16)]);
        let bytes = fs::read(&image).unwrap();
        let name = bytes.windows(8).position(|bytes| bytes == b"file-150").unwrap() as u64;
        // The length stands behind the inode, four bytes before the name.
        File::options().write(true).open(&image).unwrap().write_all_at(&0x2006u16.to_le_bytes(), name - 4).unwrap();
        let filesystem = open(fstype, Image::open(&image)).unwrap();
        assert!(filesystem.list("/etc").unwrap().iter().any(|entry| entry.name == "deep"));
        for error in [
            filesystem.list("/etc/deep").map(drop).unwrap_err(),
            filesystem.stat("/etc/deep/file-1").map(drop).unwrap_err(),
            filesystem.read("/etc/deep/file-1").map(drop).unwrap_err(),
        ] {
            assert!(error.message.contains("does not fit its block"), "{error:?}");
        }
    }
}

/// Found by three thousand damaged images: the number of bytes did not fit.
#[test]
fn a_count_of_free_blocks_that_cannot_be_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    run("mkfs.ext2", &["-q", "-F", sparse(&image, 16)]);
    let free = || open("ext2", Image::open(&image)).unwrap().free().bytes;
    assert!(free().is_some_and(|bytes| bytes > 8 << 20));
    // The upper half of the count, in the superblock at 1 KiB.
    File::options().write(true).open(&image).unwrap().write_all_at(&[0xff; 4], 1024 + 0x158).unwrap();
    assert_eq!(free(), None);
}

#[test]
fn damaged_xfs_is_never_another_tree() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, image, proto) = (folder.path().join("tree"), folder.path().join("image"), folder.path().join("proto"));
    small_tree(&tree);
    prototype(&tree, &proto);
    run("mkfs.xfs", &["-q", "-f", "-p", proto.to_str().unwrap(), sparse(&image, 320)]);
    assert_sealed("xfs", &image, false);
    assert_as_others_read_it("xfs", &image, true, &|image| try_of_kernel(image, "ro,norecovery"));
}

#[test]
fn damaged_btrfs_is_never_another_tree_nor_other_data() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, image) = (folder.path().join("tree"), folder.path().join("image"));
    small_tree(&tree);
    let tree = tree.to_str().unwrap();
    run("mkfs.btrfs", &["-q", "-f", "-m", "single", "-r", tree, sparse(&image, 128)]);
    assert_sealed("btrfs", &image, true);
}

#[test]
fn damaged_ntfs_is_never_another_tree() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    for arguments in [&[][..], &["-s", "4096"]] {
        super::ntfs::make(&image, 32, arguments);
        super::ntfs::fill(&image, files);
        assert_sealed_but_for("ntfs", &image, false, &shape);
        assert_as_others_read_it("ntfs", &image, false, &|image| {
            let mut holds = read_folder(Mounted::by_ntfs_3g(image, "ro").path()).ok()?;
            // The top, to which ntfs-3g gives other bits than to all else.
            holds.insert("/".to_owned(), "folder 777 0 0".to_owned());
            Some(holds)
        });
    }
}

#[test]
fn damaged_fat_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, path) = (folder.path().join("tree"), folder.path().join("image"));
    fs::create_dir_all(tree.join("EFI/debian")).unwrap();
    fs::write(tree.join("EFI/debian/grubx64.efi"), vec![7; 50_000]).unwrap();
    run("mkfs.vfat", &["-F", "32", "-s", "1", sparse(&path, 40)]);
    run("mcopy", &["-s", "-Q", "-i", path.to_str().unwrap(), tree.join("EFI").to_str().unwrap(), "::/"]);
    let (places, _) = sound("vfat", &path, true);
    let (mut dice, mut refused, times) = (Dice(77), 0, times(300));
    for _ in 0..times {
        let mut image = Image::open(&path);
        let (start, length) = places[dice.roll(places.len() as u64) as usize];
        image.damage.push((start + dice.roll(length), dice.roll(255) as u8 + 1));
        // Nothing is sealed there: another content is what it says.
        refused += u64::from(walk("vfat", image, true).is_err());
    }
    assert!(refused > 0 && refused < times, "{refused}");
}

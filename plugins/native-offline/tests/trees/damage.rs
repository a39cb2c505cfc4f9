//! Damaged filesystems: an error, or the same tree.

use std::fs;
use std::path::Path;

use super::support::{Holds, Image, of_filesystem, open, prototype, run, sparse};
use vmdk2kvm_plugin_api::Result;

/// How often each filesystem is damaged.
const TIMES: u64 = 300;

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
}

fn small_tree(tree: &Path) {
    fs::create_dir_all(tree.join("etc/deep")).unwrap();
    for number in 0..300 {
        fs::write(tree.join(format!("etc/deep/file-{number}")), vec![number as u8; number * 20]).unwrap();
    }
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
    let image = Image::open(path);
    let reads = std::sync::Arc::new(image);
    let filesystem = vmdk2kvm_native_offline::open_filesystem(fstype, reads.clone(), None).unwrap().unwrap();
    let whole = of(of_filesystem(filesystem.as_ref(), with_content).unwrap());
    let places = reads.read.lock().unwrap().clone();
    let (mut dice, mut refused) = (Dice(0x9e37_79b9_7f4a_7c15), 0);
    for time in 0..TIMES {
        let mut image = Image::open(path);
        for _ in 0..=dice.roll(3) {
            let (start, length) = places[dice.roll(places.len() as u64) as usize];
            let first = start + dice.roll(length);
            let run = (0..=dice.roll(8)).map(|at| (first + at, dice.roll(255) as u8 + 1));
            let run: Vec<(u64, u8)> = run.collect();
            image.damage.extend(run);
        }
        let damage = image.damage.clone();
        match walk(fstype, image, with_content) {
            Ok(found) => assert!(of(found) == whole, "{fstype}, time {time}: another tree after {damage:?}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > TIMES / 10, "{fstype}: only {refused} were refused");
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
fn damaged_xfs_is_never_another_tree() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, image, proto) = (folder.path().join("tree"), folder.path().join("image"), folder.path().join("proto"));
    small_tree(&tree);
    prototype(&tree, &proto);
    run("mkfs.xfs", &["-q", "-f", "-p", proto.to_str().unwrap(), sparse(&image, 320)]);
    assert_sealed("xfs", &image, false);
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
        super::ntfs::fill(&image, small_tree);
        assert_sealed_but_for("ntfs", &image, false, &shape);
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
    let reads = std::sync::Arc::new(Image::open(&path));
    let filesystem = vmdk2kvm_native_offline::open_filesystem("vfat", reads.clone(), None).unwrap().unwrap();
    of_filesystem(filesystem.as_ref(), true).unwrap();
    let places = reads.read.lock().unwrap().clone();
    let (mut dice, mut refused) = (Dice(77), 0);
    for _ in 0..TIMES {
        let mut image = Image::open(&path);
        let (start, length) = places[dice.roll(places.len() as u64) as usize];
        image.damage.push((start + dice.roll(length), dice.roll(255) as u8 + 1));
        // Nothing is sealed there: another content is what it says.
        refused += u64::from(walk("vfat", image, true).is_err());
    }
    assert!(refused > 0 && refused < TIMES, "{refused}");
}

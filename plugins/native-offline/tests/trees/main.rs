//! Whole trees read from filesystems that the real tools made, against what they were made of; and what is refused.
//! Requires e2fsprogs, xfsprogs, btrfs-progs, dosfstools, mtools, ntfs-3g and FUSE; what a kernel makes of a filesystem also root and loop devices.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod cut;
mod damage;
mod kernel;
mod mounted;
mod ntfs;
mod ntfs_state;
mod support;

use std::fs;
use std::path::Path;

use support::{Image, assert_same, of_folder, open, populate, prototype, run, sparse};
use vmdk2kvm_plugin_api::ErrorKind;

#[test]
fn ext() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, image) = (folder.path().join("tree"), folder.path().join("image"));
    fs::create_dir(&tree).unwrap();
    populate(&tree);
    let expected = of_folder(&tree);
    for (fstype, features) in [
        ("ext4", &[][..]),
        ("ext4", &["-b", "1024"]),
        ("ext4", &["-b", "2048", "-I", "128", "-O", "^metadata_csum"]),
        ("ext4", &["-O", "^metadata_csum,uninit_bg"]),
        ("ext4", &["-O", "metadata_csum_seed,orphan_file,project,quota,verity"]),
        ("ext4", &["-O", "bigalloc", "-C", "16384"]),
        ("ext4", &["-O", "^64bit,^flex_bg,sparse_super2"]),
        ("ext4", &["-O", "^has_journal,^resize_inode,^dir_index"]),
        ("ext4", &["-b", "65536"]),
        ("ext4", &["-O", "fast_commit,stable_inodes", "-E", "packed_meta_blocks=1"]),
        ("ext4", &["-O", "^resize_inode,^sparse_super", "-G", "64"]),
        ("ext4", &["-E", "hash_seed=0e3f0c7c-5bd5-4f5f-8d5c-6e7b4d7a0011", "-T", "news"]),
    ] {
        make_ext(fstype, features, &tree, &image);
        assert_same(fstype, &image, &expected, &format!("{fstype} {features:?}"));
    }
    // Inodes without room for the upper half of their checksums.
    make_ext("ext4", &["-I", "128", "-O", "^dir_nlink,^extra_isize"], &tree, &image);
    let error = open("ext4", Image::open(&image)).and_then(|filesystem| filesystem.read("/etc/fstab")).unwrap_err();
    assert!(error.message.contains("inode 2 is truncated"), "{error}");
    // Without extents a hole for which not even a list of blocks is there is refused, and not read as another one.
    for (fstype, features) in
        [("ext4", &["-O", "^extent,^64bit,^huge_file"][..]), ("ext3", &[]), ("ext2", &["-b", "1024"])]
    {
        make_ext(fstype, features, &tree, &image);
        let filesystem = open(fstype, Image::open(&image)).unwrap();
        let error = filesystem.read("/usr/sparse").unwrap_err();
        assert!(error.message.contains("corrupt filesystem"), "{error}");
    }
    fs::remove_file(tree.join("usr/sparse")).unwrap();
    let expected = of_folder(&tree);
    for (fstype, features) in
        [("ext4", &["-O", "^extent,^64bit,^huge_file"][..]), ("ext3", &[]), ("ext2", &["-b", "1024"])]
    {
        make_ext(fstype, features, &tree, &image);
        assert_same(fstype, &image, &expected, &format!("{fstype} {features:?}"));
    }
}

fn make_ext(fstype: &str, features: &[&str], tree: &Path, image: &Path) {
    let mut arguments = vec!["-q", "-F", "-d", tree.to_str().unwrap()];
    arguments.extend(features);
    arguments.push(sparse(image, 96));
    run(&format!("mkfs.{fstype}"), &arguments);
}

#[test]
fn xfs() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, image, proto) = (folder.path().join("tree"), folder.path().join("image"), folder.path().join("proto"));
    fs::create_dir(&tree).unwrap();
    populate(&tree);
    prototype(&tree, &proto);
    let expected = of_folder(&tree);
    for features in [
        &[][..],
        &["-b", "size=1024"],
        &["-b", "size=1024", "-n", "size=8192"],
        &["-n", "size=65536"],
        &["-s", "size=4096"],
        &["-i", "size=2048", "-m", "reflink=0,bigtime=0,inobtcount=0"],
        &["-m", "rmapbt=1", "-i", "nrext64=1,sparse=0"],
        &["-m", "finobt=0,reflink=0", "-d", "agcount=2"],
        &["-l", "su=256k"],
    ] {
        let mut arguments = vec!["-q", "-f", "-p", proto.to_str().unwrap()];
        arguments.extend(features);
        arguments.push(sparse(&image, 320));
        run("mkfs.xfs", &arguments);
        assert_same("xfs", &image, &expected, &format!("xfs {features:?}"));
    }
}

#[test]
fn btrfs() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, image) = (folder.path().join("tree"), folder.path().join("image"));
    fs::create_dir(&tree).unwrap();
    populate(&tree);
    let expected = of_folder(&tree);
    for features in [
        &[][..],
        &["-n", "4096"],
        &["-n", "65536", "-d", "single", "-m", "single"],
        &["-d", "dup", "-m", "dup"],
        &["-M", "-n", "4096"],
        &["-O", "^no-holes", "-R", "^free-space-tree"],
        &["-O", "^extref,^skinny-metadata"],
    ] {
        let mut arguments = vec!["-q", "-f", "-r", tree.to_str().unwrap()];
        arguments.extend(features);
        arguments.push(sparse(&image, 256));
        run("mkfs.btrfs", &arguments);
        assert_same("btrfs", &image, &expected, &format!("btrfs {features:?}"));
    }
}

#[test]
fn fat() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, image) = (folder.path().join("tree"), folder.path().join("image"));
    fs::create_dir_all(tree.join("EFI/debian")).unwrap();
    for (name, length) in
        [("EFI/debian/grubx64.efi", 300_000), ("EFI/debian/empty", 0), ("SHORT.TXT", 5), ("a long name.conf", 513)]
    {
        fs::write(tree.join(name), vec![7; length]).unwrap();
    }
    // What vfat makes of it: every file and folder is root's.
    let expected = of_folder(&tree).into_iter().map(|(path, line)| {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        words[1..4].clone_from_slice(&["755".to_owned(), "0".to_owned(), "0".to_owned()]);
        (path, words.join(" "))
    });
    let expected = expected.collect();
    for (width, mib, more) in
        [("12", 4, &[][..]), ("16", 32, &["-s", "4"]), ("32", 64, &["-s", "1"]), ("32", 300, &["-S", "4096"])]
    {
        let mut arguments = vec!["-F", width];
        arguments.extend(more);
        arguments.push(sparse(&image, mib));
        run("mkfs.vfat", &arguments);
        let top: Vec<String> =
            fs::read_dir(&tree).unwrap().map(|entry| entry.unwrap().path().display().to_string()).collect();
        let mut copy = vec!["-s", "-Q", "-i", image.to_str().unwrap()];
        copy.extend(top.iter().map(String::as_str));
        copy.push("::/");
        run("mcopy", &copy);
        assert_same("vfat", &image, &expected, &format!("FAT{width}"));
        let filesystem = open("vfat", Image::open(&image)).unwrap();
        assert!(filesystem.stat("/efi/Debian/GRUBX64.EFI").unwrap().is_some(), "names are the same in any case");
        assert_eq!(filesystem.stat("/efi/other").unwrap(), None);
        assert!(filesystem.free().bytes.is_some_and(|free| free > (mib << 20) / 2 && free < mib << 20));
    }
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    let xfs = ["-q", "-f"];
    for (fstype, program, arguments, message) in [
        ("ext4", "mkfs.ext4", &["-q", "-F", "-O", "inline_data"][..], "its incompatible features 0x8000 are not known"),
        ("ext4", "mkfs.ext4", &["-q", "-F", "-O", "casefold"], "its incompatible features 0x20000 are not known"),
        ("ext4", "mkfs.ext4", &["-q", "-F", "-O", "mmp"], "its incompatible features 0x100 are not known"),
        ("ext4", "mkfs.ext4", &["-q", "-F", "-O", "ea_inode"], "its incompatible features 0x400 are not known"),
        ("ext4", "mkfs.ext4", &["-q", "-F", "-O", "large_dir"], "its incompatible features 0x4000 are not known"),
        (
            "ext4",
            "mkfs.ext4",
            &["-q", "-F", "-O", "meta_bg,^resize_inode"],
            "its incompatible features 0x10 are not known",
        ),
        ("ext4", "mkfs.ext4", &["-q", "-F", "-O", "encrypt"], "its incompatible features 0x10000 are not known"),
        ("xfs", "mkfs.xfs", &[xfs[0], xfs[1], "-m", "crc=0"], "it is of version 4, which has no checksums"),
        ("xfs", "mkfs.xfs", &[xfs[0], xfs[1], "-n", "version=ci"], "it is case-insensitive"),
        ("btrfs", "mkfs.btrfs", &["-q", "-f", "--csum", "xxhash"], "its checksums are of the kind 1"),
        ("btrfs", "mkfs.btrfs", &["-q", "-f", "--csum", "sha256"], "its checksums are of the kind 2"),
        ("btrfs", "mkfs.btrfs", &["-q", "-f", "--csum", "blake2"], "its checksums are of the kind 3"),
        ("f2fs", "true", &[], "filesystems of type f2fs are not read without an appliance"),
    ] {
        let mut arguments = arguments.to_vec();
        arguments.push(sparse(&image, 320));
        run(program, &arguments);
        let error = open(fstype, Image::open(&image)).err().unwrap();
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Cannot, message), "{fstype} {arguments:?}");
    }
}

//! Trees that a kernel made, with what a system gets over the years, against what the kernel shows of them. Requires root and loop devices.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::mounted::{Mounted, bytes, of_kernel, populate};
use super::support::{Image, assert_same, of_filesystem, of_folder, open, run, sparse};
use vmdk2kvm_native_offline::open_filesystem;
use vmdk2kvm_plugin_api::ErrorKind;

/// Makes a filesystem, has it filled by the kernel, and compares what is read with what the kernel shows.
fn same(fstype: &str, mib: u64, make: &[&str], options: &str, fill: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    let force = if fstype.starts_with("ext") { "-F" } else { "-f" };
    run(&format!("mkfs.{fstype}"), &[&["-q", force], make, &[sparse(&image, mib)]].concat());
    fill(Mounted::by_kernel(&image, options).path());
    // As it is after another start: the kernel reads what is on the disk, and nothing that it remembers.
    let expected = of_kernel(&image, "ro");
    assert_same(fstype, &image, &expected, &format!("{fstype} {make:?} {options}"));
}

#[test]
fn ext() {
    for make in [
        &[][..],
        &["-b", "1024", "-I", "256"],
        &["-O", "bigalloc", "-C", "65536"],
        &["-O", "^metadata_csum,^64bit"],
        &["-O", "fast_commit,orphan_file,metadata_csum_seed"],
        &["-O", "^dir_index,^flex_bg"],
        &["-E", "packed_meta_blocks=1"],
        &["-G", "64", "-J", "size=4", "-T", "news"],
    ] {
        same("ext4", 512, make, "", populate);
    }
}

/// Blocks of folders that lie apart and are found by blocks of pointers, and by a tree of extents.
#[test]
fn folders_of_ext_without_checksums() {
    let fill = |folder: &Path| {
        let names = ["one", "two", "three"];
        let path = |number: usize| folder.join(names[number % 3]).join(format!("entry-{number:0>200}"));
        names.iter().for_each(|name| fs::create_dir(folder.join(name)).unwrap());
        (0..4500).for_each(|number| fs::write(path(number), number.to_string()).unwrap());
        (0..4500).step_by(5).for_each(|number| fs::remove_file(path(number)).unwrap());
    };
    same("ext2", 64, &["-b", "1024", "-I", "128"], "", fill);
    same("ext3", 64, &["-b", "1024", "-O", "^dir_index"], "", fill);
    same("ext4", 64, &["-b", "1024", "-O", "^metadata_csum"], "", fill);
}

#[test]
fn xfs() {
    for make in [
        &[][..],
        &["-b", "size=1024", "-n", "size=4096"],
        &["-s", "size=4096", "-m", "rmapbt=1"],
        &["-i", "size=2048,nrext64=1", "-d", "agcount=8"],
        &["-m", "bigtime=0,inobtcount=0,reflink=0,finobt=0", "-i", "sparse=0,projid32bit=1,attr=2"],
    ] {
        same("xfs", 512, make, "", populate);
    }
    same("xfs", 512, &["-m", "reflink=1"], "", |folder| {
        fs::write(folder.join("one"), bytes(3 << 20)).unwrap();
        run("cp", &["--reflink=always", text(&folder.join("one")), text(&folder.join("two"))]);
        fs::OpenOptions::new().write(true).open(folder.join("two")).unwrap().set_len(100_000).unwrap();
    });
}

#[test]
fn btrfs() {
    for (make, options) in [
        (&[][..], ""),
        (&["-n", "4096", "-O", "^no-holes"], ""),
        (&["-M", "-n", "4096"], ""),
        (&["-n", "65536"], "compress-force=zlib:9"),
        (&["-d", "dup"], "compress-force=zstd,autodefrag"),
        (&[], "nodatacow,max_inline=0"),
        (&["-R", "^free-space-tree"], "nodatasum"),
    ] {
        same("btrfs", 512, make, options, populate);
    }
}

#[test]
fn subvolumes_of_btrfs() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    run("mkfs.btrfs", &["-q", "-f", sparse(&image, 256)]);
    let btrfs = |words: &[&str]| run("btrfs", words);
    {
        let mounted = Mounted::by_kernel(&image, "");
        let path = |name: &str| mounted.path().join(name);
        ["@", "@home"].iter().for_each(|name| btrfs(&["-q", "subvolume", "create", text(&path(name))]));
        fs::create_dir_all(path("@/etc")).unwrap();
        fs::write(path("@/etc/fstab"), "before").unwrap();
        fs::write(path("@/large"), bytes(3 << 20)).unwrap();
        run("cp", &["--reflink=always", text(&path("@/large")), text(&path("@/same"))]);
        btrfs(&["-q", "subvolume", "snapshot", "-r", text(&path("@")), text(&path("@/kept"))]);
        fs::write(path("@/etc/fstab"), "after").unwrap();
        // The later half of an extent that is shared, and its middle written anew.
        use std::os::unix::fs::FileExt;
        let same = fs::OpenOptions::new().write(true).open(path("@/same")).unwrap();
        same.write_all_at(&[0; 9000], 1 << 20).unwrap();
        fs::write(path("@home/file"), "home").unwrap();
    }
    let expected = of_kernel(&image, "ro,subvol=@");
    let of = |subvolume: &str| {
        let opened = open_filesystem("btrfs", std::sync::Arc::new(Image::open(&image)), Some(subvolume)).unwrap();
        opened.map(|filesystem| (of_filesystem(filesystem.as_ref(), true).unwrap(), filesystem.is_read_only()))
    };
    assert_eq!(of("@"), Some((expected, false)));
    assert_eq!(of("/@/kept"), Some((of_kernel(&image, "ro,subvol=@/kept"), true)));
    assert!(of("@other").is_none() && of("@/etc").is_none());
    // The one that is shown without a word.
    let whole = of_kernel(&image, "ro");
    assert_same("btrfs", &image, &whole, "the top");
    btrfs(&["subvolume", "set-default", text(Mounted::by_kernel(&image, "").path().join("@home").as_path())]);
    let home = of_kernel(&image, "ro");
    assert!(home.contains_key("/file") && home.len() == 2, "{home:?}");
    assert_same("btrfs", &image, &home, "the default");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Attributes that change how a file is stored, or that need a key to read it.
#[test]
fn files_that_are_kept_in_another_way_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    run("mkfs.btrfs", &["-q", "-f", sparse(&image, 256)]);
    fs::write(Mounted::by_kernel(&image, "compress-force=lzo").path().join("file"), [b'a'; 100_000]).unwrap();
    let error = open("btrfs", Image::open(&image)).err().unwrap();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Cannot, "files may be compressed with LZO"));

    let pair = [folder.path().join("one"), folder.path().join("two")];
    run("mkfs.btrfs", &["-q", "-f", "-d", "raid0", "-m", "raid1", sparse(&pair[0], 256), sparse(&pair[1], 256)]);
    let error = open("btrfs", Image::open(&pair[0])).err().unwrap();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Cannot, "it uses 2 devices"));

    let data = folder.path().join("real-time");
    let words = format!("rtdev={}", sparse(&data, 64));
    run("mkfs.xfs", &["-q", "-f", "-r", &words, sparse(&image, 320)]);
    let error = open("xfs", Image::open(&image)).err().unwrap();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Cannot, "it has a part for real time"));
    let words = format!("logdev={},size=32m", sparse(&data, 64));
    run("mkfs.xfs", &["-q", "-f", "-l", &words, sparse(&image, 320)]);
    let error = open("xfs", Image::open(&image)).err().unwrap();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Cannot, "its log is on another device"));
}

/// A filesystem of a disk with sectors of 4 KiB, as the kernel of such a machine made it.
#[test]
fn sectors_of_4_kib() {
    for (fstype, force, mib) in [("ext4", "-F", 256), ("xfs", "-f", 512), ("btrfs", "-f", 512)] {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        let attached = Command::new("losetup")
            .args(["--find", "--show", "--sector-size", "4096"])
            .arg(sparse(&image, mib))
            .output()
            .unwrap();
        assert!(attached.status.success(), "this test requires root: {}", String::from_utf8_lossy(&attached.stderr));
        let device = String::from_utf8(attached.stdout).unwrap().trim().to_owned();
        let made = std::panic::catch_unwind(|| {
            run(&format!("mkfs.{fstype}"), &["-q", force, &device]);
            let place = folder.path().join("place");
            fs::create_dir(&place).unwrap();
            run("mount", &[&device, text(&place)]);
            let filled = std::panic::catch_unwind(|| {
                populate(&place);
                of_folder(&place)
            });
            run("umount", &[text(&place)]);
            filled.unwrap()
        });
        run("losetup", &["--detach", &device]);
        assert_same(fstype, &image, &made.unwrap(), &format!("{fstype} on sectors of 4 KiB"));
    }
}

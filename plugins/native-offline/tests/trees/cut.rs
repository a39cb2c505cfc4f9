//! Filesystems that were cut off in mid-write, as by a power cut: read as the kernel reads them once it has replayed their journal, or refused
//! by name. Requires root, loop devices and xfs_io (xfsprogs).

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::mounted::{Mounted, bytes, of_kernel};
use super::ntfs::make;
use super::support::{Holds, Image, assert_same, of_folder, open, run, sparse};
use vmdk2kvm_plugin_api::ErrorKind;

/// What a system does all day, with some of it made durable. The last of it is not.
fn work(folder: &Path, round: usize) {
    let path = |name: &str| folder.join(name);
    let durable = |name: &str| File::open(path(name)).unwrap().sync_all().unwrap();
    let name = |number: usize| format!("work-{round}/{number:04}-of-a-folder-of-many-blocks");
    fs::create_dir_all(path(&format!("work-{round}"))).unwrap();
    (0..400).for_each(|number| fs::write(path(&name(number)), bytes(number * 13)).unwrap());
    durable(&name(3));
    // Blocks of metadata that become data: a journal has to take back what it says of them.
    if let Some(before) = round.checked_sub(1) {
        fs::remove_dir_all(path(&format!("work-{before}"))).unwrap();
        durable(".");
    }
    if round > 0 {
        // In a journal of data, a block that looks like one of the journal itself.
        fs::write(path("like-a-journal"), [0xc0, 0x3b, 0x39, 0x98].repeat(5000)).unwrap();
        durable("like-a-journal");
    }
    fs::rename(path(&name(7)), path(&format!("renamed-{round}"))).unwrap();
    let grown = File::options().write(true).open(path(&name(9))).unwrap();
    grown.write_all_at(&bytes(300_000), 100_000).unwrap();
    grown.sync_all().unwrap();
    fs::write(path("lost"), bytes(9000)).unwrap();
    fs::remove_file(path(&name(11))).unwrap();
}

/// Makes a filesystem, works on it for some rounds, and cuts it off. What is on the disk then.
fn cut(fstype: &str, make: &[&str], options: &str, rounds: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    let force = if fstype.starts_with("ext") { "-F" } else { "-f" };
    run(&format!("mkfs.{fstype}"), &[&["-q", force], make, &[sparse(&image, 320)]].concat());
    let mounted = Mounted::by_kernel(&image, options);
    (0..rounds).for_each(|round| work(mounted.path(), round));
    // Nothing that is not on its way yet is written from here on.
    run("xfs_io", &["-x", "-c", "shutdown", mounted.path().to_str().unwrap()]);
    drop(mounted);
    (folder, image)
}

/// What the kernel makes of a copy, which it may write to.
fn replayed(image: &Path) -> Holds {
    let copy = image.with_extension("copy");
    fs::copy(image, &copy).unwrap();
    of_kernel(&copy, "")
}

#[test]
fn a_journal_of_ext4_with_checksums_is_replayed() {
    for (make, options) in [
        (&[][..], ""),
        (&["-b", "1024", "-J", "size=2"], ""),
        (&["-b", "1024", "-O", "orphan_file,metadata_csum_seed", "-J", "size=4"], ""),
        (&["-O", "bigalloc", "-C", "16384"], "data=writeback"),
    ] {
        (1..4).for_each(|rounds| assert_replayed(make, options, rounds));
    }
    assert_replayed(&[], "data=journal", 1);
}

fn assert_replayed(make: &[&str], options: &str, rounds: usize) {
    let (_folder, image) = cut("ext4", make, options, rounds);
    let what = format!("ext4 {make:?} {options}, {rounds} rounds");
    let expected = replayed(&image);
    assert!(expected.len() > 300, "{what}: {}", expected.len());
    assert_same("ext4", &image, &expected, &what);
    assert_eq!(open("ext4", Image::open(&image)).unwrap().free().bytes, None, "{what}");
}

/// Cuts one off that is refused then; returns it.
fn refused(fstype: &str, make: &[&str], options: &str, message: &str) -> (tempfile::TempDir, PathBuf) {
    let (folder, image) = cut(fstype, make, options, 2);
    let error = open(fstype, Image::open(&image)).err().unwrap_or_else(|| panic!("{fstype} {make:?} was opened"));
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Cannot, message), "{fstype} {make:?}");
    (folder, image)
}

/// The same, and that it is read once the kernel has replayed it.
fn assert_refused(fstype: &str, make: &[&str], options: &str, message: &str) {
    let (_folder, image) = refused(fstype, make, options, message);
    let expected = of_kernel(&image, "");
    assert_same(fstype, &image, &expected, &format!("{fstype} {make:?}, replayed"));
}

#[test]
fn other_journals_of_ext_are_the_appliances() {
    let unsealed = "its journal has to be replayed and has no checksums to do it by, as after a power cut";
    assert_refused("ext4", &["-O", "^metadata_csum"], "", unsealed);
    assert_refused("ext4", &["-O", "^metadata_csum"], "journal_checksum", unsealed);
    assert_refused("ext3", &[], "", unsealed);
    let narrow = "it is not read without an appliance: missing required journal features: 2";
    assert_refused("ext4", &["-O", "^64bit"], "", narrow);
    let later = "it is not read without an appliance: unsupported journal features: 4";
    assert_refused("ext4", &[], "journal_async_commit,data=writeback", later);
    let like_a_journal = "it is not read without an appliance: journal contains an escaped data block";
    assert_refused("ext4", &[], "data=journal", like_a_journal);
    let fast = "its journal has to be replayed and has fast commits, as after a power cut";
    // Not every kernel replays one that was cut off like this.
    refused("ext4", &["-O", "fast_commit"], "", fast);
}

#[test]
fn an_ext_without_a_journal_is_read_as_it_stands() {
    let (_folder, image) = cut("ext4", &["-O", "^has_journal"], "sync", 1);
    assert_same("ext4", &image, &replayed(&image), "ext4 without a journal");
}

#[test]
fn a_log_of_xfs_is_the_appliances() {
    let dirty = "its log holds changes that have to be replayed, as after a power cut";
    assert_refused("xfs", &[], "", dirty);
    assert_refused("xfs", &["-s", "size=4096"], "", dirty);
    assert_refused("xfs", &["-l", "su=256k"], "logbsize=256k", dirty);
}

/// What is on the disk of a btrfs while it is in use, without its last seconds.
fn cut_btrfs(is_durable: bool) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (image, copy) = (folder.path().join("image"), folder.path().join("image-cut"));
    run("mkfs.btrfs", &["-q", "-f", sparse(&image, 256)]);
    // It writes nothing by itself as long as the test runs.
    let mounted = Mounted::by_kernel(&image, "commit=3000");
    (0..200).for_each(|number| fs::write(mounted.path().join(format!("{number}")), bytes(number * 90)).unwrap());
    run("btrfs", &["filesystem", "sync", mounted.path().to_str().unwrap()]);
    fs::write(mounted.path().join("new"), "new").unwrap();
    if is_durable {
        File::open(mounted.path().join("new")).unwrap().sync_all().unwrap();
    }
    fs::copy(&image, &copy).unwrap();
    (folder, copy)
}

#[test]
fn a_log_tree_of_btrfs_is_the_appliances() {
    let (_folder, image) = cut_btrfs(true);
    let error = open("btrfs", Image::open(&image)).err().unwrap();
    let message = "its log tree has to be replayed, as after a power cut";
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Cannot, message));
    let expected = of_kernel(&image, "");
    assert!(expected.contains_key("/new"));
    assert_same("btrfs", &image, &expected, "btrfs, replayed");
}

#[test]
fn a_btrfs_without_a_log_tree_is_what_was_made_durable() {
    let (_folder, image) = cut_btrfs(false);
    let expected = of_kernel(&image, "ro");
    assert!(!expected.contains_key("/new") && expected.len() == 201);
    assert_same("btrfs", &image, &expected, "btrfs, cut");
}

/// FAT has no journal: it is what it is, and the kernel reads it so, too.
#[test]
fn a_fat_that_was_not_unmounted_is_read_as_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let (image, file) = (folder.path().join("image"), folder.path().join("file"));
    fs::write(&file, bytes(70_000)).unwrap();
    for (width, mib, state) in [("16", 32, 37), ("32", 64, 65)] {
        run("mkfs.vfat", &["-F", width, "-s", "1", sparse(&image, mib)]);
        run("mcopy", &["-Q", "-i", image.to_str().unwrap(), file.to_str().unwrap(), "::/FILE"]);
        let disk = File::options().read(true).write(true).open(&image).unwrap();
        // The mark that the kernel sets when it mounts one, and takes away when it lets go of it.
        disk.write_all_at(&[1], state).unwrap();
        assert_eq!(open("vfat", Image::open(&image)).unwrap().read("/FILE").unwrap(), bytes(70_000));
        // A file that had grown in its folder before the table was told.
        let mut root = vec![0; 4 << 20];
        disk.read_exact_at(&mut root, 0).unwrap();
        let entry = root.windows(11).position(|name| name == b"FILE       ").unwrap();
        disk.write_all_at(&(200_000u32).to_le_bytes(), entry as u64 + 28).unwrap();
        let error = open("vfat", Image::open(&image)).unwrap().read("/FILE").unwrap_err();
        assert_eq!(error.message, "a chain of clusters is damaged");
    }
}

/// ntfs-3g keeps no journal: what it has written when it is killed is read as it reads that itself, or refused.
#[test]
fn an_ntfs_whose_writer_was_killed_is_never_another_tree() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    let mut read = 0;
    for round in 1..6 {
        make(&image, 64, &[]);
        let place = folder.path().join("place");
        fs::create_dir_all(&place).unwrap();
        let mut writer = Command::new("ntfs-3g")
            .args(["-o", "no_detach"])
            .arg(&image)
            .arg(&place)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let is_mounted = || fs::read_to_string("/proc/self/mountinfo").unwrap().contains(place.to_str().unwrap());
        while !is_mounted() {
            assert!(writer.try_wait().unwrap().is_none(), "ntfs-3g ended");
            std::thread::yield_now();
        }
        fs::create_dir(place.join("folder")).unwrap();
        (0..round * 150).for_each(|number| {
            fs::write(place.join(format!("folder/entry {number} of a folder of many blocks")), bytes(number * 30))
                .unwrap();
        });
        writer.kill().unwrap();
        writer.wait().unwrap();
        run("umount", &["-l", place.to_str().unwrap()]);
        let Ok(filesystem) = open("ntfs", Image::open(&image)) else { continue };
        let Ok(mut found) = super::support::of_filesystem(filesystem.as_ref(), true) else { continue };
        let copy = folder.path().join("copy");
        fs::copy(&image, &copy).unwrap();
        let mut expected = of_folder(Mounted::by_ntfs_3g(&copy, "ro").path());
        // The top, to which ntfs-3g gives other bits than to all else.
        found.remove("/");
        expected.remove("/");
        assert!(found == expected, "round {round}: another tree");
        read += 1;
    }
    assert!(read > 0, "all were refused: nothing was compared");
}

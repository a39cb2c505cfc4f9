//! NTFS: made by mkntfs, filled through ntfs-3g, and compared with what that shows.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use rustix::fs::{XattrFlags, setxattr};
use vmdk2kvm_plugin_api::{ErrorKind, FileKind};

use super::mounted::{Mounted, bytes};
use super::support::{Holds, Image, assert_same, of_folder, open, run, sparse};

/// Attribute bits of files.
const COMPRESSED: u32 = 0x800;

pub fn make(image: &Path, mib: u64, arguments: &[&str]) {
    let place = sparse(image, mib);
    run("mkntfs", &[&["-F", "-Q", "-q", "-p", "0", "-H", "255", "-S", "63"], arguments, &[place]].concat());
}

/// Does something in a filesystem.
fn mounted(image: &Path, fill: impl FnOnce(&Path)) {
    fill(Mounted::by_ntfs_3g(image, "compression").path());
}

/// Does something in a filesystem, and says what it holds then.
pub fn fill(image: &Path, fill: impl FnOnce(&Path)) -> Holds {
    let mut holds = Holds::new();
    mounted(image, |folder| {
        fill(folder);
        holds = of_folder(folder);
    });
    // The top, to which ntfs-3g gives other bits than to all else.
    holds.insert("/".to_owned(), "folder 777 0 0".to_owned());
    holds
}

/// What a system has, and what only a test has.
fn populate(folder: &Path) {
    for name in ["Windows/System32/config", "many", "empty", "packed"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    for length in [0usize, 1, 60, 600, 700, 1024, 4095, 4096, 4097, 70_000, 3 << 20] {
        fs::write(folder.join(format!("Windows/{length}-bytes")), bytes(length)).unwrap();
    }
    fs::write(folder.join("Windows/System32").join("n".repeat(255)), b"long").unwrap();
    fs::write(folder.join("Windows/System32/gr\u{fc}n \u{1f600}"), b"green").unwrap();
    for number in 0..1500 {
        fs::write(folder.join(format!("many/Entry {number:05} of a large folder")), [number as u8; 3]).unwrap();
    }
    let sparse = File::create(folder.join("sparse")).unwrap();
    sparse.write_all_at(b"begin", 0).unwrap();
    sparse.write_all_at(b"middle", 1 << 20).unwrap();
    sparse.set_len(5 << 20).unwrap();
}

/// Writes a file into the holes that others leave, so that its clusters are in as many places.
fn fragment(folder: &Path, pieces: usize) {
    let piece = |number: usize| folder.join(format!("piece-{number}"));
    (0..2 * pieces).for_each(|number| fs::write(piece(number), vec![1; 4096]).unwrap());
    (0..pieces).for_each(|number| fs::remove_file(piece(2 * number)).unwrap());
    let room = folder.join("room");
    // What else is free is taken first.
    let rest = File::create(&room).unwrap();
    let free = rustix::fs::statvfs(folder).unwrap();
    let taken = free.f_bavail * free.f_frsize - pieces as u64 * 4096;
    let written = (0..taken.div_ceil(1 << 20)).try_for_each(|number| {
        rest.write_all_at(&vec![2; (taken - (number << 20)).min(1 << 20) as usize], number << 20)
    });
    written.unwrap();
    fs::write(folder.join("fragmented"), bytes((pieces - 50) * 4096 - 5)).unwrap();
    drop(rest);
    fs::remove_file(room).unwrap();
    (0..pieces).for_each(|number| fs::remove_file(piece(2 * number + 1)).unwrap());
}

fn info(image: &Path, file: &str) -> String {
    let out = Command::new("ntfsinfo").args(["-v", "-F", file]).arg(image).output().unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn every_size_of_clusters_and_sectors() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    for (mib, arguments) in [
        (96, &[][..]),
        (96, &["-c", "512"]),
        (96, &["-c", "1024"]),
        (96, &["-c", "2048"]),
        (96, &["-c", "16384"]),
        (256, &["-c", "65536"]),
        (96, &["-s", "4096"]),
        (256, &["-s", "4096", "-c", "65536"]),
        (256, &["-c", "131072"]),
    ] {
        make(&image, mib, arguments);
        let mut free = 0;
        let expected = fill(&image, |folder| {
            populate(folder);
            let room = rustix::fs::statvfs(folder).unwrap();
            free = room.f_bavail * room.f_frsize;
        });
        assert_same("ntfs", &image, &expected, &format!("ntfs {arguments:?}"));
        let filesystem = open("ntfs", Image::open(&image)).unwrap();
        assert_eq!(filesystem.free().bytes, Some(free), "{arguments:?}");
        assert_eq!(filesystem.head("/Windows/3145728-bytes", 5000).unwrap(), bytes(5000));
        assert_eq!(filesystem.head("/Windows/60-bytes", 5000).unwrap(), bytes(60));
    }
}

#[test]
fn names_are_the_same_in_any_case() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    make(&image, 32, &[]);
    fill(&image, |folder| {
        fs::create_dir_all(folder.join("Windows/System32/Gr\u{fc}n")).unwrap();
        fs::create_dir_all(folder.join("both")).unwrap();
        fs::write(folder.join("both/name"), "").unwrap();
        fs::write(folder.join("both/NAME"), "").unwrap();
        let long = folder.join("A long name of a file");
        fs::write(&long, "long").unwrap();
        setxattr(&long, "system.ntfs_dos_name", b"ALONGN~1", XattrFlags::empty()).unwrap();
    });
    let filesystem = open("ntfs", Image::open(&image)).unwrap();
    for path in ["/WINDOWS/system32", "/windows/SYSTEM32/GR\u{dc}N", "/a LONG name OF a file", "/alongn~1"] {
        assert!(filesystem.stat(path).unwrap().is_some(), "{path}");
    }
    assert_eq!(filesystem.read("/ALONGN~1").unwrap(), b"long");
    assert_eq!(filesystem.stat("/Windows/none").unwrap(), None);
    let names: Vec<String> = filesystem.list("/").unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["A long name of a file", "both", "Windows"]);
    // Which of two is meant only the system knows.
    let error = filesystem.stat("/both/name").unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Cannot, "a folder has names that differ in their case alone")
    );
}

#[test]
fn a_file_in_a_thousand_places_and_compressed_ones() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    make(&image, 64, &[]);
    let expected = fill(&image, |folder| {
        fragment(folder, 1500);
        let packed = folder.join("packed");
        fs::create_dir(&packed).unwrap();
        setxattr(&packed, "system.ntfs_attrib", &COMPRESSED.to_le_bytes(), XattrFlags::empty()).unwrap();
        let words: Vec<u8> = (0..300_000u32).flat_map(|number| format!("{} ", number % 997).into_bytes()).collect();
        // Pseudo-random bytes, which cannot be made smaller.
        let noise: Vec<u8> = (0..200_000u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect();
        fs::write(packed.join("words"), &words).unwrap();
        fs::write(packed.join("mixed"), [&words[..200_000], &noise, &words[..70_001]].concat()).unwrap();
        fs::write(packed.join("zeros"), vec![0; 300_000]).unwrap();
        fs::write(packed.join("short"), &words[..5000]).unwrap();
        (0..200).for_each(|number| fs::write(packed.join(format!("one of many {number}")), "").unwrap());
        let holes = File::create(packed.join("holes")).unwrap();
        holes.write_all_at(&words[..100_000], 500_000).unwrap();
        holes.set_len(2_000_000).unwrap();
        let taken = fs::metadata(packed.join("words")).unwrap().blocks() * 512;
        assert!(taken < words.len() as u64 * 9 / 10, "it is compressed: {taken} of {}", words.len());
    });
    assert!(info(&image, "fragmented").contains("$ATTRIBUTE_LIST"), "{}", info(&image, "fragmented"));
    assert_same("ntfs", &image, &expected, "fragmented and compressed");
    assert!(expected.contains_key("/fragmented") && expected.len() == 208, "{expected:#?}");
}

/// A reparse point: its kind and what follows.
fn point(path: &Path, tag: u32, body: &[u8]) {
    let raw = [&tag.to_le_bytes()[..], &(body.len() as u16).to_le_bytes(), &[0, 0], body].concat();
    setxattr(path, "system.ntfs_reparse_data", &raw, XattrFlags::empty()).unwrap();
}

fn link(path: &Path, tag: u32, flags: &[u8], target: &str) {
    let name: Vec<u8> = target.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let length = name.len() as u16;
    let places = [0, length, length, 0].map(u16::to_le_bytes).concat();
    point(path, tag, &[&places, flags, &name].concat());
}

#[test]
fn links_are_links_and_what_others_give_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    make(&image, 32, &[]);
    mounted(&image, |folder| {
        for name in ["Documents and Settings", "Cloud"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        for name in ["link", "wof"] {
            fs::write(folder.join(name), "").unwrap();
        }
        link(&folder.join("Documents and Settings"), 0xa000_0003, &[], "\\??\\C:\\Users");
        link(&folder.join("link"), 0xa000_000c, &[1, 0, 0, 0], "..\\other");
        point(&folder.join("wof"), 0x8000_0017, &[1, 0, 0, 0, 2, 0, 0, 0]);
        point(&folder.join("Cloud"), 0x9000_001a, &[0; 8]);
    });
    let filesystem = open("ntfs", Image::open(&image)).unwrap();
    let kind = |path: &str| filesystem.stat(path).unwrap().unwrap().kind;
    assert_eq!(kind("/Documents and Settings"), FileKind::Symlink);
    assert_eq!(filesystem.read_link("/Documents and Settings").unwrap(), "/C:/Users");
    assert_eq!((kind("/link"), filesystem.read_link("/LINK").unwrap().as_str()), (FileKind::Symlink, "../other"));
    let mut kinds: Vec<_> = filesystem.list("/").unwrap().into_iter().map(|entry| (entry.name, entry.kind)).collect();
    kinds.sort_by(|one, other| one.0.cmp(&other.0));
    let wanted = [
        ("Cloud", FileKind::Dir),
        ("Documents and Settings", FileKind::Symlink),
        ("link", FileKind::Symlink),
        ("wof", FileKind::File),
    ];
    assert_eq!(kinds, wanted.map(|(name, kind)| (name.to_owned(), kind)));
    assert_eq!(kind("/wof"), FileKind::File);
    for error in [
        filesystem.read("/wof").unwrap_err(),
        filesystem.head("/wof", 1).unwrap_err(),
        filesystem.list("/Cloud").unwrap_err(),
    ] {
        assert_eq!(error.kind, ErrorKind::Cannot, "{error}");
        assert!(error.message.contains("not given by NTFS"), "{error}");
    }
}

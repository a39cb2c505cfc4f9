//! Images made by xorriso and genisoimage.

use std::path::Path;

use super::*;
use crate::testing::run;

struct Memory(Vec<u8>);

impl BlockSource for Memory {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let start = offset as usize;
        buffer.copy_from_slice(&self.0[start..start + buffer.len()]);
        Ok(buffer.len())
    }
}

fn open(bytes: &[u8]) -> Result<Iso> {
    Iso::open("x.iso", Arc::new(Memory(bytes.to_vec())))
}

/// A folder with mixed case, long names, many files, and links.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str, content: &[u8]| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    put("NetKVM/2k12R2/amd64/netkvm.INF", b"one");
    put("viostor/w8.1/ARM64/viostor.sys", &[7; 5000]);
    put("empty", b"");
    for number in 0..150 {
        // Together longer than one sector.
        put(&format!("many/a rather long name of file number {number}.txt"), b"x");
    }
    put(&format!("{}.txt", "long".repeat(45)), b"long");
    std::os::unix::fs::symlink("NetKVM", folder.path().join("link")).unwrap();
    folder
}

fn image(program: &str, options: &[&str], folder: &Path) -> Vec<u8> {
    let out = tempfile::NamedTempFile::new().unwrap();
    let (out_path, folder) = (out.path().to_str().unwrap(), folder.to_str().unwrap());
    let first: &[&str] = if program == "xorriso" { &["-as", "mkisofs", "-quiet"] } else { &["-quiet"] };
    run(program, &[first, options, &["-o", out_path, folder]].concat(), b"");
    std::fs::read(out.path()).unwrap()
}

fn content(iso: &Iso, path: &str) -> Vec<u8> {
    let file = iso.files().iter().find(|file| file.path == path).unwrap_or_else(|| panic!("{path}"));
    iso.read(file).unwrap()
}

#[test]
fn names_of_every_kind() {
    let folder = folder();
    for (program, options, keeps_case) in [
        ("xorriso", &["-R"][..], true),
        ("xorriso", &["-J", "-R"], true),
        ("xorriso", &["-J", "-joliet-long"], true),
        ("genisoimage", &["-R", "-J"], true),
        ("genisoimage", &["-J", "-joliet-long"], true),
        ("genisoimage", &["-iso-level", "3"], false),
    ] {
        let iso = open(&image(program, options, folder.path())).unwrap();
        let (inf, sys) = match keeps_case {
            true => ("NetKVM/2k12R2/amd64/netkvm.INF", "viostor/w8.1/ARM64/viostor.sys"),
            false => ("NETKVM/2K12R2/AMD64/NETKVM.INF", "VIOSTOR/W8.1/ARM64/VIOSTOR.SYS"),
        };
        assert_eq!(content(&iso, inf), b"one", "{program} {options:?}");
        assert_eq!(content(&iso, sys), [7; 5000], "{program} {options:?}");
        let (many, empty) = if keeps_case { ("many/", "empty") } else { ("MANY/", "EMPTY") };
        assert_eq!(iso.files().iter().filter(|file| file.path.starts_with(many)).count(), 150, "{program} {options:?}");
        assert_eq!(content(&iso, empty), b"", "{program} {options:?}");
        assert!(iso.files().iter().all(|file| !file.path.to_lowercase().contains("link")), "{program} {options:?}");
        if options.contains(&"-R") {
            assert_eq!(content(&iso, &format!("{}.txt", "long".repeat(45))), b"long", "{program} {options:?}");
        }
    }
}

#[test]
fn an_image_that_was_not_copied_whole_is_told() {
    let folder = folder();
    let whole = image("xorriso", &["-J", "-R"], folder.path());
    let iso = open(&whole).unwrap();
    let last = iso.files().iter().flat_map(|file| &file.extents).map(|(offset, length)| offset + length).max().unwrap();
    let error = open(&whole[..last as usize - 1]).err().unwrap().message;
    assert!(error.starts_with("x.iso cannot be read as an ISO image: it ends before its file"), "{error}");
    let error = open(&whole[..40 << 10]).err().unwrap().message;
    assert!(error.contains("it was not copied whole"), "{error}");
}

#[test]
fn a_large_file_of_several_parts() {
    // Two records of one name, as images of files above 4 GiB have them.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("A.TXT"), b"first").unwrap();
    std::fs::write(folder.path().join("B.TXT"), b"second").unwrap();
    let mut bytes = image("genisoimage", &["-iso-level", "1"], folder.path());
    let at = |bytes: &[u8], name: &[u8]| bytes.windows(name.len()).position(|part| part == name).unwrap();
    let (first, second) = (at(&bytes, b"A.TXT;1"), at(&bytes, b"B.TXT;1"));
    bytes[first - 8] |= 0x80;
    bytes[second] = b'A';
    let iso = open(&bytes).unwrap();
    assert_eq!((iso.files().len(), iso.files()[0].size), (1, 11));
    assert_eq!(content(&iso, "A.TXT"), b"firstsecond");
}

#[test]
fn hostile_images_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("INNER")).unwrap();
    std::fs::write(folder.path().join("INNER/A.TXT"), b"x").unwrap();
    let sound = image("genisoimage", &["-iso-level", "1"], folder.path());
    // The last one is the record; a table of paths comes before.
    let at = |name: &[u8]| sound.windows(name.len()).rposition(|part| part == name).unwrap();
    let inner = at(b"INNER") - 33;
    let root = sound[16 * 2048 + 158..16 * 2048 + 162].to_vec();
    let changed = |at: usize, bytes: &[u8]| {
        let mut image = sound.clone();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    };
    for (image, why) in [
        (Vec::new(), "it has no ISO 9660 descriptor"),
        (vec![0; 64 << 10], "it has no ISO 9660 descriptor"),
        (changed(16 * 2048 + 128, &512_u16.to_le_bytes()), "its blocks have 512 bytes, and only 2048 are known"),
        (changed(inner + 2, &root), "its folder \"INNER\" is another one, too"),
        (changed(inner + 10, &u32::MAX.to_le_bytes()), "its folders are larger than any real ones"),
        (changed(inner + 2, &u32::MAX.to_le_bytes()), "it was not copied whole"),
        (changed(at(b"A.TXT"), b"/"), "it has a file with the name \"/.TXT\""),
        (changed(at(b"A.TXT"), b"\n"), "it has a file with the name \"\\n.TXT\""),
    ] {
        let error = open(&image).err().unwrap().message;
        assert!(
            error.starts_with("x.iso cannot be read as an ISO image: ") && error.contains(why),
            "{error}, not {why}"
        );
    }
}

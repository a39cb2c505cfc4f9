//! Makes the sound filesystems that are damaged, `base/TYPE` beside this file, and a first input for each. Needs the tools of the plugin's
//! tests, and FUSE.

use std::fs;
use std::path::Path;
use std::process::Command;

fn main() -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    fs::create_dir_all(tree.join("etc/deep"))?;
    for number in 0..60usize {
        fs::write(tree.join(format!("etc/deep/file number {number}")), vec![number as u8; number * 40])?;
    }
    fs::write(tree.join("large"), vec![5; 100_000])?;
    let tree = text(&tree);
    // With checksums of metadata nearly every damage ends at them.
    make("ext4", 4, |image| run("mkfs.ext4", &["-q", "-F", "-b", "1024", "-O", "^metadata_csum", "-d", tree, image]))?;
    make("ext2", 4, |image| run("mkfs.ext2", &["-q", "-F", "-b", "1024", "-d", tree, image]))?;
    make("btrfs", 128, |image| run("mkfs.btrfs", &["-q", "-f", "-m", "single", "-r", tree, image]))?;
    make("vfat", 4, |image| {
        run("mkfs.vfat", &["-F", "16", "-s", "1", image]);
        run("mcopy", &["-s", "-Q", "-i", image, &format!("{tree}/etc"), &format!("{tree}/large"), "::/"]);
    })?;
    let proto = folder.path().join("proto");
    // The description of a folder for mkfs.xfs knows no names with spaces.
    let file = |number| format!("file-{number} ---644 0 0 {tree}/plain/{number}\n");
    let files: String = (0..60).map(file).collect();
    fs::create_dir(Path::new(tree).join("plain"))?;
    for number in 0..60usize {
        fs::write(Path::new(tree).join(format!("plain/{number}")), vec![number as u8; number * 40])?;
    }
    fs::write(&proto, format!("/\n0 0\nd--755 0 0\netc d--755 0 0\n{files}$\n$\n"))?;
    make("xfs", 320, |image| run("mkfs.xfs", &["-q", "-f", "-p", text(&proto), image]))?;
    make("ntfs", 8, |image| {
        run("mkntfs", &["-F", "-Q", "-q", "-p", "0", "-H", "255", "-S", "63", image]);
        let place = folder.path().join("mounted");
        fs::create_dir_all(&place).expect("a folder");
        run("ntfs-3g", &[image, text(&place)]);
        run("cp", &["-r", &format!("{tree}/etc"), &format!("{tree}/large"), text(&place)]);
        run("umount", &[text(&place)]);
    })
}

fn make(fstype: &str, mib: u64, make: impl FnOnce(&str)) -> std::io::Result<()> {
    let image = targets::base(fstype);
    fs::create_dir_all(image.parent().expect("a folder"))?;
    fs::File::create(&image)?.set_len(mib << 20)?;
    make(text(&image));
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(fstype);
    fs::create_dir_all(&corpus)?;
    fs::write(corpus.join("0"), [1, 0, 20, 0, 9, 5, 0, 70, 0, 255])
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn run(program: &str, arguments: &[&str]) {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(program);
    // Small filesystems are made for tests only, and mkfs.xfs wants to be told so.
    command.args(arguments).env("PATH", path).envs(["TEST_DIR", "TEST_DEV", "QA_CHECK_FS"].map(|name| (name, "1")));
    let out = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
}

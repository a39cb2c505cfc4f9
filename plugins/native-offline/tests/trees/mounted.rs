//! Filesystems that this machine has mounted, and a tree that only a kernel can make.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, Mode, XattrFlags, fallocate, mkfifoat, setxattr};

use super::support::{Holds, of_folder, read_folder, run};

/// How long a filesystem may be in use that nobody uses.
const BUSY: Duration = Duration::from_secs(30);

/// A filesystem that is mounted until it is dropped.
pub struct Mounted(PathBuf);

impl Mounted {
    /// By the kernel, through a loop device.
    #[track_caller]
    pub fn by_kernel(image: &Path, options: &str) -> Self {
        Self::try_by_kernel(image, options).unwrap_or_else(|error| panic!("this test requires root: {error}"))
    }

    /// The same; what was said when the kernel refuses it.
    pub fn try_by_kernel(image: &Path, options: &str) -> Result<Self, String> {
        // A loop device that something looks at outlives its mount. The next one would be given it, with what it remembers of other bytes.
        let begun = Instant::now();
        while is_attached(image) && begun.elapsed() < BUSY {
            std::thread::sleep(Duration::from_millis(5));
        }
        let place = Self::place(image);
        let options = if options.is_empty() { "loop".to_owned() } else { format!("loop,{options}") };
        let out = Command::new("mount").arg("-o").arg(options).arg(image).arg(&place).output().unwrap();
        if out.status.success() { Ok(Self(place)) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
    }

    /// By ntfs-3g.
    pub fn by_ntfs_3g(image: &Path, options: &str) -> Self {
        let place = Self::place(image);
        run("ntfs-3g", &["-o", options, image.to_str().unwrap(), place.to_str().unwrap()]);
        Self(place)
    }

    fn place(image: &Path) -> PathBuf {
        let place = image.with_extension("mounted");
        fs::create_dir_all(&place).unwrap();
        place
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A program that another test is just starting has all files open that this one has, for a moment.
        let unmount = || Command::new("umount").arg(&self.0).output().is_ok_and(|out| out.status.success());
        let begun = Instant::now();
        let mut done = unmount();
        while !done && begun.elapsed() < BUSY {
            std::thread::sleep(Duration::from_millis(20));
            done = unmount();
        }
        assert!(done || std::thread::panicking(), "umount {}", self.0.display());
    }
}

/// Whether a loop device has an image.
fn is_attached(image: &Path) -> bool {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let backing = |device: fs::DirEntry| fs::read_to_string(device.path().join("loop/backing_file"));
    devices.filter_map(|device| backing(device).ok()).any(|backing| Path::new(backing.trim_end()) == image)
}

/// What the kernel finds in a filesystem, for reading only.
pub fn of_kernel(image: &Path, options: &str) -> Holds {
    of_folder(Mounted::by_kernel(image, options).path())
}

/// The same; `None` where it refuses any of it.
pub fn try_of_kernel(image: &Path, options: &str) -> Option<Holds> {
    let mounted = Mounted::try_by_kernel(image, options).ok()?;
    read_folder(mounted.path()).ok()
}

pub fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 251) as u8).collect()
}

/// What no tool puts into an image by itself: large folders, fragmented and preallocated files, long names, special files.
pub fn populate(folder: &Path) {
    let path = |name: &str| folder.join(name);
    for name in ["etc", "many", "gone", "deep/".repeat(30).as_str()] {
        fs::create_dir_all(path(name)).unwrap();
    }
    for number in 0..6000 {
        File::create(path(&format!("many/{number:05}-with-a-name-that-fills-a-block-of-the-folder-soon"))).unwrap();
    }
    // What is removed leaves holes in folders, and blocks that are used again.
    for number in 0..600 {
        fs::write(path(&format!("gone/{number}")), bytes(5000)).unwrap();
    }
    (0..600)
        .filter(|number| number % 3 != 0)
        .for_each(|number| fs::remove_file(path(&format!("gone/{number}"))).unwrap());
    fs::write(path(&format!("etc/{}", "n".repeat(255))), "long").unwrap();
    fs::write(path(&format!("etc/{}", "\u{fc}".repeat(127))), "long").unwrap();
    // Every other block of it is a hole.
    let holes = File::create(path("many-extents")).unwrap();
    for number in 0..3000u64 {
        holes.write_all_at(&[number as u8; 4096], number * 8192).unwrap();
    }
    let kept = File::create(path("preallocated")).unwrap();
    fallocate(&kept, FallocateFlags::empty(), 0, 1 << 20).unwrap();
    kept.write_all_at(b"middle", 500_000).unwrap();
    let far = File::create(path("far")).unwrap();
    far.write_all_at(b"end", 200 << 20).unwrap();
    for length in [0usize, 1, 50, 160, 1500, 2047, 4096, 70_000, 3 << 20] {
        fs::write(path(&format!("etc/{length}-bytes")), bytes(length)).unwrap();
    }
    // The longest one that XFS takes.
    for length in [1, 59, 60, 100, 255, 1023] {
        symlink(&"target/".repeat(150)[..length], path(&format!("etc/link-of-{length}"))).unwrap();
    }
    fs::hard_link(path("etc/1500-bytes"), path("etc/the-same")).unwrap();
    chown(path("etc/1-bytes"), Some(70_000), Some(100_000)).unwrap();
    fs::set_permissions(path("etc/50-bytes"), fs::Permissions::from_mode(0o6711)).unwrap();
    let attribute = bytes(250);
    for name in ["user.one", "user.two", "security.other"] {
        setxattr(path("etc/160-bytes"), name, &attribute, XattrFlags::empty()).unwrap();
    }
    mkfifoat(rustix::fs::CWD, path("etc/pipe"), Mode::from(0o640)).unwrap();
    drop(UnixListener::bind(path("s")).unwrap());
}

//! A folder that no disk should be in. The hostile corpus of the whole program has its sources in such a folder, too.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

/// A folder with everything that is not a plain file, and next to it a file that no name may reach.
pub fn trap(outer: &Path) -> std::path::PathBuf {
    let folder = outer.join("vm");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(outer.join("secret"), [0x53; 4096]).unwrap();
    std::fs::write(folder.join("plain"), [1; 4096]).unwrap();
    std::fs::create_dir(folder.join("folder")).unwrap();
    symlink("plain", folder.join("link-inside")).unwrap();
    symlink("../secret", folder.join("link-outside")).unwrap();
    symlink("/etc/passwd", folder.join("link-absolute")).unwrap();
    symlink("link-loop", folder.join("link-loop")).unwrap();
    symlink("gone", folder.join("link-dangling")).unwrap();
    symlink("..", folder.join("up")).unwrap();
    symlink("/proc/self/root", folder.join("root")).unwrap();
    symlink("/dev/zero", folder.join("link-device")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, folder.join("fifo"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    drop(UnixListener::bind(folder.join("socket")).unwrap());
    folder
}

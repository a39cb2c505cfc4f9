//! A block device that is a file: a loop device, which goes when it is dropped.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A loop device.
pub struct LoopDevice(PathBuf);

impl LoopDevice {
    /// One on a new sparse file of so many bytes.
    pub fn new(file: &Path, bytes: u64) -> Self {
        File::create(file).unwrap().set_len(bytes).unwrap();
        Self::on(file)
    }

    /// One on a file that is there.
    pub fn on(file: &Path) -> Self {
        Self::made(Command::new("losetup").args(["--find", "--show"]).arg(file))
    }

    /// One that cannot forget what it holds: its file is on a file system without holes. `folder` is where that is mounted meanwhile, for
    /// nobody else to see.
    pub fn that_keeps_all(folder: &Path, bytes: u64) -> Self {
        let script =
            "mount -t ramfs ramfs \"$1\" && truncate -s \"$2\" \"$1/device\" && losetup --find --show \"$1/device\"";
        Self::made(
            Command::new("unshare").args(["--mount", "sh", "-c", script, "sh"]).arg(folder).arg(bytes.to_string()),
        )
    }

    fn made(command: &mut Command) -> Self {
        let made = command.output().expect("losetup and unshare (packages mount, util-linux)");
        assert!(made.status.success(), "no loop device, which needs root: {}", String::from_utf8_lossy(&made.stderr));
        Self(String::from_utf8(made.stdout).unwrap().trim().into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Its path as a text.
    pub fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// Fills it with bytes that are not zero.
    pub fn soil(&self, bytes: u64) {
        let file = File::options().write(true).open(&self.0).unwrap();
        let mebibyte = vec![0xA5; 1 << 20];
        (0..bytes >> 20).for_each(|number| file.write_all_at(&mebibyte, number << 20).unwrap());
        file.sync_all().unwrap();
    }

    /// So many bytes from its start.
    pub fn read(&self, bytes: usize) -> Vec<u8> {
        let mut content = vec![0; bytes];
        File::open(&self.0).unwrap().read_exact_at(&mut content, 0).unwrap();
        content
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.0).status();
    }
}

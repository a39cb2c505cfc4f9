//! What a device or a file lies on, so that a source is not written onto itself under another name.

use std::collections::BTreeSet;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::makedev;

use super::identity::folder;

/// No mapping is deeper than this.
const DEEPEST: usize = 32;

/// A device or a file, and everything that holds its bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Its own number, when it is a device.
    own: Option<u64>,
    /// Those of the devices below it, its own among them. Two devices may lie on one and have no byte in common.
    devices: BTreeSet<u64>,
    /// By device and inode.
    files: BTreeSet<(u64, u64)>,
}

impl Lineage {
    /// That of what this path leads to: a device with the disk it is a part of, the devices that it is mapped onto, and the file behind a
    /// loop device; or a file alone. Nothing for anything else.
    pub fn of(path: &Path) -> Self {
        let device = path.metadata().ok().filter(|found| found.file_type().is_block_device());
        let mut lineage = Self { own: device.map(|found| found.rdev()), ..Self::default() };
        lineage.add(path, DEEPEST);
        lineage
    }

    /// Whether the two have bytes in common.
    pub fn meets(&self, other: &Self) -> bool {
        let lies_on = |above: &Self, below: &Self| below.own.is_some_and(|own| above.devices.contains(&own));
        lies_on(self, other) || lies_on(other, self) || !self.files.is_disjoint(&other.files)
    }

    fn add(&mut self, path: &Path, deeper: usize) {
        let Ok(found) = path.metadata() else { return };
        if found.file_type().is_block_device() {
            self.add_device(found.rdev(), deeper);
        } else if found.is_file() {
            self.files.insert((found.dev(), found.ino()));
        }
    }

    fn add_device(&mut self, number: u64, deeper: usize) {
        if deeper == 0 || !self.devices.insert(number) {
            return;
        }
        let folder = folder(number);
        let whole = folder.join("partition").exists().then(|| folder.canonicalize().ok()?.parent().map(Path::to_owned));
        let below = std::fs::read_dir(folder.join("slaves")).into_iter().flatten().flatten().map(|entry| entry.path());
        let numbers: Vec<u64> =
            whole.flatten().into_iter().chain(below).filter_map(|folder| number_in(&folder)).collect();
        numbers.into_iter().for_each(|number| self.add_device(number, deeper - 1));
        if let Ok(backing) = std::fs::read_to_string(folder.join("loop/backing_file")) {
            self.add(&PathBuf::from(backing.trim_end_matches('\n')), deeper - 1);
        }
    }
}

fn number_in(folder: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(folder.join("dev")).ok()?;
    let (major, minor) = text.trim().split_once(':')?;
    Some(makedev(major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_meets_itself_under_another_name() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| Lineage::of(&folder.path().join(name));
        for name in ["a", "b"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::hard_link(folder.path().join("a"), folder.path().join("c")).unwrap();
        std::os::unix::fs::symlink("a", folder.path().join("d")).unwrap();
        assert!(of("a").meets(&of("c")) && of("d").meets(&of("c")));
        assert!(!of("a").meets(&of("b")) && !of("none").meets(&of("none")));
    }
}

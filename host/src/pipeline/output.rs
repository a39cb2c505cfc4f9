//! The output folder: final names, the work folder in it, and whether there is room.

use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::{ErrorKind, ExtentKind, PluginError, Result};

use super::flatten::FlatDisk;
use crate::config::{Command, Job};
use crate::copy::windows::Windows;
use crate::journal::{Records, WorkLock, create_private_folder};
use crate::target::safe_name;

/// Name of the work folder beside the result.
const WORK_FOLDER: &str = ".vmdk2kvm-work";

/// Where a run writes.
pub(super) struct Output {
    pub dir: PathBuf,
    pub name: String,
    pub work: PathBuf,
    pub records: Records,
    made_dir: bool,
    /// Held until the run ends.
    _lock: WorkLock,
}

impl Output {
    /// Makes the folders and takes the lock. `vm_name` is any text.
    pub fn prepare(job: &Job, vm_name: &str) -> Result<Self> {
        let dir = job.output.clone().ok_or_else(|| {
            PluginError::new(ErrorKind::Usage, format!("`{}` needs an output folder", job.command.as_str()))
                .hint("give one with -o DIR")
        })?;
        let name = safe_name(vm_name);
        let work = job.work_dir.as_ref().map_or_else(|| dir.join(WORK_FOLDER), |work| work.join(&name));
        if dir.exists() && !dir.is_dir() {
            return Err(PluginError::output(format!("{} is not a folder", dir.display())).hint("name a folder with -o"));
        }
        let made_dir = !dir.exists();
        create_private_folder(&dir)?;
        create_private_folder(&work)?;
        let lock = WorkLock::take(&work)?;
        Ok(Self { records: Records::in_folder(&work), dir, name, work, made_dir, _lock: lock })
    }

    /// Final path of a disk's image.
    pub fn image(&self, index: usize, format: &str) -> PathBuf {
        self.dir.join(format!("{}-disk{}.{format}", self.name, index + 1))
    }

    /// Where the working image of a disk grows: beside its final name, so that promotion is a rename.
    pub fn part(&self, index: usize) -> PathBuf {
        self.dir.join(format!("{}-disk{}.part", self.name, index + 1))
    }

    /// Where an image of another format than the working one grows.
    pub fn converted_part(&self, index: usize) -> PathBuf {
        self.dir.join(format!("{}-disk{}.converted.part", self.name, index + 1))
    }

    /// The domain's file.
    pub fn domain(&self) -> PathBuf {
        self.dir.join(format!("{}.xml", self.name))
    }

    /// Refuses to go on when anything has a name that the result will need. `taken` are names that are ours already.
    pub fn refuse_existing(&self, job: &Job, disks: usize, ours: &[PathBuf]) -> Result<()> {
        let mut names: Vec<PathBuf> = (0..disks).map(|index| self.image(index, job.format.as_str())).collect();
        if matches!(job.command, Command::Migrate | Command::Apply | Command::Fix) {
            names.extend(["report.json", "report.md", "report.html", "plan.json"].map(|name| self.dir.join(name)));
        }
        if matches!(job.command, Command::Migrate | Command::Apply) {
            names.extend([self.domain(), self.dir.join("boot")]);
        }
        match names.iter().find(|name| name.symlink_metadata().is_ok() && !ours.contains(name)) {
            None => Ok(()),
            Some(name) => Err(PluginError::output(format!("{} exists already", name.display()))
                .hint("move it away, or use another output folder: nothing is overwritten")),
        }
    }

    /// Checks that the data of the disks that are still to be copied fits, with five per cent to spare.
    pub fn check_space(&self, disks: &[&FlatDisk]) -> Result<()> {
        let mut needed = 0u64;
        for disk in disks {
            needed = needed.saturating_add(data_bytes(disk)?);
        }
        let needed = needed.saturating_add(needed / 20);
        let found =
            rustix::fs::statvfs(&self.dir).map_err(|error| PluginError::from_io(self.dir.display(), &error.into()))?;
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        if needed <= free {
            return Ok(());
        }
        Err(PluginError::output(format!(
            "{} has {} free, the disks need {}",
            self.dir.display(),
            crate::events::bytes(free),
            crate::events::bytes(needed)
        ))
        .hint("free some space, or use an output folder on another file system"))
    }

    /// Removes the work folder.
    pub fn remove_work(&self) -> Result<()> {
        std::fs::remove_dir_all(&self.work).map_err(|error| PluginError::from_io(self.work.display(), &error))
    }

    /// After a failure before anything worth keeping: leaves the output folder as it was found.
    pub fn abandon(&self) {
        let lock_only = std::fs::read_dir(&self.work)
            .is_ok_and(|entries| entries.flatten().all(|entry| entry.file_name() == "lock"));
        if lock_only {
            // Best effort: a folder that is in use by then stays.
            let _ = std::fs::remove_file(self.work.join("lock"));
            let _ = std::fs::remove_dir(&self.work);
            if self.made_dir {
                let _ = std::fs::remove_dir(&self.dir);
            }
        }
    }
}

/// Bytes of a disk that its map calls data.
fn data_bytes(disk: &FlatDisk) -> Result<u64> {
    let mut windows = Windows::new(disk.source.as_ref(), 0, disk.source.size());
    let mut total = 0u64;
    while let Some(extents) = windows.next()? {
        let data = extents.iter().filter(|extent| extent.kind == ExtentKind::Data);
        total = data.fold(total, |total, extent| total.saturating_add(extent.length));
    }
    Ok(total)
}

/// Removes a file that may not be there.
pub(super) fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(PluginError::from_io(path.display(), &error)),
        _ => Ok(()),
    }
}

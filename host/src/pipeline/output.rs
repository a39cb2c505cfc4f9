//! The output folder: final names, the work folder that goes with it, the locks on both, and whether there is room.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::model::SourceRef;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::disk::Disk;
use super::format::{converts_files, file_format, is_in_rounds};
use super::paths::remove_folder;
use super::run::Run;
use super::source::Kept;
use crate::config::{Command, Job};
use crate::copy::Target;
use crate::journal::{LOCK_FILE, Lock, NotedHold, Patience, Records, StageKey, create_private_folder, output_error};
use crate::machine::safe_name;

/// Folder of the boot's evidence in the output folder.
pub(super) const EVIDENCE: &str = "boot";
/// What lies beside the images, whatever the machine is called.
pub(super) const OWN_FILES: [&str; 4] = ["report.json", "report.md", "report.html", "plan.json"];
/// Records of a migration in rounds begin with this.
pub(super) const ROUNDS: &str = "round-";
/// Name of the work folder beside the result.
const WORK_FOLDER: &str = ".vmdk2kvm-work";
/// Folder in the work folder with those of the plugins.
const PLUGIN_FOLDERS: &str = "plugins";
/// Folder in the work folder for what only this run needs. Emptied by the next one.
const SCRATCH_FOLDER: &str = "scratch";
/// A file system with less free space than this is full, in bytes.
const FULL: u64 = 1 << 20;

/// Where a run writes.
pub(super) struct Output {
    pub dir: PathBuf,
    pub name: String,
    pub work: PathBuf,
    pub scratch: PathBuf,
    pub records: Records,
    /// What is kept ahead of the digests of this run.
    pub kept: Kept,
    /// This run has made the folder.
    is_new: bool,
    /// Held until the run ends.
    _locks: [Lock; 2],
    /// Behind the locks: it goes when their files are closed.
    rest: Rest,
}

/// What may be left of a work folder that was removed. Network file systems, and some in user space, keep a file that is open under another name
/// until it is closed, as that of the lock is, and its folder with it.
struct Rest {
    work: PathBuf,
    is_left: AtomicBool,
}

impl Rest {
    /// The names of files that are removed and still open: of NFS, and of libfuse.
    const NAMES: [&str; 2] = [".nfs", ".fuse_hidden"];

    fn is_all(&self) -> bool {
        let is_rest = |entry: std::io::Result<std::fs::DirEntry>| {
            entry
                .is_ok_and(|entry| Self::NAMES.iter().any(|name| entry.file_name().to_string_lossy().starts_with(name)))
        };
        std::fs::read_dir(&self.work).is_ok_and(|mut entries| entries.all(is_rest))
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if self.is_left.load(Ordering::Relaxed) {
            // Another machine may have one of its files open: then it goes there, or with the next run.
            let _ = std::fs::remove_dir(&self.work);
        }
    }
}

impl Output {
    /// Makes the folders and takes the locks.
    pub fn prepare(run: &Run<'_>) -> Result<Self> {
        let job = run.job;
        let dir = job.settings.output.clone().ok_or_else(|| {
            PluginError::new(ErrorKind::Usage, format!("`{}` needs an output folder", job.command.as_str()))
                .hint("give one with -o DIR")
        })?;
        if dir.exists() && !dir.is_dir() {
            return Err(PluginError::output(format!("{} is not a folder", dir.display())).hint("name a folder with -o"));
        }
        let (work, is_new) = (work_folder(job, &dir), !dir.exists());
        let (cancelled, say) = (|| run.cancelled(), |text| run.services.events().warn(text));
        let mut patience = Patience::new(&cancelled, &say);
        let output_lock = Lock::output(&dir, &work, &mut patience)?;
        create_private_folder(&work)?;
        let (work_lock, fence) = Lock::work(&work, &mut patience)?;
        let scratch = work.join(SCRATCH_FOLDER);
        remove_folder(&scratch)?;
        create_private_folder(&scratch)?;
        let records = Records::in_folder(&work, fence);
        let (name, kept, locks) = (String::new(), Kept::default(), [output_lock, work_lock]);
        let rest = Rest { work: work.clone(), is_left: AtomicBool::new(false) };
        let output = Self { records, dir, name, work, scratch, kept, is_new, _locks: locks, rest };
        // A supervisor that ended before the lock's file could name it has had this run cancelled.
        run.check_cancelled().inspect_err(|_| output.abandon())?;
        Ok(output)
    }

    /// Names the result after the VM, whose name may be any text.
    pub fn name_after(&mut self, vm: &str) {
        self.name = safe_name(vm);
    }

    /// Where plugins have folders of their own for a job on this source: a later run of it finds them as they were.
    pub fn folders(&self, source: &SourceRef) -> PathBuf {
        let job = StageKey::new(&["source", &source.uri, source.vm.as_deref().unwrap_or_default()]);
        self.work.join(PLUGIN_FOLDERS).join(&job.as_str()[..12])
    }

    /// Final path of a disk's image: a file, or its device.
    pub fn image(&self, job: &Job, disk: &Disk) -> PathBuf {
        let device = disk.device.as_ref().map(|device| device.path().to_owned());
        device.unwrap_or_else(|| self.image_file(job, disk.index))
    }

    fn image_file(&self, job: &Job, index: usize) -> PathBuf {
        self.dir.join(format!("{}-disk{}.{}", self.name, index + 1, job.settings.format.as_str()))
    }

    /// Where the working image of a disk grows: beside its final name, so that promotion is a rename; or on its device.
    pub fn part(&self, job: &Job, disk: &Disk) -> Target {
        let device = disk.device.as_ref().map(|device| Target::Device(device.path().to_owned()));
        device.unwrap_or_else(|| Target::File(self.part_file(disk.index), file_format(job)))
    }

    /// The same for a disk that ends in a file.
    pub fn part_file(&self, index: usize) -> PathBuf {
        self.dir.join(format!("{}-disk{}.part", self.name, index + 1))
    }

    /// Where an image of another format than the working one grows.
    pub fn converted_part(&self, index: usize) -> PathBuf {
        self.dir.join(format!("{}-disk{}.converted.part", self.name, index + 1))
    }

    /// Refuses to go on when anything has a name that the result will need: those of the disks of these numbers, which become `files`, and `rendered` among them. `ours` are the images that a former run of this job gave their
    /// names already. It had found all names free before, and what it wrote beside them is its own too.
    pub fn refuse_existing<'a>(
        &self,
        job: &Job,
        files: impl Iterator<Item = usize>,
        rendered: impl Iterator<Item = &'a str>,
        ours: &[PathBuf],
    ) -> Result<()> {
        let mut names: Vec<PathBuf> = files.map(|index| self.image_file(job, index)).collect();
        names.retain(|name| !ours.contains(name));
        if ours.is_empty() && (job.command.makes_machine() || job.command == Command::Fix) {
            names.extend(OWN_FILES.map(|name| self.dir.join(name)));
        }
        if ours.is_empty() && job.command.makes_machine() {
            names.extend(rendered.map(|name| self.dir.join(name)));
            names.push(self.dir.join(EVIDENCE));
        }
        match names.iter().find(|name| name.symlink_metadata().is_ok()) {
            None => Ok(()),
            Some(name) => Err(PluginError::output(format!("{} exists already", name.display()))
                .hint("move it away, or use another output folder: nothing is overwritten")),
        }
    }

    /// Refuses a folder whose unfinished work is a migration in rounds, to a job that is not in rounds, which would overwrite it; and the other way round.
    pub fn refuse_work_of_another_kind(&self, job: &Job) -> Result<()> {
        let (rounds, dir) = (!self.records.names(ROUNDS).is_empty(), self.dir.display());
        let (message, hint) = match (rounds, is_in_rounds(job)) {
            (true, false) => (
                format!("{dir} holds a migration in rounds"),
                format!(
                    "`vmdk2kvm cutover {dir}` ends it; to give it up `vmdk2kvm release {dir}`, and remove the folder"
                ),
            ),
            (false, true) if !self.records.names("copy-").is_empty() => (
                format!("{dir} holds an unfinished migration that is not in rounds"),
                "run that command again to finish it, or use another output folder".to_owned(),
            ),
            _ => return Ok(()),
        };
        Err(PluginError::output(message).hint(hint))
    }

    /// Checks that so many bytes of data, which are still to be copied into files, fit, with five per cent to spare; twice where the working images are
    /// converted. How small compressed images get is not known before.
    pub fn check_space(&self, job: &Job, data: u64) -> Result<()> {
        let mut needed = data.saturating_add(data / 20);
        if converts_files(job) && !job.settings.compress {
            needed = needed.saturating_mul(2);
        }
        let free = free_bytes(&self.dir)?;
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

    /// What fails while a file system is full failed for that reason, whatever an appliance or a program made of it.
    pub fn blame_full_disk(&self, error: PluginError) -> PluginError {
        if !matches!(error.kind, ErrorKind::Io | ErrorKind::Unusable | ErrorKind::Temporary) {
            return error;
        }
        match [&self.dir, &self.work].into_iter().find(|folder| free_bytes(folder).is_ok_and(|free| free < FULL)) {
            None => error,
            Some(folder) => error
                .of_kind(ErrorKind::Output)
                .context(format_args!("the file system of {} is full", folder.display()))
                .hint("free some space, and run the same command again"),
        }
    }

    /// Removes the work folder.
    pub fn remove_work(&self) -> Result<()> {
        self.records.fence().check()?;
        if !NotedHold::left_in_work(&self.records, None).is_empty() {
            // What could not be given back is given back by its note.
            return Ok(());
        }
        let removed = remove_folder(&self.work);
        if removed.is_err() && self.rest.is_all() {
            self.rest.is_left.store(true, Ordering::Relaxed);
            return Ok(());
        }
        removed
    }

    /// After a failure: removes what the run needed for itself, and the folders when there is nothing to resume from.
    pub fn abandon(&self) {
        if self.records.fence().check().is_err() {
            return;
        }
        // Best effort, all of it: the failure that led here is the one to report.
        let _ = remove_folder(&self.scratch);
        remove_empty(&self.work.join(PLUGIN_FOLDERS));
        let lock_only = std::fs::read_dir(&self.work)
            .is_ok_and(|entries| entries.flatten().all(|entry| entry.file_name() == LOCK_FILE));
        if lock_only {
            let _ = remove_folder(&self.work);
        }
        if self.is_new {
            // Stays when there is something in it.
            let _ = std::fs::remove_dir(&self.dir);
        }
    }
}

/// The work folder of a job that leaves its result in `dir`. Below `--work-dir` another output folder has another one.
pub(super) fn work_folder(job: &Job, dir: &Path) -> PathBuf {
    work_folder_below(job.settings.work_dir.as_deref(), dir)
}

/// The same by the setting alone.
pub(super) fn work_folder_below(work_dir: Option<&Path>, dir: &Path) -> PathBuf {
    let Some(folder) = work_dir else { return dir.join(WORK_FOLDER) };
    let digest = format!("{:x}", Sha256::digest(dir.as_os_str().as_encoded_bytes()));
    let name = safe_name(&dir.file_name().unwrap_or_default().to_string_lossy());
    folder.join(format!("{name}-{}", &digest[..12]))
}

/// Removes folders that hold nothing but such.
fn remove_empty(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        remove_empty(&entry.path());
    }
    // One that holds anything stays.
    let _ = std::fs::remove_dir(folder);
}

fn free_bytes(folder: &Path) -> Result<u64> {
    let found = rustix::fs::statvfs(folder).map_err(|error| output_error(folder.display(), &error.into()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

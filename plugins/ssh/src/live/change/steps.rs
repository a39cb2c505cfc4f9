//! A plan as steps on places of the guest: what is at each place now, and what will be. Several changes of one place are one step.

use sha2::{Digest, Sha256};
use vmdk2kvm_linux_guest::initramfs::{contents, extension, has_driver};
use vmdk2kvm_linux_guest::program;
use vmdk2kvm_plugin_api::model::{Action, AppliedStatus, Change, InitramfsTool};
use vmdk2kvm_plugin_api::paths::{self, Place};
use vmdk2kvm_plugin_api::{FileKind, Guest, Overlay, PluginError, Result};

/// Rescue images with everything inside reach 200 MiB.
const LIMIT: u64 = 1 << 30;

/// What is to be at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A folder, where none is.
    Folder,
    /// A file of this content; the mode stays where it is `None`. What only grows is sent as what is added.
    File { content: Bytes, digest: String, mode: Option<u32> },
    /// A symlink to this.
    Link(String),
    /// Nothing.
    Gone,
    /// What this command of the guest makes at `{}`, which stands for a new name beside the place.
    Made(Vec<String>),
}

/// Bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bytes {
    Whole(Vec<u8>),
    /// Behind what is there.
    More(Vec<u8>),
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// Without symlinks.
    pub path: String,
    /// What is there now, in the words of the guest's `state`.
    pub old: String,
    pub wanted: Wanted,
}

/// A boot archive that must have these drivers when all is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    pub path: String,
    pub kernel: String,
    pub drivers: Vec<String>,
}

/// The steps of a plan.
#[derive(Debug, Default)]
pub(super) struct Steps {
    pub steps: Vec<Step>,
    pub checks: Vec<Check>,
    /// For each change, whether anything is to be done for it.
    pub statuses: Vec<AppliedStatus>,
}

/// Stands in a command for the place of what it makes.
pub(super) const HERE: &str = "{}";

impl Steps {
    /// The steps that lead to what the changes want. Reads the guest, and refuses what was not planned for it as it is.
    pub fn of<G: Guest>(guest: &G, changes: &[Change]) -> Result<Self> {
        let planned = Overlay::new(guest);
        let mut found = Self::default();
        let mut places: Vec<String> = Vec::new();
        for change in changes {
            let target = change.target.as_str();
            let before = |follow| paths::resolve_in(&planned, target, follow).map(Place::into_path);
            let status = match &change.action {
                Action::WriteFile { .. } | Action::CopyFile { .. } => {
                    places.push(before(true)?);
                    planned.apply(change)?.status
                }
                Action::Remove { .. } | Action::Symlink { .. } => {
                    places.push(before(false)?);
                    planned.apply(change)?.status
                }
                Action::ExtendInitramfs { kernel, drivers, files } => {
                    let path = before(true)?;
                    let old = guest.read(&path, LIMIT)?;
                    let old =
                        old.ok_or_else(|| PluginError::unusable(format!("{path}: nothing is there to extend")))?;
                    let more = extension(guest, kernel, drivers, files, &old).map_err(|error| error.context(&path))?;
                    found.grow(path, kernel, drivers, &old, more)?
                }
                Action::RebuildInitramfs { kernel, tool, drivers } => {
                    let path = before(true)?;
                    let command = made_here(guest, *tool, &path, kernel, drivers)?;
                    found.steps.push(Step {
                        old: state(guest, &path)?,
                        wanted: Wanted::Made(command),
                        path: path.clone(),
                    });
                    found.checks.push(Check { path, kernel: kernel.clone(), drivers: drivers.clone() });
                    AppliedStatus::Done
                }
                other => {
                    return Err(PluginError::unusable(format!(
                        "{target}: the change \"{}\" cannot be made in a guest that runs",
                        other.kind()
                    )));
                }
            };
            found.statuses.push(status);
        }
        let files = files(guest, &planned, places)?;
        // A boot archive that a tool makes reads the configuration.
        found.steps.splice(0..0, files);
        Ok(found)
    }

    fn grow(
        &mut self,
        path: String,
        kernel: &str,
        drivers: &[String],
        old: &[u8],
        more: Vec<u8>,
    ) -> Result<AppliedStatus> {
        if more.is_empty() {
            return Ok(AppliedStatus::Unchanged);
        }
        let mut whole = old.to_vec();
        whole.extend_from_slice(&more);
        let check = Check { path: path.clone(), kernel: kernel.to_owned(), drivers: drivers.to_vec() };
        check.holds(&whole)?;
        let wanted = Wanted::File { content: Bytes::More(more), digest: sha256_hex(&whole), mode: None };
        self.steps.push(Step { path, old: sha256_hex(old), wanted });
        self.checks.push(check);
        Ok(AppliedStatus::Done)
    }
}

impl Check {
    /// Whether an archive has all its drivers.
    pub fn holds(&self, image: &[u8]) -> Result<()> {
        let inside = contents(image).map_err(|error| error.context(&self.path))?;
        match self.drivers.iter().find(|driver| !has_driver(&inside, &self.kernel, driver)) {
            Some(driver) => {
                Err(PluginError::unusable(format!("{}: {driver} is still missing after the change", self.path)))
            }
            None => Ok(()),
        }
    }
}

/// The steps for places in which files and links will be others than now; each once, behind the folders that are missing above it.
fn files(guest: &dyn Guest, planned: &Overlay<'_>, places: Vec<String>) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    for path in places {
        if steps.iter().any(|step| step.path == path) {
            continue;
        }
        let old = state(guest, &path)?;
        let now = guest.stat(&path)?;
        let wanted = match planned.stat(&path)? {
            None if old == NOTHING => continue,
            None => Wanted::Gone,
            Some(stat) if stat.kind == FileKind::Symlink => {
                let to = planned.read_link(&path)?;
                if old == link_state(&to) {
                    continue;
                }
                Wanted::Link(to)
            }
            Some(stat) => {
                let content = planned.read(&path, LIMIT)?.unwrap_or_default();
                let digest = sha256_hex(&content);
                let mode = (now.is_none_or(|now| now.mode != stat.mode)).then_some(stat.mode);
                if old == digest && mode.is_none() {
                    continue;
                }
                Wanted::File { content: Bytes::Whole(content), digest, mode }
            }
        };
        if matches!(wanted, Wanted::File { .. } | Wanted::Link(_)) {
            for folder in missing_folders(guest, &path)? {
                if !steps.iter().any(|step| step.path == folder) {
                    steps.push(Step { path: folder, old: NOTHING.to_owned(), wanted: Wanted::Folder });
                }
            }
        }
        steps.push(Step { path, old, wanted });
    }
    Ok(steps)
}

/// The folders above a path that are not there, the topmost first.
fn missing_folders(guest: &dyn Guest, path: &str) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    let mut folder = paths::parent(path);
    while folder != "/" && guest.stat(folder)?.is_none() {
        missing.push(folder.to_owned());
        folder = paths::parent(folder);
    }
    missing.reverse();
    Ok(missing)
}

/// The guest's word for a place with nothing.
pub(super) const NOTHING: &str = "-";

/// What is at a place, in the words of the guest's `state`.
fn state(guest: &dyn Guest, path: &str) -> Result<String> {
    Ok(match guest.stat(path)?.map(|stat| stat.kind) {
        None => NOTHING.to_owned(),
        Some(FileKind::Symlink) => link_state(&guest.read_link(path)?),
        Some(FileKind::File) => sha256_hex(&guest.read(path, LIMIT)?.unwrap_or_default()),
        Some(_) => return Err(PluginError::unusable(format!("{path}: neither a file nor a symlink"))),
    })
}

/// The guest's word for a symlink.
pub(super) fn link_state(to: &str) -> String {
    format!("link-{}", sha256_hex(to.as_bytes()))
}

/// The command that makes a boot archive at a new name: the old one stays until the new one is whole.
fn made_here(
    guest: &dyn Guest,
    tool: InitramfsTool,
    path: &str,
    kernel: &str,
    drivers: &[String],
) -> Result<Vec<String>> {
    if tool == InitramfsTool::InitramfsTools {
        // What `update-initramfs` runs; it alone takes a name.
        let kernel = program::word("kernel release", kernel)?;
        return Ok(["mkinitramfs", "-o", HERE, kernel].map(str::to_owned).into());
    }
    let folder = paths::parent(path);
    let command = program::make_initramfs(guest, tool, &paths::join(folder, HERE), kernel, drivers)?;
    let whole = paths::join(folder, HERE);
    Ok(command.into_iter().map(|word| if word == whole { HERE.to_owned() } else { word }).collect())
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

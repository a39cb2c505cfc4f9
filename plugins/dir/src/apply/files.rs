//! Writing, copying, removing and linking files: a new content appears under its name whole and synced, or not at all.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

use rustix::fs::{self as unix, AtFlags, FileType, Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::model::Applied;
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::{done, unchanged};
use crate::tree::{Place, Tree, errno};

/// No file that a plan speaks of is larger.
pub(super) const FILE_LIMIT: u64 = 1 << 30;
const TEMPORARY: &str = ".vmdk2kvm-new";
const ASIDE: &str = ".vmdk2kvm-old";
/// SELinux's label; what else is on a file (ACLs) belongs to files that no fixer writes.
const LABEL: &str = "security.selinux";

/// Gives a file this content.
pub(super) fn write(tree: &Tree, path: &str, content: &[u8], mode: Option<u32>, old: Option<&str>) -> Result<Applied> {
    let current = tree.read(path, FILE_LIMIT)?;
    if current.as_deref() == Some(content) {
        return Ok(unchanged());
    }
    check(path, current.as_deref(), old)?;
    replace(tree, path, content, mode)?;
    Ok(done(""))
}

/// Copies a file.
pub(super) fn copy(tree: &Tree, from: &str, source: &str, path: &str, old: Option<&str>) -> Result<Applied> {
    let content = tree.read(from, FILE_LIMIT)?;
    let content = content.ok_or_else(|| changed(from))?;
    check(from, Some(&content), Some(source))?;
    write(tree, path, &content, None, old)
}

/// Removes a file or a symlink.
pub(super) fn remove(tree: &Tree, path: &str, old: Option<&str>) -> Result<Applied> {
    let Some(place) = tree.place_itself(path, false)? else { return Ok(unchanged()) };
    let Some(stat) = place.stat()? else { return Ok(unchanged()) };
    match (FileType::from_raw_mode(stat.st_mode), old) {
        (FileType::Symlink, None) => {}
        (FileType::RegularFile, Some(old)) => {
            let current = tree.read(path, FILE_LIMIT)?;
            check(path, current.as_deref(), Some(old))?;
        }
        _ => return Err(changed(path)),
    }
    unix::unlinkat(&place.folder, place.name.as_str(), AtFlags::empty()).map_err(|error| errno(path, error))?;
    sync(&place, path)?;
    Ok(done(""))
}

/// Makes a symlink.
pub(super) fn symlink(tree: &Tree, path: &str, to: &str) -> Result<Applied> {
    let place = tree.place_itself(path, true)?.ok_or_else(|| changed(path))?;
    match place.stat()?.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Some(FileType::Symlink) => {
            let now =
                unix::readlinkat(&place.folder, place.name.as_str(), Vec::new()).map_err(|error| errno(path, error))?;
            if now.to_bytes() == to.as_bytes() {
                return Ok(unchanged());
            }
        }
        None | Some(FileType::RegularFile) => {}
        Some(_) => return Err(PluginError::unusable(format!("{path}: neither a file nor a symlink"))),
    }
    clear(&place, path)?;
    unix::symlinkat(to, &place.folder, TEMPORARY).map_err(|error| errno(path, error))?;
    promote(&place, path)?;
    Ok(done(""))
}

/// Puts a new content in the place of a file, or makes the file. Owner, mode and label stay unless `mode` says otherwise.
pub(super) fn replace(tree: &Tree, path: &str, content: &[u8], mode: Option<u32>) -> Result<()> {
    let place = tree.place(path, true)?.ok_or_else(|| changed(path))?;
    let old = place.stat()?;
    if old.as_ref().is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile) {
        return Err(PluginError::unusable(format!("{path}: not a regular file")));
    }
    clear(&place, path)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let new = unix::openat(&place.folder, TEMPORARY, flags, Mode::from_raw_mode(0o600))
        .map_err(|error| errno(path, error))?;
    let mut file = File::from(new);
    let filled = (|| {
        file.write_all(content).map_err(|error| PluginError::from_io(path, &error))?;
        if let Some(stat) = &old {
            let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            unix::fchown(&file, Some(uid), Some(gid)).map_err(|error| errno(path, error))?;
        }
        // The kernel would give a new file its folder's label; here SELinux may not even run.
        match tree.file(path)?.filter(|_| old.is_some()) {
            Some(model) => keep_label(path, &model, &file)?,
            None => keep_label(path, &place.folder, &file)?,
        }
        let mode = mode.or(old.as_ref().map(|stat| stat.st_mode & 0o7777)).unwrap_or(0o644);
        unix::fchmod(&file, Mode::from_raw_mode(mode)).map_err(|error| errno(path, error))?;
        file.sync_all().map_err(|error| PluginError::from_io(path, &error))
    })();
    if let Err(error) = filled {
        clear(&place, path)?;
        return Err(error);
    }
    promote(&place, path)
}

/// A file that was renamed to make room for another, in the same folder: a rename costs no room.
pub(super) struct Aside {
    place: Place,
    path: String,
    had: bool,
}

impl Aside {
    /// Puts the file at `path` aside, when there is one.
    pub fn put(tree: &Tree, path: &str) -> Result<Self> {
        let place = tree.place(path, false)?.ok_or_else(|| changed(path))?;
        let had = match unix::renameat(&place.folder, place.name.as_str(), &place.folder, ASIDE) {
            Ok(()) => true,
            Err(Errno::NOENT) => false,
            Err(error) => return Err(errno(path, error)),
        };
        Ok(Self { place, path: path.to_owned(), had })
    }

    /// Puts it back over what took its place; without it, what is there now goes.
    pub fn restore(self) -> Result<()> {
        let Place { folder, name } = &self.place;
        let result = match self.had {
            true => unix::renameat(folder, ASIDE, folder, name.as_str()),
            false => unix::unlinkat(folder, name.as_str(), AtFlags::empty()).or_else(absent),
        };
        result.map_err(|error| errno(&self.path, error))
    }

    /// Removes it: what took its place is right.
    pub fn drop(self) -> Result<()> {
        unix::unlinkat(&self.place.folder, ASIDE, AtFlags::empty())
            .or_else(absent)
            .map_err(|error| errno(&self.path, error))
    }
}

fn absent(error: Errno) -> rustix::io::Result<()> {
    if error == Errno::NOENT { Ok(()) } else { Err(error) }
}

/// The content is what the plan was made against.
fn check(path: &str, current: Option<&[u8]>, old: Option<&str>) -> Result<()> {
    if current.map(sha256_hex).as_deref() == old { Ok(()) } else { Err(changed(path)) }
}

/// The SHA-256 of bytes in hex.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn changed(path: &str) -> PluginError {
    PluginError::unusable(format!("{path}: not what it was when the change was planned")).hint("plan again")
}

fn keep_label(path: &str, model: impl AsFd, new: &File) -> Result<()> {
    let mut label = vec![0u8; 256];
    let length = match unix::fgetxattr(model, LABEL, &mut label) {
        Ok(length) => length,
        Err(Errno::NODATA | Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(errno(path, error)),
    };
    match unix::fsetxattr(new, LABEL, &label[..length], XattrFlags::empty()) {
        // Where SELinux runs, the new file has the folder's label already, and only a privileged user may choose another.
        Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => Ok(()),
        Err(error) => Err(errno(path, error)),
    }
}

/// Removes what a crashed run may have left.
fn clear(place: &Place, path: &str) -> Result<()> {
    unix::unlinkat(&place.folder, TEMPORARY, AtFlags::empty()).or_else(absent).map_err(|error| errno(path, error))
}

fn promote(place: &Place, path: &str) -> Result<()> {
    if let Err(error) = unix::renameat(&place.folder, TEMPORARY, &place.folder, place.name.as_str()) {
        clear(place, path)?;
        return Err(errno(path, error));
    }
    sync(place, path)
}

fn sync(place: &Place, path: &str) -> Result<()> {
    unix::fsync(&place.folder).map_err(|error| errno(path, error))
}

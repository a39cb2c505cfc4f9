//! Writing, copying, removing and linking files: a new file is made beside the old one, checked, and put in its place in one step.

use std::io::{Read, Seek, SeekFrom};

use vmdk2kvm_plugin_api::model::Applied;
use vmdk2kvm_plugin_api::{FileKind, PluginError, Result};

use super::checked::{changed, same_content, sha256};
use super::{done, unchanged};
use crate::binding::Handle;
use crate::files::{Files, Place, absent};
use crate::guest::ApplianceGuest;
use vmdk2kvm_plugin_api::paths::{join, name, parent, parts};

/// Largest file that is written or replaced, in bytes.
const LIMIT: u64 = 256 << 20;
/// Name of a file that is being made, in the folder of its target: a rename never leaves its filesystem.
const TEMPORARY: &str = ".vmdk2kvm-new";
/// The attribute that holds a file's SELinux label.
const LABEL: &str = "security.selinux";
/// Attributes of a file that its replacement inherits: the SELinux label and the access list.
const INHERITED: [&str; 2] = [LABEL, "system.posix_acl_access"];

/// Gives a file this content.
pub fn write(
    guest: &ApplianceGuest,
    target: &str,
    bytes: &[u8],
    mode: Option<u32>,
    old: Option<&str>,
) -> Result<Applied> {
    let files = guest.files.as_ref();
    check_target(target)?;
    match files.resolve(target, true)? {
        Place::Found { path, stat } => {
            let content = files.content(&path, &stat, LIMIT)?;
            let mode = mode.unwrap_or(stat.stat.mode);
            if content.as_slice() == bytes && (mode == stat.stat.mode || !keeps_modes(guest, &path)) {
                return Ok(unchanged());
            }
            match old {
                Some(old) => same_content(target, &content, old)?,
                None => return Err(changed(target, "has come into being")),
            }
            let like = Like { model: path.clone(), access: true, mode, uid: stat.stat.uid, gid: stat.stat.gid };
            put(guest, &path, bytes, &like)?;
        }
        place => {
            if old.is_some() {
                return Err(changed(target, "has gone"));
            }
            let place = match place {
                Place::Vacant { path } => path,
                _ => target.to_owned(),
            };
            with_folder(files, &place, |path| {
                // The kernel would give a new file its folder's label; the appliance runs without the guest's policy.
                let like =
                    Like { model: parent(path).to_owned(), access: false, mode: mode.unwrap_or(0o644), uid: 0, gid: 0 };
                put(guest, path, bytes, &like)
            })?;
        }
    }
    Ok(done(""))
}

/// Copies a file of the guest.
pub fn copy(guest: &ApplianceGuest, from: &str, source: &str, target: &str, old: Option<&str>) -> Result<Applied> {
    let Place::Found { path, stat } = guest.files.resolve(from, true)? else { return Err(changed(from, "has gone")) };
    let content = guest.files.content(&path, &stat, LIMIT)?;
    same_content(from, &content, source)?;
    write(guest, target, &content, None, old)
}

/// A file of this machine, or a part of one.
pub struct Part<'a> {
    /// The file.
    pub from: &'a str,
    /// Where the part begins, in bytes.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
    /// Its digest when it was planned.
    pub sha256: &'a str,
}

/// Copies a file of this machine into the guest, when it is the one that was planned.
pub fn copy_in(guest: &ApplianceGuest, part: &Part<'_>, target: &str, old: Option<&str>) -> Result<Applied> {
    let Part { from, offset, bytes, sha256 } = *part;
    if bytes > LIMIT {
        return Err(PluginError::unusable(format!("{from}: {bytes} bytes, more than the {LIMIT} that are copied")));
    }
    let read = || {
        let mut file = std::fs::File::open(from)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut content = Vec::new();
        file.take(bytes).read_to_end(&mut content)?;
        Ok(content)
    };
    let content = read().map_err(|error: std::io::Error| {
        PluginError::unusable(format!("{from}: {error}")).hint("put the file there again, or make a new plan")
    })?;
    same_content(from, &content, sha256)?;
    write(guest, target, &content, None, old)
}

/// Gives the file at a resolved path another content, and keeps all else of it.
pub fn put_like_itself(guest: &ApplianceGuest, path: &str, bytes: &[u8]) -> Result<()> {
    let stat = guest.files.look(path)?.ok_or_else(|| changed(path, "has gone"))?.stat;
    let like = Like { model: path.to_owned(), access: true, mode: stat.mode, uid: stat.uid, gid: stat.gid };
    put(guest, path, bytes, &like)
}

/// Removes a file or a symlink.
pub fn remove(guest: &ApplianceGuest, target: &str, old: Option<&str>) -> Result<Applied> {
    let files = guest.files.as_ref();
    check_target(target)?;
    let Place::Found { path, stat } = files.resolve(target, false)? else { return Ok(unchanged()) };
    match (stat.stat.kind, old) {
        (FileKind::File, Some(old)) => same_content(target, files.content(&path, &stat, LIMIT)?.as_slice(), old)?,
        (FileKind::Symlink, None) => {}
        (FileKind::File | FileKind::Symlink, _) => return Err(changed(target, "has become another kind of file")),
        _ => return Err(PluginError::unusable(format!("{target}: neither a file nor a symlink"))),
    }
    let removed = files.appliance.call(|handle| handle.rm(&path));
    files.cache().changed(&path);
    removed?;
    Ok(done(""))
}

/// Makes a symlink, in place of a file or symlink that is there.
pub fn symlink(guest: &ApplianceGuest, target: &str, to: &str) -> Result<Applied> {
    let files = guest.files.as_ref();
    check_target(target)?;
    let place = match files.resolve(target, false)? {
        Place::Found { path, stat } => match stat.stat.kind {
            FileKind::Symlink if files.link_at(&path)? == to => return Ok(unchanged()),
            FileKind::Symlink | FileKind::File => path,
            _ => return Err(PluginError::unusable(format!("{target}: neither a file nor a symlink"))),
        },
        Place::Vacant { path } => path,
        Place::Nowhere => target.to_owned(),
    };
    with_folder(files, &place, |path| {
        let temporary = join(parent(path), TEMPORARY);
        clear(files, &temporary)?;
        let made = files.appliance.call(|handle| {
            handle.symlink(to, &temporary)?;
            inherit_label(handle, parent(path), &temporary);
            handle.rename(&temporary, path)
        });
        finish(files, path, &temporary, made.map_err(PluginError::from))
    })?;
    Ok(done(""))
}

/// What a new file takes after.
struct Like {
    /// Whose attributes are inherited.
    model: String,
    /// The access list too: the model is the file itself and not its folder.
    access: bool,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// Makes the file beside `path`, reads it back, and renames it.
fn put(guest: &ApplianceGuest, path: &str, bytes: &[u8], like: &Like) -> Result<()> {
    let files = guest.files.as_ref();
    if guest.fstype_at(path) == "ntfs" && files.look(path)?.is_some() {
        return overwrite(guest, path, bytes);
    }
    let temporary = join(parent(path), TEMPORARY);
    clear(files, &temporary)?;
    let made = fill(guest, &temporary, bytes, like)
        .and_then(|()| files.appliance.call(|handle| handle.rename(&temporary, path)).map_err(PluginError::from));
    finish(files, path, &temporary, made)?;
    // What was just read back need not be read again when the guest is planned once more.
    if let Some(stat) = files.look(path)? {
        files.cache().put_content(path, &stat, &std::sync::Arc::new(bytes.to_vec()));
    }
    Ok(())
}

/// Gives the file another content where it is. On NTFS alone: a new file would have another security descriptor, which no call of the
/// library can copy: it reads the attribute that holds one, but sets one from a text, which ends at the first zero. A run that ends in between
/// loses the overlay that this is written to, and not the guest.
fn overwrite(guest: &ApplianceGuest, path: &str, bytes: &[u8]) -> Result<()> {
    let files = guest.files.as_ref();
    let Some(stat) = files.look(path)? else { return Err(changed(path, "has gone")) };
    let old = files.content(path, &stat, u64::MAX)?;
    let written = files.appliance.transfer(|handle| handle.write(path, bytes));
    files.cache().changed(path);
    let same = written.and_then(|()| Ok(files.fetch(path, bytes.len() as u64)? == bytes));
    match same {
        Ok(true) => Ok(()),
        failed => {
            // As it was, as far as it can be.
            let _ = files.appliance.transfer(|handle| handle.write(path, &old));
            files.cache().changed(path);
            Err(failed.err().unwrap_or_else(|| {
                PluginError::io(format!("{path}: it reads back with another content than was written"))
            }))
        }
    }
}

fn fill(guest: &ApplianceGuest, temporary: &str, bytes: &[u8], like: &Like) -> Result<()> {
    let files = guest.files.as_ref();
    let has_modes = keeps_modes(guest, temporary);
    files.appliance.transfer(|handle| {
        handle.write(temporary, bytes)?;
        if has_modes {
            handle.lchown(temporary, like.uid, like.gid)?;
            handle.chmod(temporary, like.mode)?;
        }
        for attribute in &INHERITED[..if like.access { 2 } else { 1 }] {
            match handle.xattr(&like.model, attribute) {
                Ok(value) => handle.set_xattr(temporary, attribute, &value)?,
                Err(error) if error.unsupported() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })?;
    let read = files.fetch(temporary, bytes.len() as u64)?;
    let size = files.appliance.call(|handle| handle.lstat(temporary))?.stat.size;
    if size == bytes.len() as u64 && sha256(&read) == sha256(bytes) {
        Ok(())
    } else {
        Err(PluginError::io(format!("{temporary}: it reads back with another content than was written")))
    }
}

/// Gives one file the SELinux label of another, where that has one: a nicety on a filesystem or a guest that knows none.
pub(super) fn inherit_label(handle: &mut Handle, from: &str, to: &str) {
    let _ = handle.xattr(from, LABEL).and_then(|label| handle.set_xattr(to, LABEL, &label));
}

/// After an attempt: forgets what was known about the files, and removes what a failed attempt left.
fn finish(files: &Files, path: &str, temporary: &str, made: Result<()>) -> Result<()> {
    if made.is_err() {
        // It may not even be there.
        let _ = files.appliance.call(|handle| handle.rm(temporary));
    }
    let mut cache = files.cache();
    cache.changed(temporary);
    cache.changed(path);
    made
}

/// Removes what an earlier, interrupted attempt left under the temporary name.
fn clear(files: &Files, temporary: &str) -> Result<()> {
    if absent(files.appliance.call(|handle| handle.lstat(temporary)))?.is_some() {
        files.appliance.call(|handle| handle.rm(temporary))?;
    }
    Ok(())
}

/// Runs `action` with the resolved path of `place`, its folder made when it is not there, and removed again when `action` fails.
fn with_folder(files: &Files, place: &str, action: impl FnOnce(&str) -> Result<()>) -> Result<()> {
    let mut made = Vec::new();
    let result = folder(files, parent(place), &mut made).and_then(|folder| action(&join(&folder, name(place))));
    if result.is_err() {
        for folder in made.iter().rev() {
            let _ = files.appliance.call(|handle| handle.rmdir(folder));
            files.cache().changed(folder);
        }
    }
    result
}

/// The resolved path of a folder, made with its parents when it is not there.
fn folder(files: &Files, path: &str, made: &mut Vec<String>) -> Result<String> {
    let new = match files.resolve(path, true)? {
        Place::Found { path, stat } if stat.stat.kind == FileKind::Dir => return Ok(path),
        Place::Found { .. } => return Err(PluginError::unusable(format!("{path}: not a folder"))),
        Place::Vacant { path } => path,
        Place::Nowhere => join(&folder(files, parent(path), made)?, name(path)),
    };
    files.appliance.call(|handle| {
        handle.mkdir(&new, 0o755)?;
        inherit_label(handle, parent(&new), &new);
        Ok(())
    })?;
    files.cache().changed(&new);
    made.push(new.clone());
    Ok(new)
}

/// FAT and NTFS have neither such owners nor modes: they show the same for all their files.
fn keeps_modes(guest: &ApplianceGuest, path: &str) -> bool {
    !matches!(guest.fstype_at(path), "vfat" | "exfat" | "ntfs")
}

fn check_target(target: &str) -> Result<()> {
    let last = name(target);
    if target.starts_with('/') && !last.is_empty() && parts(target).all(|part| part != "..") && last != "." {
        Ok(())
    } else {
        Err(PluginError::unusable(format!("\"{}\": not a path of a file in a guest", target.escape_debug())))
    }
}

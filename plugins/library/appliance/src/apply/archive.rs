//! Boot archives: extended by appending, or rebuilt by the guest's own tool; the old one stays until the new one was read.

use std::io::Write;
use std::sync::Arc;

use vmdk2kvm_linux_guest::initramfs::{contents, extension, has_driver};
use vmdk2kvm_linux_guest::program;
use vmdk2kvm_plugin_api::model::{Applied, Content, InitramfsTool};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::files::inherit_label;
use super::{done, run, unchanged};
use crate::binding::FileStat;
use crate::files::{Place, absent};
use crate::guest::ApplianceGuest;
use vmdk2kvm_plugin_api::paths::{join, parent};

/// Rescue images with everything inside reach 200 MiB.
const LIMIT: u64 = 1 << 30;
/// The old archive's name while the new one is made, in the same folder.
const OLD: &str = ".vmdk2kvm-old-initramfs";

/// Appends what is missing.
pub fn extend(
    guest: &ApplianceGuest,
    target: &str,
    kernel: &str,
    drivers: &[String],
    files: &[(String, Content)],
) -> Result<Applied> {
    let store = guest.files.as_ref();
    program::word("kernel release", kernel)?;
    let (path, stat) = found(guest, target)?;
    let old = store.content(&path, &stat, LIMIT)?;
    let added = extension(guest, kernel, drivers, files, &old)?;
    if added.is_empty() {
        return Ok(unchanged());
    }
    let free = store.appliance.call(|handle| handle.space(parent(&path)))?.free_bytes;
    if free < added.len() as u64 {
        return Err(PluginError::unusable(format!(
            "{target}: {} bytes have to be added, and its filesystem has {free} left",
            added.len()
        ))
        .hint("remove an old kernel in the VM"));
    }
    let mut whole = old.as_ref().clone();
    whole.extend_from_slice(&added);
    check(&whole, kernel, drivers)?;
    let appended = append(guest, &path, old.len() as u64, &added);
    store.cache().changed(&path);
    if let Err(error) = appended {
        store.appliance.call(|handle| handle.truncate(&path, old.len() as u64))?;
        store.cache().changed(&path);
        return Err(error);
    }
    // The old part was read, the new part was read back: the next look need not move it all again.
    if let Some(stat) = store.look(&path)? {
        store.cache().put_content(&path, &stat, &Arc::new(whole));
    }
    Ok(done(format!("{} bytes appended", added.len())))
}

/// Writes behind the end of the file and reads that back.
fn append(guest: &ApplianceGuest, path: &str, end: u64, added: &[u8]) -> Result<()> {
    let store = guest.files.as_ref();
    let file = tempfile::NamedTempFile::new_in(&store.work_dir)
        .and_then(|mut file| file.write_all(added).and_then(|()| file.flush()).map(|()| file))
        .map_err(|error| PluginError::from_io(store.work_dir.display(), &error))?;
    store.appliance.transfer(|handle| handle.upload_at(file.path(), path, end))?;
    let size = store.appliance.call(|handle| handle.lstat(path))?.stat.size;
    if size != end + added.len() as u64 || store.fetch_from(path, end, size)? != added {
        return Err(PluginError::io(format!("{path}: what was appended reads back differently")));
    }
    Ok(())
}

/// Has the guest's own tool make the archive anew.
pub fn rebuild(
    guest: &ApplianceGuest,
    target: &str,
    kernel: &str,
    tool: InitramfsTool,
    drivers: &[String],
) -> Result<Applied> {
    let store = guest.files.as_ref();
    let place = match store.resolve(target, true)? {
        Place::Found { path, .. } | Place::Vacant { path } => path,
        Place::Nowhere => return Err(PluginError::unusable(format!("{target}: its folder is not there"))),
    };
    let command = program::make_initramfs(guest, tool, &place, kernel, drivers)?;
    let kept = join(parent(&place), OLD);
    // A rename costs no room, which /boot rarely has for three archives.
    let had = absent(store.appliance.call(|handle| handle.rename(&place, &kept)))?.is_some();
    store.cache().anything_changed();
    let made = run(guest, &command).and_then(|output| {
        store.cache().anything_changed();
        let (path, stat) = found(guest, &place)?;
        check(store.content(&path, &stat, LIMIT)?.as_slice(), kernel, drivers)?;
        let model = if had { &kept } else { parent(&path) };
        store.appliance.call(|handle| {
            inherit_label(handle, model, &path);
            Ok(())
        })?;
        Ok(output)
    });
    store.cache().anything_changed();
    match made {
        Ok(output) => {
            if had {
                store.appliance.call(|handle| handle.rm(&kept))?;
            }
            Ok(done(output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default()))
        }
        Err(error) => {
            if had {
                store.appliance.call(|handle| handle.rename(&kept, &place))?;
            } else {
                // There was none before; the tool may have left half of one.
                let _ = store.appliance.call(|handle| handle.rm(&place));
            }
            Err(error)
        }
    }
}

/// Reads an archive and looks for the drivers.
fn check(image: &[u8], kernel: &str, drivers: &[String]) -> Result<()> {
    let inside = contents(image)?;
    let missing: Vec<&str> =
        drivers.iter().map(String::as_str).filter(|driver| !has_driver(&inside, kernel, driver)).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(PluginError::unusable(format!("the new initramfs of {kernel} lacks {}", missing.join(", "))))
    }
}

fn found(guest: &ApplianceGuest, path: &str) -> Result<(String, FileStat)> {
    match guest.files.resolve(path, true)? {
        Place::Found { path, stat } => Ok((path, stat)),
        _ => Err(PluginError::unusable(format!("{path}: it is not there"))),
    }
}

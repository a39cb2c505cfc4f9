//! What Windows knows a file by, beside its content: a security descriptor, attributes, a short name. The driver that mounts NTFS shows them as
//! extended attributes. A file that is replaced hands them on; one that is new is nobody's to write but the system's and the administrators',
//! since the driver would let everybody.
//!
//! A driver that does not show them is no reason to fail: a file is then written where it is, which keeps them as well.

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::paths::{join, parent};

use super::files::{TEMPORARY, clear, filled, finish};
use crate::binding::{CallError, Handle};
use crate::files::Files;

const SECURITY: &str = "system.ntfs_acl";
const ATTRIBUTES: &str = "system.ntfs_attrib";
const SHORT_NAME: &str = "system.ntfs_dos_name";

/// Of a file.
pub struct Known {
    security: Vec<u8>,
    attributes: Vec<u8>,
    short_name: Option<Vec<u8>>,
}

/// Of the file at a path; `None` when the driver does not show it.
pub fn known(files: &Files, path: &str) -> Result<Option<Known>> {
    let (Some(security), Some(attributes)) = (attribute(files, path, SECURITY)?, attribute(files, path, ATTRIBUTES)?)
    else {
        return Ok(None);
    };
    Ok(Some(Known { security, attributes, short_name: attribute(files, path, SHORT_NAME)? }))
}

fn attribute(files: &Files, path: &str, name: &str) -> Result<Option<Vec<u8>>> {
    match files.appliance.call(|handle| handle.xattr(path, name)) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.unsupported() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes a file with another content beside the one at `path`, like it in all else, reads it back, and renames it.
pub fn replace(files: &Files, path: &str, bytes: &[u8], known: &Known) -> Result<()> {
    let temporary = join(parent(path), TEMPORARY);
    clear(files, &temporary)?;
    let write = |handle: &mut Handle| {
        handle.write(&temporary, b"")?;
        handle.set_xattr(&temporary, SECURITY, &known.security)?;
        // While it is empty: a compressed file is compressed from its first byte on.
        handle.set_xattr(&temporary, ATTRIBUTES, &known.attributes)?;
        handle.write(&temporary, bytes)
    };
    let made = files.appliance.transfer(write).and_then(|()| filled(files, &temporary, bytes));
    let made = made.and_then(|()| Ok(files.appliance.call(|handle| handle.rename(&temporary, path))?));
    finish(files, path, &temporary, made)?;
    if let Some(name) = &known.short_name {
        // Only programs of old times ask for it.
        let _ = files.appliance.call(|handle| handle.set_xattr(path, SHORT_NAME, name));
        files.cache().changed(path);
    }
    Ok(())
}

/// Lets nobody but the system and the administrators write what is new.
pub fn protect(handle: &mut Handle, path: &str, is_folder: bool) -> std::result::Result<(), CallError> {
    match handle.set_xattr(path, SECURITY, &descriptor(is_folder)) {
        Err(error) if !error.unsupported() => Err(error),
        _ => Ok(()),
    }
}

/// A security descriptor: the administrators own it, the system and they may do everything, users may read and run it. What comes into being
/// in a folder inherits that.
fn descriptor(is_folder: bool) -> Vec<u8> {
    const SYSTEM: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
    const ADMINISTRATORS: &[u8] = &[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0];
    const USERS: &[u8] = &[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 33, 2, 0, 0];
    const EVERYTHING: u32 = 0x001f_01ff;
    const READ_AND_RUN: u32 = 0x0012_00a9;
    const HEAD: usize = 20;
    let inherited = if is_folder { 3 } else { 0 };
    let entry = |who: &[u8], rights: u32| {
        let length = u8::try_from(8 + who.len()).unwrap_or(u8::MAX);
        [&[0, inherited, length, 0], rights.to_le_bytes().as_slice(), who].concat()
    };
    let entries = [entry(SYSTEM, EVERYTHING), entry(ADMINISTRATORS, EVERYTHING), entry(USERS, READ_AND_RUN)].concat();
    let length = u8::try_from(8 + entries.len()).unwrap_or(u8::MAX);
    let list = [&[2, 0, length, 0, 3, 0, 0, 0], entries.as_slice()].concat();
    let at = |place: usize| u32::try_from(place).unwrap_or(u32::MAX).to_le_bytes();
    let (owner, group) = (at(HEAD + list.len()), at(HEAD + list.len() + ADMINISTRATORS.len()));
    [&[1, 0, 4, 0x80], owner.as_slice(), &group, &[0; 4], &at(HEAD), list.as_slice(), ADMINISTRATORS, SYSTEM].concat()
}

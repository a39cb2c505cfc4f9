//! Boot archives: appending to one, and having the guest's own tool make one. The result is read back before it counts.

use vmdk2kvm_linux_guest::initramfs::{contents, extension, has_driver};
use vmdk2kvm_linux_guest::program;
use vmdk2kvm_plugin_api::model::{Applied, Content, InitramfsTool};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::files::{Aside, FILE_LIMIT, replace};
use super::program::run;
use super::{done, unchanged};
use crate::guest::DirGuest;

/// Appends drivers and files.
pub(super) fn extend(
    guest: &DirGuest,
    path: &str,
    kernel: &str,
    drivers: &[String],
    files: &[(String, Content)],
) -> Result<Applied> {
    let image = guest.tree.read(path, FILE_LIMIT)?;
    let mut image = image.ok_or_else(|| PluginError::unusable(format!("{path}: nothing is there to extend")))?;
    let more = extension(guest, kernel, drivers, files, &image).map_err(|error| error.context(path))?;
    if more.is_empty() {
        return Ok(unchanged());
    }
    image.extend_from_slice(&more);
    check(path, &image, kernel, drivers)?;
    replace(&guest.tree, path, &image, None)?;
    Ok(done(format!("{} bytes appended", more.len())))
}

/// Runs the guest's own tool; the old archive comes back when the new one is not right.
pub(super) fn rebuild(
    guest: &DirGuest,
    path: &str,
    kernel: &str,
    tool: InitramfsTool,
    drivers: &[String],
) -> Result<Applied> {
    let command = program::make_initramfs(guest, tool, path, kernel, drivers)?;
    let old = Aside::put(&guest.tree, path)?;
    let made = run(guest, &command).and_then(|output| {
        let new = guest.tree.read(path, FILE_LIMIT)?;
        let new = new.ok_or_else(|| PluginError::unusable(format!("{path}: the guest's tool made nothing there")))?;
        check(path, &new, kernel, drivers)?;
        Ok(output)
    });
    match made {
        Ok(output) => {
            old.drop()?;
            Ok(done(output))
        }
        Err(error) => {
            old.restore()?;
            Err(error)
        }
    }
}

fn check(path: &str, image: &[u8], kernel: &str, drivers: &[String]) -> Result<()> {
    let inside = contents(image).map_err(|error| error.context(path))?;
    match drivers.iter().find(|driver| !has_driver(&inside, kernel, driver)) {
        Some(driver) => Err(PluginError::unusable(format!("{path}: {driver} is still missing after the change"))),
        None => Ok(()),
    }
}

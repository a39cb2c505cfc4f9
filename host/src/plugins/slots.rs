//! Places that processes of this user on this machine share, as far as they have the same `$XDG_RUNTIME_DIR`: so many requests to one host at
//! once, whoever makes them. A login and a service may have different ones, and count apart.
//!
//! A place is a file under `flock`, which goes with the process that holds it, however that ends.

use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::{PluginError, Result};

/// How often it is looked for a free place.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The folder of the places: `$XDG_RUNTIME_DIR/vmdk2kvm/slots`, else one in `/tmp` with the user's number. Made when it is not there.
pub fn slots_folder() -> Result<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let own = match runtime.filter(|base| base.is_absolute() && base.is_dir()) {
        Some(base) => base.join("vmdk2kvm"),
        None => PathBuf::from(format!("/tmp/vmdk2kvm-slots-{}", rustix::process::geteuid().as_raw())),
    };
    let slots = own.join("slots");
    for folder in [&own, &slots] {
        make_own(folder)?;
    }
    Ok(slots)
}

/// Makes a folder that nobody else can have prepared: in `/tmp` everybody can make one of this name.
fn make_own(folder: &Path) -> Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(PluginError::from_io(folder.display(), &error));
        }
        _ => {}
    }
    let found = folder.symlink_metadata().map_err(|error| PluginError::from_io(folder.display(), &error))?;
    let is_own = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0;
    if is_own {
        return Ok(());
    }
    Err(PluginError::output(format!("{} is not a folder of this user alone", folder.display()))
        .hint("remove it, or set XDG_RUNTIME_DIR to a folder of your own"))
}

/// Waits for one of `limit` places by this name. `stop` is asked while it waits.
pub(super) fn take(folder: &Path, name: &str, limit: u32, stop: &dyn Fn() -> bool) -> Result<File> {
    if limit == 0 {
        return Err(PluginError::config(format!("{name}: there are no places")).hint("allow at least one at once"));
    }
    // Any text may be a name: a digest is a file's name whatever stands in it.
    let key = format!("{:x}", Sha256::digest(name.as_bytes()));
    loop {
        for place in 0..limit {
            let path = folder.join(format!("{}-{place}", &key[..24]));
            if let Some(held) = hold(&path)? {
                return Ok(held);
            }
        }
        if stop() {
            return Err(PluginError::interrupted());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn hold(path: &Path) -> Result<Option<File>> {
    let failed = |error: std::io::Error| PluginError::from_io(path.display(), &error);
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file =
        options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK).open(path).map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(failed(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn there_are_as_many_places_as_the_limit_says_and_a_dropped_one_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let take = |name: &str, limit| take(folder.path(), name, limit, &|| true);
        let first = take("esx:a", 2).unwrap();
        let _second = take("esx:a", 2).unwrap();
        assert_eq!(take("esx:a", 2).unwrap_err().kind, vmdk2kvm_plugin_api::ErrorKind::Interrupted);
        let _other = take("../esx:b", 1).unwrap();
        drop(first);
        take("esx:a", 2).unwrap();
        assert_eq!(take("esx:a", 0).unwrap_err().message, "esx:a: there are no places");
    }

    #[test]
    fn a_place_of_a_process_that_was_killed_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let mine = take(folder.path(), "x", 1, &|| true).unwrap();
        // Another process, as util-linux's flock: it waits for the same place, and is killed while it holds it.
        let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        drop(mine);
        let mut child = std::process::Command::new("flock")
            .args(["-x", "--no-fork", file.to_str().unwrap(), "sleep", "1000"])
            .spawn()
            .unwrap();
        while take(folder.path(), "x", 1, &|| true).is_ok() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        take(folder.path(), "x", 1, &|| true).unwrap();
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let (open, link) = (base.path().join("open"), base.path().join("link"));
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
        std::os::unix::fs::symlink(base.path(), &link).unwrap();
        for folder in [&open, &link] {
            let error = make_own(folder).unwrap_err();
            assert_eq!(error.message, format!("{} is not a folder of this user alone", folder.display()));
        }
        make_own(&base.path().join("new")).unwrap();
    }
}

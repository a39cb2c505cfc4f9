//! Where the library lies on this machine, and which vSphere its version reads.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

/// The versions that are known, the newest first.
const VERSIONS: [u32; 4] = [9, 8, 7, 6];
/// What a user without it can do.
const WITHOUT: &str = "no other way needs it: leave --transport out; with VDDK set `plugin.vddk.libdir` to the folder that has `lib64` in it";

/// A library that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its file.
    pub path: PathBuf,
    /// Its major version, by the file's name.
    pub version: u32,
}

/// Looks for the library. The error says why there is none to be used; as one of the kind `Cannot` it lets
/// other plugins and ways have their turn.
pub fn find(libdir: &str) -> Result<Found> {
    let none = |why: String| PluginError::new(ErrorKind::Cannot, why).hint(WITHOUT);
    if libdir.is_empty() {
        return Err(none("VDDK is not configured".to_owned()));
    }
    if !libdir.starts_with('/') || libdir.contains(':') {
        // The loader's path is a list with colons, and a part of it that is not absolute is looked for anywhere.
        return Err(PluginError::config(format!(
            "`plugin.vddk.libdir` is {}, which is no absolute path without a colon",
            escape(libdir)
        ))
        .hint("name the folder that has `lib64` in it by its whole path"));
    }
    let folder = Path::new(libdir);
    let files = [folder.join("lib64"), folder.to_owned()].into_iter().flat_map(|folder| {
        VERSIONS.map(|version| Found { path: folder.join(format!("libvixDiskLib.so.{version}")), version })
    });
    let found = files.into_iter().find(|it| it.path.is_file());
    let found = found
        .ok_or_else(|| none(format!("VDDK is not in {}: no lib64/libvixDiskLib.so.9, 8, 7 or 6", escape(libdir))))?;
    refuse_open(&found.path)?;
    Ok(found)
}

/// Refuses a library that everybody can replace: it runs with the rights of whoever runs this.
fn refuse_open(library: &Path) -> Result<()> {
    let failed = |error| PluginError::from_io(library.display(), &error);
    let real = library.canonicalize().map_err(failed)?;
    for path in [Some(real.as_path()), real.parent(), library.parent()].into_iter().flatten() {
        let mode = path.metadata().map_err(failed)?.mode();
        if mode & 0o002 != 0 && mode & 0o1000 == 0 {
            return Err(PluginError::config(format!(
                "{} is writable by all users: nothing is loaded from there",
                path.display()
            ))
            .hint(format!("take that right away: chmod o-w '{}'", path.display())));
        }
    }
    Ok(())
}

/// The version of a server as far as it decides: `8.0.3` is (8, 0).
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next().flatten().unwrap_or_default()))
}

/// Refuses a server that this version of the library does not read: it would open the disk, tell its size, and
/// fail at the first read.
pub fn check_gap(library: u32, server: &str, version: &str) -> Result<()> {
    // What a server says of itself in another form is tried.
    let Some(found) = release(version) else { return Ok(()) };
    let oldest = match library {
        7 => (6, 5),
        8 => (6, 7),
        other => (other.saturating_sub(2), 0),
    };
    if found >= oldest && found.0 <= library + 1 {
        return Ok(());
    }
    let (major, minor) = oldest;
    let message = format!(
        "VDDK {library} reads vSphere {major}.{minor} to {}.x, and {server} is {} (version-gap)",
        library + 1,
        escape(version)
    );
    Err(PluginError::new(ErrorKind::Blocked, message)
        .hint(format!("take VDDK {} or another way: leave --transport out", found.0)))
}

/// Whether a server is of this version or a later one.
pub fn is_from(version: &str, major: u32) -> bool {
    release(version).is_some_and(|found| found.0 >= major)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_newest_library_is_found_and_lib64_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let libdir = folder.path().to_str().unwrap();
        assert_eq!(find("").unwrap_err().message, "VDDK is not configured");
        let none = find(libdir).unwrap_err();
        assert_eq!(
            (none.kind, none.message),
            (ErrorKind::Cannot, format!("VDDK is not in {libdir}: no lib64/libvixDiskLib.so.9, 8, 7 or 6"))
        );
        std::fs::create_dir(folder.path().join("lib64")).unwrap();
        for (file, version) in
            [("libvixDiskLib.so.9", 9), ("lib64/libvixDiskLib.so.6", 6), ("lib64/libvixDiskLib.so.7", 7)]
        {
            std::fs::write(folder.path().join(file), "").unwrap();
            assert_eq!(find(libdir).unwrap(), Found { path: folder.path().join(file), version });
        }
        for wrong in ["vddk", "/opt/a:b"] {
            assert_eq!(find(wrong).unwrap_err().kind, ErrorKind::Config, "{wrong}");
        }
        std::fs::set_permissions(folder.path().join("lib64"), std::fs::Permissions::from_mode(0o777)).unwrap();
        let open = find(libdir).unwrap_err();
        assert_eq!(open.message, format!("{libdir}/lib64 is writable by all users: nothing is loaded from there"));
    }

    #[test]
    fn a_version_reads_what_it_is_made_for() {
        for (library, version, reads) in [
            (6, "6.7.0", true),
            (6, "8.0.0", false),
            (7, "6.5.0", true),
            (7, "6.0.0", false),
            (7, "8.0.3", true),
            (7, "9.0.0", false),
            (8, "6.7.0", true),
            (8, "6.5.0", false),
            (9, "7.0.3", true),
            (9, "6.7.0", false),
            (9, "10.0.0", true),
            (9, "11.0.0", false),
            (9, "", true),
            (9, "x.y", true),
        ] {
            let found = check_gap(library, "vc", version);
            assert_eq!(found.is_ok(), reads, "{library} {version}");
            let Err(error) = found else { continue };
            assert_eq!(error.kind, ErrorKind::Blocked);
            assert!(error.message.ends_with(&format!("and vc is {version} (version-gap)")), "{error}");
        }
        assert!(is_from("8.0.1", 8) && is_from("9", 8) && !is_from("7.0.3", 8) && !is_from("", 8));
    }
}

//! The files of one boot: a private folder for the UEFI's variables and the picture of the screen, gone when the test is over.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::{ErrorKind as Kind, PluginError, Result};

use crate::command::Flash;
use crate::firmware::Uefi;

/// A folder of mode 0700 that is removed with all that is in it.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes a folder of its own below `work_dir`.
    pub fn create(work_dir: &Path) -> Result<Self> {
        let io = |path: &Path, error: &std::io::Error| {
            PluginError::new(Kind::Output, format!("{}: cannot be created: {error}", path.display()))
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(work_dir).map_err(|error| io(work_dir, &error))?;
        for number in 0..1000 {
            let path = work_dir.join(format!("boot-test-{}-{number}", std::process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(io(&path, &error)),
            }
        }
        Err(PluginError::output(format!("{}: holds a thousand boot tests already", work_dir.display()))
            .hint("empty the work directory"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes a private copy of a UEFI's variables: every test begins with fresh ones, as a new host would.
    pub fn flash(&self, uefi: &Uefi) -> Result<Flash> {
        let variables = self.0.join("variables.fd");
        let template =
            fs::read(&uefi.variables).map_err(|error| PluginError::from_io(uefi.variables.display(), &error))?;
        let write = || {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&variables)?;
            std::io::Write::write_all(&mut file, &template)
        };
        write().map_err(|error| PluginError::from_io(variables.display(), &error))?;
        Ok(Flash { code: uefi.code.clone(), variables, secure: uefi.secure })
    }
}

/// A socket that is removed when the test is over.
#[derive(Debug)]
pub struct Socket(PathBuf);

impl Socket {
    /// Where it is to be: below `socket_dir`, under the name of this test's folder.
    pub fn of(folder: &Folder, socket_dir: &Path) -> Result<Self> {
        let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(socket_dir);
        created.map_err(|error| PluginError::from_io(socket_dir.display(), &error))?;
        let path = socket_dir.join(folder.0.file_name().unwrap_or_default());
        // A test that was killed may have left one of this name.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(PluginError::from_io(path.display(), &error)),
            _ => Ok(Self(path)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in the run's own work directory, which the host empties.
        let _ = fs::remove_dir_all(&self.0);
    }
}

//! The files of one boot: a private folder with overlays and variables, gone when the test is over.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use vmdk2kvm_plugin_api::model::FinalImage;
use vmdk2kvm_plugin_api::{ErrorKind as Kind, PluginError, Result};

use crate::command::{Disk, Flash};
use crate::domain::Bus;
use crate::firmware::Uefi;
use crate::machine::not_started;
use crate::process::Process;

/// What qemu can write and we test.
const FORMATS: [&str; 5] = ["qcow2", "raw", "vdi", "vmdk", "vhdx"];

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

    /// Makes an empty overlay for each image. The images are not opened.
    pub fn overlays(
        &self,
        program: &Path,
        images: &[FinalImage],
        buses: &[Bus],
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<Disk>> {
        let buses = buses.iter().copied().chain(std::iter::repeat(Bus::default()));
        let overlay = |(index, (image, bus))| {
            let overlay = self.overlay(program, index, image, stop)?;
            Ok(Disk { overlay, image: image.path.clone().into(), format: image.format.clone(), bus })
        };
        images.iter().zip(buses).enumerate().map(overlay).collect()
    }

    fn overlay(&self, program: &Path, index: usize, image: &FinalImage, stop: &dyn Fn() -> bool) -> Result<PathBuf> {
        let path = Path::new(&image.path);
        if !path.is_absolute() {
            return Err(PluginError::defect(format!("{:?} is not an absolute path", image.path)));
        }
        if !FORMATS.contains(&image.format.as_str()) {
            return Err(PluginError::unusable(format!("{}: format {:?} cannot be booted", image.path, image.format)));
        }
        let metadata = fs::metadata(path).map_err(|error| PluginError::from_io(path.display(), &error))?;
        if !metadata.is_file() {
            return Err(PluginError::unusable(format!("{}: not a regular file", image.path)));
        }
        let overlay = self.0.join(format!("disk{index}.qcow2"));
        // The backing file is given with the machine, as a node of its own: the header's entry is there for people.
        let mut command = Command::new(program);
        command
            .args(["create", "-q", "-u", "-f", "qcow2", "-b", &image.path, "-F", &image.format, "--"])
            .arg(&overlay)
            .arg(image.virtual_size.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut process = Process::start(&mut command).map_err(|error| not_started(program, &error))?;
        let status = loop {
            if let Some(status) = process.ended() {
                break status;
            }
            if stop() {
                return Err(PluginError::interrupted());
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        if !status.success() {
            let message = format!("{}: no overlay could be made: {}", overlay.display(), process.complaint());
            return Err(PluginError::output(message).hint("see that the work directory has free space"));
        }
        Ok(overlay)
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

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in the run's own work directory, which the host empties.
        let _ = fs::remove_dir_all(&self.0);
    }
}

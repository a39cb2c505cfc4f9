//! Converts images and commits overlays with `qemu-img`.
//!
//! Three calls, each one run of the program: make an overlay, commit an overlay onto an image, convert an image. What the
//! program is told is built in [`arguments`], how it is run is in [`child`], what its complaints mean is in [`failure`].
//! Formats are never probed by qemu: every image is named as an explicit node tree, after a look of our own at its header.

pub mod arguments;
mod child;
pub mod failure;
pub mod header;
pub mod progress;
mod target;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use vmdk2kvm_plugin_api::model::{CommitOverlay, Convert, CreateOverlay};
use vmdk2kvm_plugin_api::{Converter, Host, Plugin, PluginError, Result, tracing};

use arguments::{Compression, Format};

/// The plugin: its settings and the host.
#[derive(Clone)]
pub struct QemuImg {
    host: Host,
    settings: Settings,
}

/// The table `[plugin.qemu-img]` of a job.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Name looked up on `PATH`, or an absolute path.
    program: PathBuf,
    /// Codec of a compressed qcow2.
    compression: Compression,
}

impl Default for Settings {
    fn default() -> Self {
        Self { program: "qemu-img".into(), compression: Compression::Zstd }
    }
}

impl Plugin for QemuImg {
    fn new(host: Host) -> Result<Self> {
        let settings = host.settings()?;
        Ok(Self { host, settings })
    }

    fn converter(&self) -> Option<Box<dyn Converter>> {
        Some(Box::new(self.clone()))
    }
}

impl Converter for QemuImg {
    fn formats(&self) -> Vec<String> {
        Format::ALL.iter().map(|format| format.name().to_owned()).collect()
    }

    fn create_overlay(&self, request: &CreateOverlay) -> Result<()> {
        let overlay = absolute(&request.overlay)?;
        let arguments = arguments::create_overlay(request)?;
        let target = target::Target::create(overlay)?;
        self.run("create", overlay, &arguments, None)?;
        target.keep()
    }

    fn commit_overlay(&self, request: &CommitOverlay) -> Result<()> {
        let (overlay, image) = (absolute(&request.overlay)?, absolute(&request.image)?);
        let format = Format::of_source(&request.format)?;
        let size = header::examine_overlay(overlay)?;
        header::examine(image, format)?;
        self.run("commit", overlay, &arguments::commit(overlay, image, format)?, Some(size))?;
        target::sync(image)
    }

    fn convert(&self, request: &Convert) -> Result<()> {
        let (source, path) = (absolute(&request.source)?, absolute(&request.target)?);
        let (from, to) = (Format::of_source(&request.source_format)?, Format::of_target(&request.target_format)?);
        if request.compress && !to.compresses() {
            tracing::warn!("{} images cannot be compressed: {} is written as it is", to.name(), request.target);
        }
        let size = header::examine(source, from)?;
        let arguments =
            arguments::convert(source, from, path, to, request.compress.then_some(self.settings.compression))?;
        // Left behind on any error below, it would look like a result: dropped, it removes the file.
        let target = target::Target::create(path)?;
        self.run("convert", path, &arguments, Some(size))?;
        target.keep()
    }
}

impl QemuImg {
    /// Runs the program; `size` is what 100 % means in bytes, for a command that reports progress.
    fn run(&self, command: &str, about: &Path, arguments: &[String], size: Option<u64>) -> Result<()> {
        self.host.check_cancelled()?;
        tracing::debug!("{} {}", self.settings.program.display(), arguments.join(" "));
        let mut percent = progress::Parser::default();
        child::run(&self.settings.program, arguments, &self.host, |bytes| {
            if let (Some(total), Some(share)) = (size, percent.push(bytes)) {
                self.host.progress(command, share.of(total), total);
            }
        })
        .map_err(|failed| failed.explain(command, &about.display().to_string(), &self.settings.program))
    }
}

/// qemu takes a relative name with a colon for a protocol, and one that begins with a dash for an option.
fn absolute(path: &str) -> Result<&Path> {
    let name = Path::new(path);
    if !name.is_absolute() {
        return Err(PluginError::defect(format!("{path:?} is not an absolute path")));
    }
    Ok(name)
}

vmdk2kvm_plugin_api::export_plugin! {
    plugin: QemuImg,
    name: "qemu-img",
    summary: "Converts images and commits overlays with qemu-img",
    kinds: ["converter"],
    guests: [],
    capabilities: ["qcow2", "raw", "vdi", "vmdk", "vhdx", "compress"],
    libraries: [],
    programs: [("qemu-img", "qemu-utils", "qemu-img")],
    settings: [
        ("program", "string", "qemu-img", "The program: a name on PATH or an absolute path"),
        ("compression", "string", "zstd", "Codec of a compressed qcow2: zstd (qemu 5.1 or newer reads it) or zlib"),
    ],
}

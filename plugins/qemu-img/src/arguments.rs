//! What `qemu-img` is told: pure functions from a request to an argument list.
//!
//! An existing image is named as a `json:` node tree (format, protocol, file name, and that there is no backing file beyond
//! what we say), so qemu neither probes a format nor takes a colon, a comma or a percent sign in a name for syntax. A new image
//! is named by its absolute path, in which qemu looks for none of these.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};
use vmdk2kvm_plugin_api::model::CreateOverlay;
use vmdk2kvm_plugin_api::{PluginError, Result};

/// The longest backing name a qcow2 header takes (qemu's docs/interop/qcow2.txt, `backing_file_size`).
const MAX_BACKING_NAME: usize = 1023;

/// An image format of qemu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// QEMU copy on write 2.
    Qcow2,
    /// Plain bytes.
    Raw,
    /// VirtualBox.
    Vdi,
    /// VMware.
    Vmdk,
    /// Hyper-V.
    Vhdx,
}

impl Format {
    /// All that can be written.
    pub const ALL: [Self; 5] = [Self::Qcow2, Self::Raw, Self::Vdi, Self::Vmdk, Self::Vhdx];

    /// qemu's name and ours.
    pub fn name(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
            Self::Vdi => "vdi",
            Self::Vmdk => "vmdk",
            Self::Vhdx => "vhdx",
        }
    }

    /// Whether it can hold compressed data.
    pub fn compresses(self) -> bool {
        matches!(self, Self::Qcow2 | Self::Vmdk)
    }

    /// A format to write.
    pub fn of_target(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            PluginError::new(
                vmdk2kvm_plugin_api::ErrorKind::Usage,
                format!("images of format {name:?} cannot be written"),
            )
            .hint("choose one of qcow2, raw, vdi, vmdk, vhdx")
        })
    }

    /// A format to read. Working images are of these two; every other one is hostile input and goes through a flattener first.
    pub fn of_source(name: &str) -> Result<Self> {
        match name {
            "raw" => Ok(Self::Raw),
            "qcow2" => Ok(Self::Qcow2),
            _ => Err(PluginError::unusable(format!("an image of format {name:?} is not read with qemu-img"))
                .hint("flatten it to raw or qcow2 first")),
        }
    }
}

/// Codec of compressed qcow2 clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Read by every qemu; slow to write.
    Zlib,
    /// Read by qemu 5.1 (2020) and newer. Default: on two cores 884 MiB took 3.6 s against 22 s, and 3 % less space.
    Zstd,
}

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
        }
    }
}

/// `-u` keeps qemu from opening the backing file, so an export need not be listening yet.
pub fn create_overlay(request: &CreateOverlay) -> Result<Vec<String>> {
    let backing = request.backing.as_str();
    if !backing.starts_with('/') && !backing.starts_with("nbd+unix:///") {
        return Err(PluginError::defect(format!("{backing:?} is neither an absolute path nor an nbd+unix URI")));
    }
    if backing.len() > MAX_BACKING_NAME {
        return Err(PluginError::output(format!(
            "the backing name of {} has {} bytes, more than the {MAX_BACKING_NAME} that qcow2 allows",
            request.overlay,
            backing.len()
        ))
        .hint("use a work directory with a shorter path"));
    }
    // A working image, or a finished one of this plugin's own: nothing that came from outside is opened by it.
    let format = Format::of_target(&request.backing_format)?;
    Ok(words([
        "create",
        "-q",
        "-u",
        "-f",
        "qcow2",
        "-b",
        backing,
        "-F",
        format.name(),
        "--",
        &request.overlay,
        &request.size_bytes.to_string(),
    ]))
}

/// The backing file is replaced in the node tree and not in the overlay's header: `rebase -u` is saved, and with `-d` (do
/// not empty the overlay) a commit that was interrupted can be repeated from the start.
pub fn commit(overlay: &Path, image: &Path, format: Format) -> Result<Vec<String>> {
    let mut tree = node(overlay, Format::Qcow2)?;
    tree["backing"] = node(image, format)?;
    Ok(words(["commit", "-p", "-d", "-t", "writeback", "--", &format!("json:{tree}")]))
}

/// `compression`: `None` for an uncompressed image.
///
/// VMDK: `monolithicSparse`, one file that VMware, VirtualBox and qemu attach as it is; when compressed `streamOptimized`, the
/// only subformat with compression (and the one inside an OVA).
///
/// `-W` (out of order) lets the compressor's threads run ahead: 17 s instead of 22 s for 884 MiB as zlib. Uncompressed it
/// gains nothing and scatters the clusters.
pub fn convert(
    source: &Path,
    from: Format,
    target: &Path,
    to: Format,
    compression: Option<Compression>,
) -> Result<Vec<String>> {
    let mut arguments = words(["convert", "-p", "-t", "writeback", "-O", to.name()]);
    match (to, compression) {
        (Format::Qcow2, Some(codec)) => {
            let codec = format!("compression_type={}", codec.name());
            arguments.extend(words(["-c", "-W", "-o", &codec]));
        }
        (Format::Vmdk, Some(_)) => arguments.extend(words(["-c", "-o", "subformat=streamOptimized"])),
        (Format::Vmdk, None) => arguments.extend(words(["-o", "subformat=monolithicSparse"])),
        _ => {}
    }
    arguments.extend(words(["--", &format!("json:{}", node(source, from)?), text(target)?]));
    Ok(arguments)
}

/// A format node on a file node, or on that of a block device, and nothing below.
fn node(path: &Path, format: Format) -> Result<Value> {
    let is_device = path.metadata().is_ok_and(|found| found.file_type().is_block_device());
    let driver = if is_device { "host_device" } else { "file" };
    let mut node = json!({ "driver": format.name(), "file": { "driver": driver, "filename": text(path)? } });
    if format == Format::Qcow2 {
        node["backing"] = Value::Null;
    }
    Ok(node)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| PluginError::defect(format!("{} is not UTF-8", path.display())))
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlay(backing: &str) -> CreateOverlay {
        CreateOverlay::new("/w/a,b:c.qcow2", backing, "raw", 1 << 30)
    }

    #[test]
    fn an_overlay_names_its_backing_format_and_size() {
        let arguments = create_overlay(&overlay("nbd+unix:///?socket=/w/s")).unwrap().join(" ");
        assert_eq!(arguments, "create -q -u -f qcow2 -b nbd+unix:///?socket=/w/s -F raw -- /w/a,b:c.qcow2 1073741824");
    }

    #[test]
    fn a_backing_that_qemu_would_interpret_is_refused() {
        for backing in ["disk.raw", "json:{}", "http://host/x", "nbd://host/x"] {
            assert!(create_overlay(&overlay(backing)).is_err(), "{backing}");
        }
        let error = create_overlay(&overlay(&format!("/{}", "x".repeat(1023)))).unwrap_err();
        assert_eq!(
            error.message,
            "the backing name of /w/a,b:c.qcow2 has 1024 bytes, more than the 1023 that qcow2 allows"
        );
    }

    #[test]
    fn a_commit_replaces_the_backing_in_the_tree() {
        let arguments = commit(Path::new("/w/o"), Path::new("/w/a,b%s\"q"), Format::Raw).unwrap();
        assert_eq!(arguments[..6], ["commit", "-p", "-d", "-t", "writeback", "--"]);
        let tree: Value = serde_json::from_str(arguments[6].strip_prefix("json:").unwrap()).unwrap();
        assert_eq!(
            tree,
            json!({ "driver": "qcow2", "file": { "driver": "file", "filename": "/w/o" },
                "backing": { "driver": "raw", "file": { "driver": "file", "filename": "/w/a,b%s\"q" } } })
        );
    }

    #[test]
    fn options_follow_format_and_compression() {
        let options = |to, compression| {
            let arguments = convert(Path::new("/s"), Format::Raw, Path::new("/t"), to, compression).unwrap();
            let end = arguments.iter().position(|word| word == "--").unwrap();
            arguments[4..end].join(" ")
        };
        assert_eq!(options(Format::Raw, None), "-O raw");
        assert_eq!(options(Format::Qcow2, None), "-O qcow2");
        assert_eq!(options(Format::Qcow2, Some(Compression::Zlib)), "-O qcow2 -c -W -o compression_type=zlib");
        assert_eq!(options(Format::Vmdk, None), "-O vmdk -o subformat=monolithicSparse");
        assert_eq!(options(Format::Vmdk, Some(Compression::Zstd)), "-O vmdk -c -o subformat=streamOptimized");
        assert_eq!(options(Format::Vhdx, Some(Compression::Zstd)), "-O vhdx");
    }
}

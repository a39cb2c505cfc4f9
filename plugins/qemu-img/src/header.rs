//! A look of our own at an image before qemu opens it: how large it is, and that it reads no other file.
//!
//! Only the fixed part of a qcow2 header is read (qemu's docs/interop/qcow2.txt, "Header"); the tables behind it are qemu's.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::arguments::Format;

/// Up to the end of `incompatible_features`.
const HEADER: u64 = 80;
/// Bit 2 of `incompatible_features`: the data lies in another file.
const EXTERNAL_DATA: u64 = 1 << 2;

/// Checks a source or a commit's image and returns its virtual size in bytes.
pub fn examine(path: &Path, format: Format) -> Result<u64> {
    let (file, length) = open(path)?;
    if format == Format::Raw {
        return Ok(length);
    }
    let header = Qcow2::read(path, file)?;
    if header.backing_offset != 0 {
        return Err(PluginError::unusable(format!("{}: the image has a backing file", path.display()))
            .hint("flatten the chain first"));
    }
    Ok(header.size)
}

/// Checks an overlay of ours and returns its virtual size in bytes. What its header names as backing file is not used.
pub fn examine_overlay(path: &Path) -> Result<u64> {
    let (file, _) = open(path)?;
    Ok(Qcow2::read(path, file)?.size)
}

struct Qcow2 {
    backing_offset: u64,
    size: u64,
}

impl Qcow2 {
    fn read(path: &Path, file: File) -> Result<Self> {
        let broken = |what: &str| PluginError::unusable(format!("{}: {what}", path.display()));
        let mut bytes = Vec::new();
        file.take(HEADER).read_to_end(&mut bytes).map_err(|error| PluginError::from_io(path.display(), &error))?;
        // Version 2 ends at byte 72, and an image is at least a cluster.
        let bytes: [u8; HEADER as usize] = bytes.try_into().map_err(|_| broken("too short for a qcow2 image"))?;
        let number = |at: usize, length: usize| bytes[at..at + length].iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
        if bytes[..4] != *b"QFI\xfb" {
            return Err(broken("not a qcow2 image"));
        }
        let version = number(4, 4);
        if !(2..=3).contains(&version) {
            return Err(broken(&format!("qcow2 version {version} is not known")));
        }
        if number(32, 4) != 0 {
            return Err(broken("the qcow2 image is encrypted").hint("decrypt it with qemu-img convert first"));
        }
        if version == 3 && number(72, 8) & EXTERNAL_DATA != 0 {
            return Err(broken("the qcow2 image keeps its data in another file").hint("flatten the image first"));
        }
        Ok(Self { backing_offset: number(8, 8), size: number(24, 8) })
    }
}

/// Opens a regular file or a block device. Not waiting, should it be a FIFO.
fn open(path: &Path) -> Result<(File, u64)> {
    let io = |error: std::io::Error| PluginError::from_io(path.display(), &error);
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if metadata.file_type().is_block_device() {
        let length = (&file).seek(std::io::SeekFrom::End(0)).map_err(io)?;
        (&file).rewind().map_err(io)?;
        return Ok((file, length));
    }
    if !metadata.is_file() {
        return Err(PluginError::unusable(format!("{}: not a regular file", path.display())));
    }
    Ok((file, metadata.len()))
}

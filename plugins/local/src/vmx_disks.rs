//! A VMX of this machine, and the disks that it names, found and recognised.

use std::path::Path;

use vmdk2kvm_plugin_api::model::Disk;
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result};
use vmdk2kvm_vmx::{Described, MAX_SIZE, VmxDisk};

use crate::detect::{Kind, detect};
use crate::magic::DiskFormat;
use crate::names::{file_name, stem};
use crate::roots::Roots;

/// Reads the VMX `object`. Its disks are still only names.
pub fn read(roots: &Roots, object: &str) -> Result<Described> {
    let source = roots.source(object)?;
    vmdk2kvm_vmx::read(&source.document("a VMX", MAX_SIZE)?, source.name(), &stem(Path::new(object)))
}

/// Finds each disk beneath the folder of the VMX `object`, and decides its format.
pub fn open(roots: &Roots, object: &str, disks: Vec<VmxDisk>) -> Result<Vec<Disk>> {
    let mut opened: Vec<Disk> = Vec::with_capacity(disks.len());
    for disk in disks {
        let context = format!("{}: disk {}", escape(object), disk.key);
        let path = roots.resolve(object, &disk.file_name).map_err(|mut error| {
            error.hint =
                Some("copy the disk with all its files beside the VMX, and name it there without a path".into());
            error
        })?;
        if opened.iter().any(|other| crate::object_of_disk(other) == Some(path.as_str())) {
            return Err(PluginError::unusable(format!(
                "{context}: another disk has the same file '{}'",
                escape(&disk.file_name)
            ))
            .hint("remove one of both from the VMX"));
        }
        let source = roots.source(&path).map_err(|error| error.context(&context))?;
        let format = match detect(&source, Path::new(&path)).map_err(|error| error.context(&context))? {
            Kind::Disk(format) => format,
            other => {
                return Err(PluginError::unusable(format!(
                    "{context}: '{}' is {}, not a disk",
                    escape(&disk.file_name),
                    other.what()
                )));
            }
        };
        opened.push(Disk::new(file_name(Path::new(&path)), disk.controller, disk.bus, disk.unit).with(|it| {
            it.capacity_bytes = if format == DiskFormat::Raw { source.size() } else { 0 };
            it.ways = vec![crate::way(&path, format.as_str())];
        }));
    }
    Ok(opened)
}

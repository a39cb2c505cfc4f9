//! What a shelf says of a machine. Holds no disk bytes.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use vmdk2kvm_plugin_api::model::{Controller, Cpus, Disk, Firmware, Origin, VmSpec, VmSummary, Way};
use vmdk2kvm_plugin_api::{Catalog, PluginError, Result};

use crate::SCHEME;

/// No description is longer, in bytes: what a store says is bounded before it is read.
const LIMIT: u64 = 1 << 20;
/// Units of a SCSI controller.
const DISKS: usize = 15;

/// `vm.json`.
#[derive(Deserialize)]
pub struct Description {
    memory_mib: u64,
    cpus: u32,
    uefi: bool,
    /// Size of each disk.
    pub disk_bytes: Vec<u64>,
}

impl Description {
    /// Reads the one in this folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("vm.json");
        let failed = |error| PluginError::from_io(path.display(), &error);
        let mut text = String::new();
        std::fs::File::open(&path).map_err(failed)?.take(LIMIT).read_to_string(&mut text).map_err(failed)?;
        let description: Self = serde_json::from_str(&text)
            .map_err(|error| PluginError::unusable(format!("{}: {error}", path.display())))?;
        if description.disk_bytes.len() > DISKS {
            return Err(PluginError::unusable(format!("{}: more than {DISKS} disks", path.display())));
        }
        Ok(description)
    }
}

/// A machine on the shelf.
pub struct Machine(pub PathBuf);

impl Catalog for Machine {
    fn inventory(&self) -> Result<Vec<VmSummary>> {
        Ok(vec![VmSummary::new(self.describe()?)])
    }

    fn describe(&self) -> Result<VmSpec> {
        let description = Description::read(&self.0)?;
        let disk = |(index, bytes): (usize, &u64)| {
            Disk::new(format!("disk{index}"), Controller::Scsi, 0, index as u32).with(|disk| {
                disk.capacity_bytes = *bytes;
                // What the transport is asked for.
                disk.ways.push(Way::new(SCHEME, index.to_string(), "raw"));
            })
        };
        let memory_bytes = description.memory_mib.checked_mul(1 << 20);
        let memory_bytes = memory_bytes.ok_or_else(|| PluginError::unusable("memory_mib is too large"))?;
        let name = self.0.file_name().map_or_else(|| "machine".into(), |name| name.to_string_lossy());
        let firmware = if description.uefi { Firmware::Uefi } else { Firmware::Bios };
        Ok(VmSpec::new(name, firmware, Cpus::new(description.cpus, 1), memory_bytes).with(|vm| {
            vm.disks = description.disk_bytes.iter().enumerate().map(disk).collect();
            vm.origin = Some(Origin::new(SCHEME, format!("{SCHEME}:{}", self.0.display())));
        }))
    }
}

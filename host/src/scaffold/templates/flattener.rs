//! Reads disks of the format `my-plugin`: eight bytes of magic, the size in bytes (little endian), then the disk's bytes.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{ChainLink, ChainReport, FlattenDisk};
use vmdk2kvm_plugin_api::{
    BlockSource, Flat, Flattener, Hints, Host, Plugin, PluginError, Result, Transport, export_plugin, read_exact_at,
};

const FORMAT: &str = "my-plugin";
const MAGIC: &[u8; 8] = b"DISK0001";
/// Bytes of the header.
const HEADER: u64 = 16;

struct MyPlugin;

impl Flattener for MyPlugin {
    fn formats(&self) -> Vec<String> {
        vec![FORMAT.into()]
    }
    fn flatten(&self, disk: &FlattenDisk, files: Arc<dyn Transport>) -> Result<Flat> {
        let file = files.open(&disk.object)?;
        let refused = |why: String| PluginError::unusable(format!("{}: {why}", disk.object));
        if file.size() < HEADER {
            return Err(refused(format!("it has {} bytes, a header has {HEADER}", file.size())));
        }
        let mut header = [0; HEADER as usize];
        read_exact_at(&*file, 0, &mut header)?;
        let (magic, rest) = header.split_at(8);
        if magic != MAGIC {
            return Err(refused("it does not begin as a disk of this format does".into()));
        }
        let size = rest.try_into().map(u64::from_le_bytes).map_err(|_| refused("its header is short".into()))?;
        // What the header says is only believed when the file has it.
        if size > file.size() - HEADER {
            return Err(refused(format!("its header says {size} bytes, the file has {}", file.size() - HEADER)));
        }
        let link = ChainLink::new(&disk.object, FORMAT, vec![disk.object.clone()]);
        Ok(Flat::new(View { file, size }, ChainReport::new(size, vec![link])))
    }
}

/// The disk as the guest saw it.
struct View {
    file: Box<dyn BlockSource>,
    size: u64,
}

impl BlockSource for View {
    fn size(&self) -> u64 {
        self.size
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        match offset.checked_add(buffer.len() as u64) {
            Some(end) if end <= self.size && offset < self.size => self.file.read_at(HEADER + offset, buffer),
            _ => Err(PluginError::unusable("a read past the end of the disk")),
        }
    }
    fn hints(&self) -> Hints {
        self.file.hints()
    }
}

impl Plugin for MyPlugin {
    fn new(_: Host) -> Result<Self> {
        Ok(Self)
    }
    fn flattener(&self) -> Option<Box<dyn Flattener>> {
        Some(Box::new(Self))
    }
}

export_plugin! {
    plugin: MyPlugin,
    name: "my-plugin",
    summary: "Reads disks of the format my-plugin",
    kinds: ["flattener"],
    capabilities: ["my-plugin"],
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_testing::conformance::{self, Chain};
    use vmdk2kvm_plugin_testing::{FakeHost, MemoryFiles};

    use super::*;

    fn chain(size: u64, content: &[u8]) -> Chain {
        let bytes = [&MAGIC[..], &size.to_le_bytes(), content].concat();
        let disk = FlattenDisk::new("web.disk", FORMAT);
        Chain { disk, files: Arc::new(MemoryFiles::default().with("web.disk", bytes)) }
    }

    #[test]
    fn keeps_the_promises_of_a_flattener() {
        let report = conformance::flattener(&MyPlugin, &FakeHost::new(), Some(&chain(300_000, &[7; 300_000])));
        report.assert();
        assert_eq!(report.skipped().count(), 0);
    }

    #[test]
    fn a_file_that_ends_early_is_refused() {
        let Chain { disk, files } = chain(1000, &[7; 999]);
        let error = MyPlugin.flatten(&disk, files).err().unwrap();
        assert_eq!(error.message, "web.disk: its header says 1000 bytes, the file has 999");
    }
}

//! Files at a distance: the flat view is read as they want to be read.

use std::sync::Arc;

use vmdk2kvm_plugin_api::model::FlattenDisk;
use vmdk2kvm_plugin_api::{BlockSource, Extent, Flattener, Hints, Result, Transport};
use vmdk2kvm_vmdk_flatten::VmdkFlattener;

use crate::exercise::host;
use crate::made::descriptor;
use crate::support::flatten;
use crate::support::folder::Folder;

/// The files of a folder, as if they were far away.
struct Far(Folder);

struct FarFile(Box<dyn BlockSource>);

impl Transport for Far {
    fn open(&self, object: &str) -> Result<Box<dyn BlockSource>> {
        Ok(Box::new(FarFile(self.0.open(object)?)))
    }

    fn resolve(&self, from: &str, name: &str) -> Result<String> {
        self.0.resolve(from, name)
    }

    fn fingerprint(&self, object: &str) -> Result<String> {
        self.0.fingerprint(object)
    }
}

impl BlockSource for FarFile {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.0.read_at(offset, buffer)
    }

    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        self.0.extents(offset, length)
    }

    fn hints(&self) -> Hints {
        Hints::default().with(|it| {
            it.request = 8 << 20;
            it.parallelism = 4;
        })
    }
}

#[test]
fn large_requests_and_several_at_once_reach_a_flat_file_that_is_far_away() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a-flat.vmdk"), vec![1; 1 << 20]).unwrap();
    let text = descriptor("vmfs", 77, None, "RW 2048 VMFS \"a-flat.vmdk\"");
    std::fs::write(folder.path().join("a.vmdk"), text).unwrap();
    let far = Arc::new(Far(Folder::new(folder.path())));
    let flat = VmdkFlattener::new(host()).flatten(&FlattenDisk::new("a.vmdk", "vmdk"), far).unwrap();
    let hints = flat.source.hints();
    assert_eq!((hints.alignment, hints.request, hints.parallelism), (4096, 8 << 20, 4));
    // One of this machine is read as before.
    let hints = flatten(folder.path(), "a.vmdk").unwrap().source.hints();
    assert_eq!((hints.request, hints.parallelism), (1 << 20, 0));
}

//! The ways that are no files of datastores, and what catalogs and transports agree on beside.
//!
//! Every disk has the way [`DISK`] as its last one: a disk without any would be taken for one that is empty. Who carries it needs a library that the user has to have.
//!
//! A way of the scheme [`LEASE`] is a stream. Its object says which disk of which VM, and which content where the API tells; the word [`DEVICE`] says by
//! which place on a controller the lease's streams are told apart. Of the hold's notes [`VM_NOTE`] and [`SNAPSHOT_NOTE`] say what is exported.

use vmdk2kvm_plugin_api::model::Way;

use crate::datastore;
use crate::machine::Machine;

/// The scheme of a stream of an export lease.
pub const LEASE: &str = "nfc-lease";
/// The scheme of a disk of a VM that is exported as a whole, as an OVF: a stream, the last choice.
pub const OVF: &str = "ovf-export";
/// The scheme of a disk by the keys of its VM and its own, for whoever has a library of the vendor.
pub const DISK: &str = "vsphere-disk";
/// The word for the disk's place: the controller's type in the API, its bus, and the unit, `ParaVirtualSCSIController0:1`.
pub const DEVICE: &str = "device";
/// The member of a hold's notes that names the VM.
pub const VM_NOTE: &str = "vm";
/// The member that names the snapshot that is read; where there is none the VM itself is.
pub const SNAPSHOT_NOTE: &str = "snapshot";

/// A disk by its keys.
pub fn disk(vm: &str, key: i64) -> Way {
    Way::new(DISK, format!("{vm}/{key}"), "raw")
}

/// The stream of a disk. `content` is a word that changes when its content does; empty: the API says none.
pub fn lease(vm: &str, key: i64, content: &str, device: &str) -> Way {
    Way::new(LEASE, format!("{vm}/{key}/{content}"), "raw").with(|way| {
        way.stream = true;
        way.extra.insert(DEVICE.to_owned(), device.to_owned());
    })
}

/// A disk of an export. `content` as of a lease.
pub fn ovf(vm: &str, key: i64, content: &str) -> Way {
    Way::new(OVF, format!("{vm}/{key}/{content}"), "vmdk").with(|way| {
        way.stream = true;
        "a whole OVF is exported by a program of VMware, where nothing else can read the disk"
            .clone_into(&mut way.reason);
    })
}

/// A lease sends what is used, at 19 to 29 MB/s a disk, for the host compresses it; files bring zeros, too, at some 110 MB/s over a line of 1 Gbit/s. So a lease is the
/// shorter way where less than this share is used.
const USED: u64 = 5;

/// Puts the ways of a VM's disks in their order, and says why it is this one.
pub fn order(machine: &mut Machine) {
    let capacity = machine.spec.disks.iter().map(|disk| disk.capacity_bytes).fold(0, u64::saturating_add);
    let sparse = machine.used_bytes.filter(|used| used.saturating_mul(USED) < capacity);
    for disk in &mut machine.spec.disks {
        if sparse.is_some() {
            // Stable: all others stay in their order behind it.
            disk.ways.sort_by_key(|way| way.scheme != LEASE);
        }
        let Some(first) = disk.ways.first_mut() else { continue };
        first.reason = match (first.scheme.as_str(), sparse) {
            (datastore::SCHEME, _) => "files of a datastore are read at random, over several connections".to_owned(),
            (LEASE, Some(used)) => {
                format!("about {} of {} MiB are used, and a lease sends no others", used >> 20, capacity >> 20)
            }
            (LEASE, None) => "no file of a datastore has its bytes, or none may be read".to_owned(),
            _ => continue,
        };
    }
}

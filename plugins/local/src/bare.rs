//! A machine around disks that no description comes with: everything but the disks is guessed, and marked so.

use vmdk2kvm_plugin_api::model::{Cpus, Disk, Firmware, Nic, NicKind, VmSpec};
use vmdk2kvm_vmx::GUESSED_MEMORY;

/// The machine called `name` with these disks.
pub fn machine(name: String, disks: Vec<Disk>) -> VmSpec {
    let mut guessed: Vec<String> =
        ["name", "firmware", "secure_boot", "tpm", "cpus", "memory_bytes", "nics"].map(String::from).to_vec();
    guessed.extend((0..disks.len()).map(|index| format!("disks[{index}].controller")));
    VmSpec::new(name, Firmware::Bios, Cpus::new(2, 2), GUESSED_MEMORY).with(|it| {
        it.disks = disks;
        it.nics = vec![Nic::new(NicKind::Network)];
        it.guessed = guessed;
    })
}

//! A machine around disks that no description comes with: everything but the disks is guessed, and marked so.

use vmdk2kvm_plugin_api::model::{Cpus, Disk, Firmware, Nic, NicKind, VmSpec};

/// Memory of a machine that nothing is known about: enough for any current distribution to boot.
pub const GUESSED_MEMORY: u64 = 2 << 30;

/// The machine called `name` with these disks.
pub fn machine(name: String, disks: Vec<Disk>) -> VmSpec {
    let mut guessed: Vec<String> =
        ["name", "firmware", "secure_boot", "tpm", "cpus", "memory_bytes", "nics"].map(String::from).to_vec();
    guessed.extend((0..disks.len()).map(|index| format!("disks[{index}].controller")));
    VmSpec {
        schema: 1,
        name,
        uuid: None,
        genid: None,
        guest_id: None,
        firmware: Firmware::Bios,
        secure_boot: false,
        tpm: false,
        cpus: Cpus { count: 2, sockets: 1, cores_per_socket: 2 },
        memory_bytes: GUESSED_MEMORY,
        disks,
        removable: Vec::new(),
        nics: vec![Nic { mac: None, model: None, network: None, kind: NicKind::Network }],
        guessed,
        origin: None,
    }
}

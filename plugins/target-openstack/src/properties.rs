//! The properties of an image, by which Nova chooses the devices of a server.

use std::collections::BTreeMap;

use vmdk2kvm_plugin_api::model::{CardModel, Chipset, Clock, DiskBus, Firmware, Machine, Video};

/// Local time and Hyper-V's interfaces together are what Nova gives Windows.
pub fn is_windows(machine: &Machine) -> bool {
    machine.enlightenments && machine.clock == Clock::Local
}

/// Nova's word for a bus.
pub const fn bus(bus: DiskBus) -> &'static str {
    match bus {
        DiskBus::Virtio => "virtio",
        DiskBus::VirtioScsi => "scsi",
        DiskBus::Ide => "ide",
        _ => "sata",
    }
}

/// Those that a machine needs.
pub fn properties(machine: &Machine) -> BTreeMap<&'static str, String> {
    let cpus = machine.cpus.consistent();
    let uefi = machine.firmware == Firmware::Uefi;
    let mut all = BTreeMap::new();
    let mut set = |name, value: &str| all.insert(name, value.to_owned());
    set("architecture", "x86_64");
    set("hypervisor_type", "kvm");
    set("vm_mode", "hvm");
    set("hw_machine_type", if machine.chipset == Chipset::Pc { "pc" } else { "q35" });
    set("hw_firmware_type", if uefi { "uefi" } else { "bios" });
    if uefi {
        set("os_secure_boot", if machine.secure_boot { "required" } else { "disabled" });
    }
    if let Some(disk) = machine.disks.first() {
        set("hw_disk_bus", bus(disk.bus));
    }
    if machine.disks.iter().any(|disk| disk.bus == DiskBus::VirtioScsi) {
        set("hw_scsi_model", "virtio-scsi");
    }
    set("hw_cdrom_bus", if machine.chipset == Chipset::Pc { "ide" } else { "sata" });
    if let Some(card) = machine.cards.first() {
        let model = match card.model {
            CardModel::Virtio => "virtio",
            CardModel::E1000e => "e1000e",
            CardModel::Rtl8139 => "rtl8139",
            _ => "e1000",
        };
        set("hw_vif_model", model);
    }
    if machine.tpm {
        set("hw_tpm_version", "2.0");
        set("hw_tpm_model", if uefi { "tpm-crb" } else { "tpm-tis" });
    }
    set("hw_video_model", if machine.video == Video::Virtio { "virtio" } else { "vga" });
    set("hw_pointer_model", "usbtablet");
    set("hw_cpu_sockets", &cpus.sockets.to_string());
    set("hw_cpu_cores", &cpus.cores_per_socket.to_string());
    set("hw_cpu_threads", "1");
    if machine.paravirtual {
        set("hw_qemu_guest_agent", "yes");
        set("hw_rng_model", "virtio");
    }
    if is_windows(machine) {
        set("os_type", "windows");
    }
    all
}

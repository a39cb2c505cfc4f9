//! What a driver of a virtio machine drives, by the hardware ids in its INF.

/// A device of a virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Device {
    /// virtio-blk.
    Block,
    /// virtio-scsi.
    Scsi,
    /// virtio-net.
    Network,
    /// virtio-balloon.
    Balloon,
    /// virtio-serial: the guest agent's channel.
    Serial,
    /// virtio-rng.
    Random,
    /// virtio-gpu.
    Gpu,
    /// virtio-input.
    Input,
    /// virtio-fs.
    FileSystem,
    /// virtio-vsock.
    Socket,
    /// pvpanic, on ACPI or PCI.
    Panic,
    /// QEMU's firmware configuration.
    FirmwareConfig,
    /// QXL.
    Qxl,
    /// The SM bus of q35.
    SmBus,
    /// A serial port on PCI.
    PciSerial,
    /// None of these.
    Other,
}

impl Device {
    /// The device that this id is of: `PCI\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00`, `ACPI\QEMU0001`.
    pub fn of_id(id: &str) -> Self {
        let id = id.to_ascii_uppercase();
        match id.as_str() {
            r"ACPI\QEMU0001" => return Self::Panic,
            r"ACPI\QEMU0002" => return Self::FirmwareConfig,
            _ => {}
        }
        let hex = |text: &str| u16::from_str_radix(text.get(..4)?, 16).ok();
        let parts = id
            .strip_prefix(r"PCI\VEN_")
            .and_then(|rest| Some((hex(rest)?, hex(rest.get(4..)?.strip_prefix("&DEV_")?)?)));
        match parts {
            Some((0x1af4, 0x1000 | 0x1041)) => Self::Network,
            Some((0x1af4, 0x1001 | 0x1042)) => Self::Block,
            Some((0x1af4, 0x1002 | 0x1045)) => Self::Balloon,
            Some((0x1af4, 0x1003 | 0x1043)) => Self::Serial,
            Some((0x1af4, 0x1004 | 0x1048)) => Self::Scsi,
            Some((0x1af4, 0x1005 | 0x1044)) => Self::Random,
            Some((0x1af4, 0x1012 | 0x1053)) => Self::Socket,
            Some((0x1af4, 0x1050)) => Self::Gpu,
            Some((0x1af4, 0x1052)) => Self::Input,
            Some((0x1af4, 0x105a)) => Self::FileSystem,
            Some((0x1b36, 0x0002..=0x0004)) => Self::PciSerial,
            Some((0x1b36, 0x0011)) => Self::Panic,
            Some((0x1b36, 0x0100)) => Self::Qxl,
            Some((0x8086, 0x2930)) => Self::SmBus,
            _ => Self::Other,
        }
    }

    /// Whether the machine cannot do without: its disk, its network. All others are optional, and may never harm the boot.
    pub const fn is_critical(self) -> bool {
        matches!(self, Self::Block | Self::Scsi | Self::Network)
    }
}

#[cfg(test)]
mod tests {
    use super::Device;

    #[test]
    fn ids_of_every_form() {
        for (id, device) in [
            (r"PCI\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00", Device::Block),
            (r"pci\ven_1af4&dev_1042", Device::Block),
            (r"PCI\VEN_1AF4&DEV_1048", Device::Scsi),
            (r"PCI\VEN_1AF4&DEV_105A", Device::FileSystem),
            (r"ACPI\QEMU0001", Device::Panic),
            (r"PCI\VEN_1B36&DEV_0011", Device::Panic),
            (r"ACPI\QEMU0002", Device::FirmwareConfig),
            (r"PCI\VEN_1B36&DEV_0003", Device::PciSerial),
            (r"PCI\VEN_8086&DEV_2930&SUBSYS_11001AF4", Device::SmBus),
            (r"PCI\VEN_8086&CC_0C0500", Device::Other),
            (r"PCI\VEN_1", Device::Other),
            ("", Device::Other),
        ] {
            assert_eq!(Device::of_id(id), device, "{id}");
        }
        assert!(Device::Scsi.is_critical() && !Device::SmBus.is_critical());
    }
}

//! INF files in the syntax of the public virtio drivers, in words of our own: what the packages for Windows 7, 8.1, 10 and 11 differ in.

/// A made-up package: the name of its driver, and an INF in which `NT@` stands for the target (`NTamd64.6.1`).
#[derive(Debug, Clone, Copy)]
pub struct FakeDriver {
    /// The folder of the driver: `NetKVM`.
    pub folder: &'static str,
    /// Name of INF, program and catalogue without their endings: `netkvm`.
    pub stem: &'static str,
    /// Whether it has a program; else it only gives a device its name.
    pub has_program: bool,
    text: &'static str,
}

impl FakeDriver {
    /// The INF for a target: `amd64.6.1`, `x86.6.3`, `amd64.10.0...16299`. Lines end as Windows wants them.
    pub fn inf(&self, target: &str) -> String {
        let directory = if target.ends_with("16299") { "13" } else { "12" };
        self.text
            .replace("NT@", &format!("NT{target}"))
            .replace("%DRIVERS%", &format!("%{directory}%"))
            .replace('\n', "\r\n")
    }
}

/// Every fake driver.
pub const DRIVERS: [FakeDriver; 8] = [VIOSTOR, VIOSCSI, NETKVM, BALLOON, VIOSER, PVPANIC, SMBUS, PCISERIAL];

/// The block driver: a boot service, its values, interrupts, and tokens for every number.
pub const VIOSTOR: FakeDriver =
    FakeDriver { folder: "viostor", stem: "viostor", has_program: true, text: include_str!("infs/viostor.inf") };

/// The SCSI driver: another `BusType`, files named directly, and a second manufacturer's line.
pub const VIOSCSI: FakeDriver =
    FakeDriver { folder: "vioscsi", stem: "vioscsi", has_program: true, text: include_str!("infs/vioscsi.inf") };

/// The network driver: an adapter's settings, parameters with names in asterisks, a helper beside the driver.
pub const NETKVM: FakeDriver =
    FakeDriver { folder: "NetKVM", stem: "netkvm", has_program: true, text: include_str!("infs/netkvm.inf") };

/// The balloon driver: sections for NT, and the co-installer that Windows 7 needs.
pub const BALLOON: FakeDriver =
    FakeDriver { folder: "Balloon", stem: "balloon", has_program: true, text: include_str!("infs/balloon.inf") };

/// The serial driver: sections twice, a models section without decoration beside the decorated one.
pub const VIOSER: FakeDriver =
    FakeDriver { folder: "vioserial", stem: "vioser", has_program: true, text: include_str!("infs/vioser.inf") };

/// A device of ACPI.
pub const PVPANIC: FakeDriver =
    FakeDriver { folder: "pvpanic", stem: "pvpanic", has_program: true, text: include_str!("infs/pvpanic.inf") };

/// A package without a service: it names a device.
pub const SMBUS: FakeDriver =
    FakeDriver { folder: "smbus", stem: "smbus", has_program: false, text: include_str!("infs/smbus.inf") };

/// A package that lives off an INF of Windows.
pub const PCISERIAL: FakeDriver = FakeDriver {
    folder: "qemupciserial",
    stem: "qemupciserial",
    has_program: false,
    text: include_str!("infs/qemupciserial.inf"),
};

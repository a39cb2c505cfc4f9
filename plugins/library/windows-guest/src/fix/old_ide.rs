//! XP and 2003, which have no virtio drivers here and start from IDE: whoever was installed on a SCSI disk knows no IDE controller before
//! Plug and Play runs, and stops (0x7B). What Microsoft's article 314082 has a person import is set here, for the controller of the new
//! machine and for any other.

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{Finding, Severity};

use super::plan::Planning;
use crate::edits::{EXPAND_SZ, SZ, number, text};
use crate::inspect::system;

/// The first build whose list of critical devices has every controller that Windows brings a driver for.
const VISTA: u32 = 6000;
const CONTROLLERS: &str = "{4D36E96A-E325-11CE-BFC1-08002BE10318}";
const DISKS: &str = "{4D36E967-E325-11CE-BFC1-08002BE10318}";
/// Devices, their drivers and classes. 8086:7010 is the new machine's controller.
const DEVICES: [(&str, &str, &str); 6] = [
    ("primary_ide_channel", "atapi", CONTROLLERS),
    ("secondary_ide_channel", "atapi", CONTROLLERS),
    ("*pnp0600", "atapi", CONTROLLERS),
    ("pci#cc_0101", "pciide", CONTROLLERS),
    ("pci#ven_8086&dev_7010", "intelide", CONTROLLERS),
    ("gendisk", "disk", DISKS),
];
/// Drivers with their groups and their places in them.
const DRIVERS: [(&str, &str, u32); 3] =
    [("atapi", "SCSI miniport", 25), ("intelide", "System Bus Extender", 4), ("pciide", "System Bus Extender", 3)];
/// What must be in the folder of drivers: `pciidex` is what the two controllers' drivers share.
const FILES: [&str; 4] = ["atapi.sys", "intelide.sys", "pciide.sys", "pciidex.sys"];

/// Has an old system start from IDE.
pub fn plan(planning: &mut Planning<'_>) -> Result<()> {
    let hives = planning.hives;
    if system::build(hives)?.is_none_or(|build| build >= VISTA) {
        return Ok(());
    }
    let mut missing = Vec::new();
    for file in FILES {
        if planning.guest.stat(&planning.place.path(&format!("System32/drivers/{file}")))?.is_none() {
            missing.push(file);
        }
    }
    if !missing.is_empty() {
        let message =
            format!("the system would not start from IDE, which has no {} among its drivers", missing.join(", "));
        planning.tell(Finding::new("ide-driver-missing", Severity::Block, message).hint(
            "expand them in the guest from \\Windows\\Driver Cache\\i386 (sp3.cab, sp2.cab or driver.cab) into \\Windows\\System32\\drivers, and migrate again",
        ));
        return Ok(());
    }
    planning.system.concern("the system starts from IDE");
    for (device, driver, class) in DEVICES {
        let key = hives.current(&format!("Control\\CriticalDeviceDatabase\\{device}"));
        // What is there already is that system's own.
        if hives.system.text(&key, "Service")?.is_none() {
            planning.system.set(&key, "Service", text(SZ, driver))?;
            planning.system.set(&key, "ClassGUID", text(SZ, class))?;
        }
    }
    for (driver, group, tag) in DRIVERS {
        let key = hives.service(driver);
        if hives.system.number(&key, "Type")?.is_none() {
            planning.system.set(&key, "Type", number(1))?;
            planning.system.set(&key, "ErrorControl", number(1))?;
            planning.system.set(&key, "Group", text(SZ, group))?;
            planning.system.set(&key, "Tag", number(tag))?;
            planning.system.set(&key, "ImagePath", text(EXPAND_SZ, &format!("System32\\DRIVERS\\{driver}.sys")))?;
        }
        planning.system.set(&key, "Start", number(0))?;
    }
    planning.plan.drives.push("ide".to_owned());
    Ok(())
}

//! The driver of the disk that the system starts from: a service that the loader loads, and the entries by which the kernel finds it for a
//! device before anything of Plug and Play runs. Either missing stops the start (0x7B).

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::RegistryValue;

use super::package::Package;
use super::plan::Planning;
use crate::edits::{EXPAND_SZ, SZ, number, text, texts};
use crate::inf::{Data, Install, Root, Service};

/// A driver that the loader loads.
const BOOT: u32 = 0;
/// The group that is loaded when no package says another.
const GROUP: &str = "SCSI miniport";
/// The class of drivers of disks.
const SCSI_CLASS: &str = "{4D36E97B-E325-11CE-BFC1-08002BE10318}";

/// Plans the service: as the package says, but started with the system.
pub fn service(planning: &mut Planning<'_>, package: &Package<'_>, install: &Install, service: &Service) -> Result<()> {
    let key = planning.hives.service(&service.name);
    let binary = service.binary.rsplit('\\').next().unwrap_or_default();
    let edits = &mut planning.system;
    edits.concern("the disk's driver starts with the system");
    edits.set(&key, "Type", number(service.service_type))?;
    edits.set(&key, "Start", number(BOOT))?;
    edits.set(&key, "ErrorControl", number(service.error_control))?;
    edits.set(&key, "Group", text(SZ, service.load_order_group.as_deref().unwrap_or(GROUP)))?;
    edits.set(&key, "ImagePath", text(EXPAND_SZ, &format!("System32\\drivers\\{binary}")))?;
    for (below, name, value) in values(service) {
        let key = if below.is_empty() { key.clone() } else { format!("{key}\\{below}") };
        edits.set(&key, name, value)?;
    }
    // What an earlier start without the device put aside counts before the service's own word.
    edits.empty(&format!("{key}\\StartOverride"))?;
    if planning.hives.system.has("DriverDatabase")? {
        planning.system.set(&key, "Owners", texts(&[&package.published()]))?;
        super::driver_database::plan(planning, package, install, service)
    } else {
        critical_devices(planning, package, service)
    }
}

/// What the package writes below the service's key.
pub fn values(service: &Service) -> impl Iterator<Item = (&str, &str, RegistryValue)> {
    service
        .registry
        .iter()
        .filter(|value| value.root == Root::Relative)
        .filter_map(|value| stored(&value.data).map(|data| (value.key.as_str(), value.name.as_str(), data)))
}

/// A value of an INF as the registry stores it.
pub fn stored(data: &Data) -> Option<RegistryValue> {
    data.stored().map(|(number, bytes)| RegistryValue::new(number, &bytes))
}

/// To Windows 7: a list of devices and their drivers, which holds for any subsystem and revision when neither is named.
fn critical_devices(planning: &mut Planning<'_>, package: &Package<'_>, service: &Service) -> Result<()> {
    let list = planning.hives.current("Control\\CriticalDeviceDatabase");
    let mut short: Vec<String> = package.ids.iter().map(|(_, id)| without_subsystem(id)).collect();
    short.sort();
    short.dedup();
    for id in short {
        let key = format!("{list}\\{}", id.replace('\\', "#"));
        planning.system.set(&key, "Service", text(SZ, &service.name))?;
        planning.system.set(&key, "ClassGUID", text(SZ, SCSI_CLASS))?;
    }
    Ok(())
}

/// `PCI\VEN_1AF4&DEV_1001` of a longer one.
fn without_subsystem(id: &str) -> String {
    let (bus, rest) = id.split_once('\\').unwrap_or(("PCI", id));
    let parts: Vec<&str> =
        rest.split('&').take_while(|part| part.starts_with("VEN_") || part.starts_with("DEV_")).collect();
    format!("{bus}\\{}", parts.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_of_any_subsystem() {
        assert_eq!(without_subsystem("PCI\\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00"), "PCI\\VEN_1AF4&DEV_1001");
        assert_eq!(without_subsystem("PCI\\VEN_1AF4&DEV_1042"), "PCI\\VEN_1AF4&DEV_1042");
    }
}

//! VMware Tools, taken out without their uninstaller, which only works on VMware: filters first, since a device whose filter is missing
//! does not work; then services and drivers, which are switched off; then the entries of the program. Files go at the first start.

use vmdk2kvm_plugin_api::Result;

use super::plan::Planning;
use crate::edits::{number, texts};
use crate::inspect::tools::{PRODUCT, UNINSTALL};

/// Drivers that VMware puts before those of other devices.
const FILTERS: [&str; 2] = ["VMMouse", "VMUsbMouse"];
/// A file system that VMware registers as a network.
const PROVIDER: &str = "vmhgfs";
/// Services and drivers of the tools, of every version; only what is there is changed.
const SERVICES: [&str; 29] = [
    "VMTools",
    "VGAuthService",
    "vm3dservice",
    "vmvss",
    "VMUpgradeHelper",
    "TPAutoConnSvc",
    "TPVCGateway",
    "vmci",
    "vsock",
    "vmrawdsk",
    "VMMemCtl",
    "vmhgfs",
    "vm3dmp",
    "vm3dmp-debug",
    "vm3dmp-stats",
    "vm3dmp_loader",
    "vmmouse",
    "vmusbmouse",
    "vmxnet",
    "vmxnet2",
    "vmxnet3",
    "vmxnet3ndis5",
    "vmxnet3ndis6",
    "pvscsi",
    "vmscsi",
    "vmwefifw",
    "vmdebug",
    "vmdesched",
    "giappdef",
];
/// The start of a service that is switched off.
const DISABLED: u32 = 4;

/// Plans it, and lists for the report and the first start what was switched off.
pub fn plan(planning: &mut Planning<'_>) -> Result<()> {
    planning.system.concern("VMware Tools are switched off");
    planning.software.concern("VMware Tools are switched off");
    filters(planning)?;
    provider(planning)?;
    for service in SERVICES {
        let key = planning.hives.service(service);
        // What an unused package left has no start, and is no service.
        let Some(start) = planning.hives.system.number(&key, "Start")? else { continue };
        if start != u64::from(DISABLED) {
            planning.system.set(&key, "Start", number(DISABLED))?;
        }
        planning.removed.push(service.to_owned());
    }
    programs(planning)
}

/// Takes the filters out of every list that has them.
fn filters(planning: &mut Planning<'_>) -> Result<()> {
    let hives = planning.hives;
    let mut keys = Vec::new();
    let class = hives.current("Control\\Class");
    keys.extend(hives.system.keys(&class)?.into_iter().map(|name| format!("{class}\\{name}")));
    let critical = hives.current("Control\\CriticalDeviceDatabase");
    keys.extend(hives.system.keys(&critical)?.into_iter().map(|name| format!("{critical}\\{name}")));
    let tree = hives.current("Enum");
    for bus in hives.system.keys(&tree)? {
        for device in hives.system.keys(&format!("{tree}\\{bus}"))? {
            let device = format!("{tree}\\{bus}\\{device}");
            keys.extend(hives.system.keys(&device)?.into_iter().map(|name| format!("{device}\\{name}")));
        }
    }
    for key in keys {
        for list in ["UpperFilters", "LowerFilters"] {
            let old = hives.system.texts(&key, list)?;
            let is_own = |name: &&String| FILTERS.iter().any(|own| own.eq_ignore_ascii_case(name));
            if !old.iter().any(|name| is_own(&name)) {
                continue;
            }
            let left: Vec<&str> = old.iter().filter(|name| !is_own(name)).map(String::as_str).collect();
            match left.is_empty() {
                true => planning.system.remove(&key, list)?,
                false => planning.system.set(&key, list, texts(&left))?,
            }
        }
    }
    Ok(())
}

fn provider(planning: &mut Planning<'_>) -> Result<()> {
    for order in ["Order", "HwOrder"] {
        let key = planning.hives.current(&format!("Control\\NetworkProvider\\{order}"));
        let Some(old) = planning.hives.system.value(&key, "ProviderOrder")? else { continue };
        let Some(text) = old.text() else { continue };
        let left: Vec<&str> = text.split(',').filter(|name| !name.trim().eq_ignore_ascii_case(PROVIDER)).collect();
        if left.len() != text.split(',').count() {
            planning.system.set(&key, "ProviderOrder", crate::edits::text(old.type_number, &left.join(",")))?;
        }
    }
    Ok(())
}

/// The entry in the list of programs, which nobody could use any more, and what it starts with each logon.
fn programs(planning: &mut Planning<'_>) -> Result<()> {
    for list in UNINSTALL {
        for program in planning.hives.software.keys(list)? {
            let key = format!("{list}\\{program}");
            if planning.hives.software.text(&key, "DisplayName")?.as_deref() == Some(PRODUCT) {
                planning.software.empty(&key)?;
            }
        }
    }
    let run = "Microsoft\\Windows\\CurrentVersion\\Run";
    for value in planning.hives.software.values(run)? {
        if value.name.eq_ignore_ascii_case("VMware User Process")
            || value.name.eq_ignore_ascii_case("VMware VM3DService Process")
        {
            planning.software.remove(run, &value.name)?;
        }
    }
    Ok(())
}

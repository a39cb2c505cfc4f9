//! What may go wrong with a Windows guest, read from its registry and its files.

use vmdk2kvm_plugin_api::model::{Finding, Severity};
use vmdk2kvm_plugin_api::{Guest, Result};

use super::{Hibernation, Layout, system};
use crate::registry::Hives;

/// Free bytes on the system's drive below which a start may fail.
const LITTLE: u64 = 100 << 20;
/// How a person shuts Windows down for good.
const SHUT_DOWN: &str = "start the VM, run `powercfg /h off` and `shutdown /s /t 0` in it, and migrate again";
/// Where a system notes that it wants to be started again.
const PENDING: [&str; 2] = [
    "Microsoft\\Windows\\CurrentVersion\\WindowsUpdate\\Auto Update\\RebootRequired",
    "Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\RebootPending",
];

/// Every weakness.
pub fn find(guest: &dyn Guest, hives: &Hives, layout: &Layout) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if layout.hibernation == Hibernation::Yes {
        let message = "the system is hibernated, or was shut down by fast startup: its drive cannot be changed without losing that session";
        findings.push(Finding::new("hibernated", Severity::Block, message).hint(SHUT_DOWN));
    }
    findings.extend(pending_reboot(hives)?);
    findings.extend(policies(hives)?);
    findings.extend(virtualisation_based_security(hives)?);
    findings.extend(other_hypervisors(hives)?);
    findings.extend(space(layout));
    findings.extend(second_system(guest, layout)?);
    if system::build(hives)?.is_none() {
        let message = "the registry does not say which build of Windows this is, and so not which drivers it takes";
        findings.push(
            Finding::new("windows-unknown-build", Severity::Block, message)
                .hint("look at HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion in the guest"),
        );
    }
    Ok(findings)
}

fn pending_reboot(hives: &Hives) -> Result<Option<Finding>> {
    let mut pending = false;
    for key in PENDING {
        pending |= hives.software.has(key)?;
    }
    let renames = hives.current("Control\\Session Manager");
    pending |= !hives.system.texts(&renames, "PendingFileRenameOperations")?.is_empty();
    Ok(pending.then(|| {
        Finding::new("pending-reboot", Severity::Warn, "the system waits for a restart to finish an update")
            .hint("restart it and let it finish before it is migrated; otherwise it continues at its first start on the new machine")
    }))
}

/// Rules of an administrator that keep new drivers out.
fn policies(hives: &Hives) -> Result<Option<Finding>> {
    let key = "Policies\\Microsoft\\Windows\\DeviceInstall\\Restrictions";
    let mut rules = Vec::new();
    for name in ["DenyUnspecified", "DenyDeviceClasses", "DenyDeviceIDs", "DenyInstanceIDs"] {
        if hives.software.number(key, name)?.is_some_and(|on| on != 0) {
            rules.push(name);
        }
    }
    Ok((!rules.is_empty()).then(|| {
        let message = format!("a policy forbids the installation of devices ({})", rules.join(", "));
        Finding::new("device-installation-denied", Severity::Block, message)
            .hint("lift the policy (Computer Configuration, Administrative Templates, System, Device Installation) and migrate again")
    }))
}

fn virtualisation_based_security(hives: &Hives) -> Result<Option<Finding>> {
    let key = hives.current("Control\\DeviceGuard");
    let on = hives.system.number(&key, "EnableVirtualizationBasedSecurity")?.is_some_and(|on| on != 0);
    Ok(on.then(|| {
        let message = "virtualisation-based security is switched on: it needs nested virtualisation, and only signed drivers that are made for it load";
        Finding::new("virtualisation-based-security", Severity::Warn, message)
            .hint("give the new machine a processor with nested virtualisation, or switch it off in the guest before")
    }))
}

/// Tools of other hypervisors: some are switched off with VMware's, and some have drivers for the same devices as the new machine's.
fn other_hypervisors(hives: &Hives) -> Result<Vec<Finding>> {
    const OFF: &str = "the fix switches them off with VMware Tools (remove_vmware_tools); to remove them for good, uninstall them in the guest";
    const SAME: &str = "uninstall them in the guest before: their drivers claim the same devices as the new ones";
    let mut findings = Vec::new();
    for (service, product, hint) in [
        ("xenbus", "Xen", OFF),
        ("VBoxGuest", "VirtualBox", OFF),
        ("prl_tg", "Parallels", OFF),
        ("NutanixGuestAgent", "Nutanix", SAME),
    ] {
        if hives.system.number(&hives.service(service), "Start")?.is_some_and(|start| start < 4) {
            let message = format!("drivers of another hypervisor are installed ({product}, service {service})");
            findings.push(Finding::new("other-hypervisor-drivers", Severity::Warn, message).hint(hint));
        }
    }
    Ok(findings)
}

fn space(layout: &Layout) -> Option<Finding> {
    let free = layout.mounts.first()?.free_bytes.filter(|free| *free < LITTLE)?;
    let message = format!("the system's drive has {} MiB free, and needs some for its first start", free >> 20);
    let severity = if free < LITTLE / 5 { Severity::Block } else { Severity::Warn };
    Some(Finding::new("little-space", severity, message).hint("free space on drive C: in the guest, and migrate again"))
}

fn second_system(guest: &dyn Guest, layout: &Layout) -> Result<Option<Finding>> {
    let old = layout.system.on_drive("Windows.old");
    Ok(guest.stat(&old)?.map(|_| {
        let message = "an upgrade left the former system behind (Windows.old): it is moved as it is, and not changed";
        Finding::new("former-system", Severity::Info, message)
            .hint("remove it in the guest (Disk Cleanup, Previous Windows installations) to move less")
    }))
}

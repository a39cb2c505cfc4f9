//! How the system is started: its boot data (`BCD`), or `boot.ini` to XP, and what they say that matters on another machine.

use vmdk2kvm_plugin_api::model::{Finding, Firmware, GuestDiskInfo, Severity};
use vmdk2kvm_plugin_api::{Guest, PluginError, Result};

use super::{Layout, letters};
use crate::bcd::{BootData, Device, Loader, Partition};
use crate::boot_sector::{BootSector, HEADS, is_large};
use crate::hive::{Hive, Replayed, replay};
use crate::registry::logs_of;

/// Largest boot data, in bytes.
const LIMIT: u64 = 16 << 20;
/// How a person makes boot data anew.
const REPAIR: &str = "if the new machine does not start, repair it with Windows' installation medium (bcdboot C:\\Windows) and start it again";

/// What starts the system.
#[derive(Debug, Default)]
pub struct Boot {
    /// `bootmgr` or `ntldr`.
    pub loader: Option<&'static str>,
    /// Its configuration.
    pub config: Option<String>,
    /// What is odd about it.
    pub findings: Vec<Finding>,
}

/// Reads it where the firmware's way leads.
pub fn read(guest: &dyn Guest, layout: &Layout) -> Result<Boot> {
    let below = if layout.firmware == Firmware::Uefi { "EFI/Microsoft/Boot/BCD" } else { "Boot/BCD" };
    let on_each = |below: &str| layout.mounts.iter().map(|mount| format!("{}/{below}", mount.mountpoint)).collect();
    let mut boot = Boot::default();
    if let Some((path, bytes)) = first(guest, on_each(below))? {
        match data(guest, &path, bytes) {
            Ok(data) => boot.findings.extend(oddities(&data, &path, layout)),
            Err(error) => {
                let message = format!("the boot data cannot be read: {}", error.message);
                boot.findings.push(Finding::new("boot-data-unreadable", Severity::Warn, message).hint(REPAIR));
            }
        }
        boot.loader = Some("bootmgr");
        boot.config = Some(path);
    } else if let Some((path, _)) = first(guest, on_each("boot.ini"))?.filter(|_| layout.firmware == Firmware::Bios) {
        boot.findings.extend(heads(guest, layout, path.trim_end_matches("/boot.ini"))?);
        boot.loader = Some("ntldr");
        boot.config = Some(path);
    } else {
        let message = "no boot data (BCD) were found on the partition that the firmware starts";
        boot.findings.push(Finding::new("boot-data-missing", Severity::Warn, message).hint(REPAIR));
    }
    Ok(boot)
}

/// The boot sector of XP and 2003 finds the loader by a number of heads: a finding when it is not known to be the one of a new machine's BIOS, and
/// is left as it is.
fn heads(guest: &dyn Guest, layout: &Layout, mountpoint: &str) -> Result<Option<Finding>> {
    let device = layout.mounts.iter().find(|mount| mount.mountpoint == mountpoint).map(|mount| mount.device.as_str());
    let is_certain = device.is_some_and(|device| is_large(&layout.disks, device));
    let sector = BootSector::of(guest, mountpoint)?.filter(|sector| sector.heads != HEADS && !is_certain);
    Ok(sector.map(|BootSector { heads, .. }| {
        let message = format!(
            "the boot sector was made for a disk with {heads} heads; a new machine's BIOS may count others on a disk as small as this one"
        );
        Finding::new("boot-sector-heads", Severity::Warn, message)
            .hint("if the start ends with \"A disk read error occurred\", run `fixboot` in the recovery console of its installation medium")
    }))
}

fn first(guest: &dyn Guest, paths: Vec<String>) -> Result<Option<(String, Vec<u8>)>> {
    for path in paths {
        if let Some(bytes) = guest.read(&path, LIMIT)? {
            return Ok(Some((path, bytes)));
        }
    }
    Ok(None)
}

fn data(guest: &dyn Guest, path: &str, bytes: Vec<u8>) -> Result<BootData> {
    let broken = |error: PluginError| error.context(path);
    let mut hive = Hive::open(bytes).map_err(|error| broken(error.into()))?;
    if hive.pending() {
        let mut logs = Vec::new();
        for log in logs_of(path) {
            logs.extend(guest.read(&log, LIMIT)?);
        }
        let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
        let replayed = replay(hive.bytes(), &logs).map_err(|error| broken(error.into()))?;
        if let Replayed::Applied { hive: bytes, .. } | Replayed::Settled { hive: bytes } = replayed {
            hive = Hive::open(bytes).map_err(|error| broken(error.into()))?;
        }
    }
    BootData::read(&hive).map_err(|error| broken(error.into()))
}

fn oddities(data: &BootData, path: &str, layout: &Layout) -> Vec<Finding> {
    let mut findings = Vec::new();
    let warn = |code, message: String| Finding::new(code, Severity::Warn, message).hint(REPAIR);
    let Some(loader) = data.default_loader() else {
        findings.push(warn("boot-data-without-default", format!("{path} names no Windows that is started by itself")));
        return findings;
    };
    if loader.is_uefi().is_some_and(|uefi| uefi != (layout.firmware == Firmware::Uefi)) {
        let message = format!("{path} starts {}, which is made for the other firmware", loader.path);
        findings.push(warn("boot-data-other-firmware", message));
    }
    if let Some(partition) = elsewhere(loader, &layout.disks) {
        let message = format!("{path} starts a Windows on {partition}, which is on none of these disks");
        findings.push(warn("boot-data-elsewhere", message));
    }
    findings.extend(signatures(loader));
    findings
}

/// The partition of the system, when it is known and on none of the disks.
fn elsewhere(loader: &Loader, disks: &[GuestDiskInfo]) -> Option<String> {
    match loader.system_device.as_ref()? {
        Device::Partition(Partition::Gpt { partition, .. }) => match letters::with_guid(partition, disks) {
            Some(_) => None,
            None => Some(format!("the partition {partition}")),
        },
        Device::Partition(Partition::Mbr { offset, signature }) => {
            match letters::with_signature(*signature, *offset, disks) {
                Some(_) => None,
                None => Some(format!("the disk {signature:08x} at byte {offset}")),
            }
        }
        _ => None,
    }
}

fn signatures(loader: &Loader) -> Option<Finding> {
    let mut set = Vec::new();
    set.extend(loader.test_signing.then_some("testsigning"));
    set.extend(loader.no_integrity_checks.then_some("nointegritychecks"));
    (!set.is_empty()).then(|| {
        let message = format!("the boot data let drivers load that Microsoft did not sign ({})", set.join(", "));
        Finding::new("signatures-not-enforced", Severity::Info, message)
            .hint("drivers are chosen as if signatures counted; Secure Boot does not start a system that is set so")
    })
}

//! From a request to a machine: what of the VM is kept, what is limited, and where its sshd should be.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use vmdk2kvm_boot_evidence::{Protocol, is_windows};
use vmdk2kvm_kvm::Accelerator;
use vmdk2kvm_plugin_api::model::{Card, Firmware, InterfaceInfo, MachineDisk, TestRequest, unicast_mac};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result, tracing};

use crate::command::{Disk, Flash, Forward, Machine, Nic};
use crate::firmware::{self, Uefi};

/// The address that qemu's own DHCP gives.
const DHCP: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

/// What a test's guest may use at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Processors.
    pub cpus: u32,
}

/// Where an sshd is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Address of the guest.
    pub address: Ipv4Addr,
    /// Its port.
    pub port: u16,
    /// The request says that one must answer.
    pub required: bool,
}

/// The expected sshd, or else the place where one would be: at the first card's static address, or at the one that DHCP gives.
pub fn reach(request: &TestRequest) -> Result<Reach> {
    let expect = &request.expect;
    let required = expect.ssh_address.is_some() || expect.ssh_port.is_some();
    if required && request.machine.cards.is_empty() {
        return Err(PluginError::new(ErrorKind::Usage, "an sshd is expected, but the machine has no network card"));
    }
    let address = match &expect.ssh_address {
        Some(text) => text.parse().map_err(|_| {
            PluginError::new(ErrorKind::Usage, format!("{text:?} is not an IPv4 address where an sshd can be expected"))
        })?,
        None => static_address(request).unwrap_or(DHCP),
    };
    let port = expect.ssh_port.unwrap_or(22);
    if port == 0 {
        return Err(PluginError::new(ErrorKind::Usage, "an sshd cannot be expected at port 0"));
    }
    Ok(Reach { address, port, required })
}

fn static_address(request: &TestRequest) -> Option<Ipv4Addr> {
    let interfaces = &request.inspection.as_ref()?.network.interfaces;
    let mac = request.machine.cards.first()?.mac.as_deref();
    let of_first = |interface: &&InterfaceInfo| match (interface.mac.as_deref(), mac) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        _ => false,
    };
    let first = interfaces.iter().find(|own| own.kind.is_none() && !own.inactive).or_else(|| interfaces.first());
    let mut waiting = vec![interfaces.iter().find(of_first).or(first)?];
    let parse = |text: &String| text.split('/').next().and_then(|address| address.parse::<Ipv4Addr>().ok());
    let mut seen = BTreeSet::new();
    // A card below a bridge or a bond has no address of its own; what goes out with the tag of a VLAN comes back to nobody.
    while let Some(interface) = waiting.pop() {
        if !seen.insert(&interface.name) {
            continue;
        }
        let mut own = interface.addresses.iter().filter_map(parse);
        if let Some(address) = own.find(|address| !address.is_loopback() && !address.is_unspecified()) {
            return Some(address);
        }
        let above =
            |other: &&InterfaceInfo| other.over.contains(&interface.name) && other.kind.as_deref() != Some("vlan");
        waiting.extend(interfaces.iter().filter(above));
    }
    None
}

/// The machine's UEFI, or `None` for BIOS.
pub fn firmware(request: &TestRequest, folders: &[PathBuf]) -> Result<Option<Uefi>> {
    if request.machine.firmware != Firmware::Uefi {
        return Ok(None);
    }
    let usual = firmware::FOLDERS.map(PathBuf::from);
    let folders = if folders.is_empty() { &usual[..] } else { folders };
    firmware::find(folders, request.machine.secure_boot).map(Some)
}

/// The host name that the guest's disks say, or nothing.
pub fn hostname(request: &TestRequest) -> &str {
    request.inspection.as_ref().map_or("", |inspection| inspection.os.hostname.as_str())
}

/// The agent of this guest counts as evidence, and it has the driver for its channel. A Linux starts its own before it is known that
/// the rest comes up.
pub fn has_agent_channel(request: &TestRequest) -> bool {
    is_windows(request) && request.machine.paravirtual
}

/// Services beside the sshd whose answer counts as evidence for this guest.
pub fn services(request: &TestRequest, reach: &Reach) -> Vec<Protocol> {
    let known = if is_windows(request) { &[Protocol::Rdp, Protocol::WinRm][..] } else { &[] };
    known.iter().copied().filter(|protocol| protocol.port() != reach.port).collect()
}

/// The machine to boot; `agent`: the socket of its agent's channel.
pub fn machine(
    request: &TestRequest,
    limits: Limits,
    accelerator: Accelerator,
    uefi: Option<Flash>,
    reach: &Reach,
    agent: Option<PathBuf>,
) -> Result<Machine> {
    let wanted = &request.machine;
    if wanted.disks.is_empty() {
        return Err(PluginError::new(ErrorKind::Usage, "there is no image to boot"));
    }
    let nics: Vec<_> = wanted.cards.iter().map(|card| Nic { mac: mac(card), model: card.model }).collect();
    Ok(Machine {
        chipset: wanted.chipset,
        accelerator,
        cpus: wanted.cpus.count.clamp(1, limits.cpus),
        memory_mib: (wanted.memory_bytes >> 20).clamp(64, limits.memory_mib),
        uefi,
        disks: wanted.disks.iter().map(disk).collect::<Result<_>>()?,
        forward: (!nics.is_empty()).then(|| {
            let others = services(request, reach);
            let ports = std::iter::once(reach.port).chain(others.iter().map(|protocol| protocol.port())).collect();
            Forward { address: reach.address, ports }
        }),
        nics,
        agent,
    })
}

fn disk(disk: &MachineDisk) -> Result<Disk> {
    let path = Path::new(&disk.image);
    if !path.is_absolute() {
        return Err(PluginError::defect(format!("{:?} is not an absolute path", disk.image)));
    }
    if !vmdk2kvm_qemu_words::opens(&disk.format) {
        return Err(PluginError::unusable(format!("{}: format {:?} cannot be booted", disk.image, disk.format)));
    }
    let metadata = std::fs::metadata(path).map_err(|error| PluginError::from_io(path.display(), &error))?;
    if !metadata.is_file() {
        return Err(PluginError::unusable(format!("{}: not a regular file", disk.image)));
    }
    Ok(Disk {
        overlay: path.to_owned(),
        format: disk.format.clone(),
        bus: disk.bus,
        serial: disk.plain_serial().map(str::to_owned),
        boot_order: disk.boot_order,
    })
}

/// An address that is none is left out, and qemu gives the card another.
fn mac(card: &Card) -> Option<String> {
    let given = card.mac.as_deref()?;
    let mac = unicast_mac(given);
    if mac.is_none() {
        tracing::warn!("\"{}\" is no MAC address of one card: the card gets another", escape(given));
    }
    mac
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::model::{CardModel, Cpus, Machine as WantedMachine};

    use super::*;

    /// Where an sshd is looked for when these are the guest's interfaces.
    fn found(interfaces: serde_json::Value) -> Option<Ipv4Addr> {
        let mut machine = WantedMachine::new("web", Firmware::Bios, Cpus::new(1, 1), 1 << 30);
        machine.cards = vec![Card::new(CardModel::Virtio).with(|it| it.mac = Some("00:50:56:AA:BB:01".to_owned()))];
        let request: TestRequest = serde_json::from_value(serde_json::json!({
            "machine": machine,
            "inspection": {"schema": 1, "os": {"family": "linux"}, "network": {"interfaces": interfaces}},
            "evidence_dir": "/e", "work_dir": "/w", "socket_dir": "/s", "timeout_seconds": 1
        }))
        .unwrap();
        static_address(&request)
    }

    #[test]
    fn the_address_is_that_of_what_goes_out_by_the_first_card() {
        for (interfaces, address) in [
            (serde_json::json!([{"name": "ens192", "addresses": ["10.0.2.5/24"]}]), Some([10, 0, 2, 5])),
            (
                serde_json::json!([{"name": "a", "addresses": ["10.0.2.5/24"]},
                    {"name": "b", "mac": "00:50:56:aa:bb:01", "addresses": ["10.0.2.6/24"]}]),
                Some([10, 0, 2, 6]),
            ),
            (
                serde_json::json!([{"name": "a", "inactive": true, "addresses": ["10.0.2.5/24"]},
                    {"name": "b", "addresses": ["10.0.2.6/24"]}]),
                Some([10, 0, 2, 6]),
            ),
            (
                serde_json::json!([{"name": "bond0", "kind": "bond", "over": ["ens192", "ens224"]},
                    {"name": "br0", "kind": "bridge", "over": ["bond0"], "addresses": ["10.0.2.7/24"]},
                    {"name": "ens192"}, {"name": "ens224"},
                    {"name": "v7", "kind": "vlan", "over": ["bond0"], "addresses": ["10.9.0.7/24"]}]),
                Some([10, 0, 2, 7]),
            ),
            (
                serde_json::json!([{"name": "ens192"}, {"name": "v7", "kind": "vlan", "over": ["ens192"], "addresses": ["10.9.0.7/24"]}]),
                None,
            ),
            (serde_json::json!([]), None),
        ] {
            assert_eq!(found(interfaces.clone()), address.map(Ipv4Addr::from), "{interfaces}");
        }
    }
}

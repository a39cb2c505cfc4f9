//! The qemu command line of a boot test: a pure function from a description of the machine to arguments.
//!
//! The machine resembles the new one where a guest can tell: chipset, the disks' buses and the cards' models, virtio behind a PCIe root
//! port of its own, the MACs, the firmware. It differs on purpose: no network but the test's, little memory, nothing stored.
//!
//! What holds a path is written as JSON (`-blockdev`), because qemu's comma lists would take parts of names for options. The
//! only other foreign texts are MACs and serial numbers, which the planner checked, and an IPv4 address.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde_json::{Value, json};
use vmdk2kvm_kvm::Accelerator;
use vmdk2kvm_plugin_api::model::{CardModel, Chipset, DiskBus};
use vmdk2kvm_plugin_api::{PluginError, Result};
use vmdk2kvm_qemu_words::{AtaPlaces, card, scsi_place};

/// More disks and cards than this would not find a place: slots of the older PC, and root ports (functions 0-7 of slots 2-27).
const MOST_DEVICES: [(Chipset, usize); 2] = [(Chipset::Pc, 20), (Chipset::Q35, 26 * 8 - 2)];

/// A machine to boot.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Machine type.
    pub chipset: Chipset,
    /// Hardware or software.
    pub accelerator: Accelerator,
    /// Processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Code and private variables of a UEFI; `None` for BIOS.
    pub uefi: Option<Flash>,
    /// Disks in boot order.
    pub disks: Vec<Disk>,
    /// Cards in order; only the first is connected, to the test's own network.
    pub nics: Vec<Nic>,
    /// Where the guest can be reached from here.
    pub forward: Option<Forward>,
    /// Socket of the channel of a guest agent, for a guest that has the driver for it.
    pub agent: Option<PathBuf>,
}

/// An address of the guest and ports of it that can be reached from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The address.
    pub address: Ipv4Addr,
    /// The ports.
    pub ports: Vec<u16>,
}

/// UEFI flash.
#[derive(Debug, Clone)]
pub struct Flash {
    /// Code, read-only.
    pub code: PathBuf,
    /// Variables, this boot's own.
    pub variables: PathBuf,
    /// Enforces Secure Boot, which takes SMM.
    pub secure: bool,
}

/// A network card.
#[derive(Debug, Clone)]
pub struct Nic {
    /// The address of one card; qemu chooses one when there is none.
    pub mac: Option<String>,
    /// Its model.
    pub model: CardModel,
}

/// A disk.
#[derive(Debug, Clone)]
pub struct Disk {
    /// The overlay that takes the writes.
    pub overlay: PathBuf,
    /// Its format.
    pub format: String,
    /// What it hangs on.
    pub bus: DiskBus,
    /// What the guest sees as its serial number, in letters that need no quoting.
    pub serial: Option<String>,
    /// Its place in the boot order.
    pub boot_order: Option<u32>,
}

/// Renders the arguments. Descriptor 0 is the monitor's socket, descriptor 1 the serial console's.
pub fn render(machine: &Machine) -> Result<Vec<String>> {
    let devices = machine.disks.len() + machine.nics.len();
    for (chipset, most) in MOST_DEVICES {
        if machine.chipset == chipset && devices > most {
            return Err(PluginError::unusable(format!(
                "the VM has {devices} disks and network cards, more than the {most} that a boot test attaches"
            )));
        }
    }
    let mut line = Line::new(machine.chipset);
    basics(machine, &mut line);
    for (index, disk) in machine.disks.iter().enumerate() {
        line.pair("-blockdev", disk_node(index, disk).to_string());
        let place = place(disk.bus, &mut line)?;
        let serial = disk.serial.as_ref().map(|serial| format!(",serial={serial}")).unwrap_or_default();
        let boot = disk.boot_order.map(|order| format!(",bootindex={order}")).unwrap_or_default();
        line.pair("-device", format!("{place},drive=disk{index}{serial}{boot}"));
    }
    for (index, nic) in machine.nics.iter().enumerate() {
        line.pair("-netdev", network(index, machine.forward.as_ref()));
        let bus = match nic.model {
            CardModel::Virtio | CardModel::E1000e => line.port(),
            _ => line.bridge(),
        };
        let mac = nic.mac.as_ref().map(|mac| format!(",mac={mac}")).unwrap_or_default();
        // Without its ROM no network boot is tried when no disk boots.
        line.pair("-device", format!("{}{bus},netdev=net{index},romfile={mac}", card(nic.model)));
    }
    Ok(line.words)
}

/// The device of a disk and where it hangs.
fn place(bus: DiskBus, line: &mut Line) -> Result<String> {
    match bus {
        DiskBus::Virtio => Ok(format!("virtio-blk-pci{}", line.port())),
        DiskBus::VirtioScsi => {
            if line.scsi == 0 {
                let port = line.port();
                line.pair("-device", format!("virtio-scsi-pci{port},id=scsi"));
            }
            line.scsi += 1;
            Ok(format!("scsi-hd,{}", scsi_place(line.scsi - 1)?))
        }
        bus => {
            let place = line.ata.next(bus)?;
            if let Some(id) = place.new_controller {
                let bridge = line.bridge();
                line.pair("-device", format!("ahci,id={id}{bridge}"));
            }
            Ok(format!("ide-hd,{}", place.words))
        }
    }
}

fn basics(machine: &Machine, line: &mut Line) {
    line.pair("-name", "vmdk2kvm-boot-test");
    line.one("-no-user-config");
    line.one("-nodefaults");
    let secure = machine.uefi.as_ref().is_some_and(|flash| flash.secure);
    let flash = if machine.uefi.is_some() { ",pflash0=code,pflash1=variables" } else { "" };
    let chipset = if line.pc { "pc" } else { "q35" };
    line.pair("-machine", format!("{chipset},smm={}{flash}", if secure { "on" } else { "off" }));
    match machine.accelerator {
        Accelerator::Kvm => {
            line.pair("-accel", "kvm");
            line.pair("-cpu", "host");
        }
        Accelerator::Tcg => {
            line.pair("-accel", "tcg,thread=multi");
            line.pair("-cpu", "max");
        }
    }
    line.pair("-smp", machine.cpus.to_string());
    line.pair("-m", format!("{}M", machine.memory_mib));
    if let Some(flash) = &machine.uefi {
        line.pair("-blockdev", flash_node("code", &flash.code, true).to_string());
        line.pair("-blockdev", flash_node("variables", &flash.variables, false).to_string());
        if flash.secure {
            line.pair("-global", "driver=cfi.pflash01,property=secure,value=on");
            line.pair("-global", "ICH9-LPC.disable_s3=1");
        }
    }
    // A guest that shuts down is still there to be looked at.
    line.one("-no-shutdown");
    line.pair("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    line.pair("-display", "none");
    line.pair("-device", if line.pc { "VGA" } else { "VGA,addr=0x1" });
    line.pair("-chardev", "socket,id=monitor,fd=0");
    line.pair("-mon", "chardev=monitor,mode=control");
    line.pair("-chardev", "socket,id=console,fd=1");
    line.pair("-serial", "chardev:console");
    line.pair("-device", "pvpanic");
    line.pair("-object", "rng-random,id=entropy,filename=/dev/urandom");
    let port = line.port();
    line.pair("-device", format!("virtio-rng-pci{port},rng=entropy"));
    if let Some(socket) = &machine.agent {
        // A comma is doubled where it is none between options.
        let path = socket.display().to_string().replace(',', ",,");
        let port = line.port();
        line.pair("-chardev", format!("socket,id=agent,path={path},server=on,wait=off"));
        line.pair("-device", format!("virtio-serial-pci{port},id=channels"));
        line.pair("-device", "virtserialport,bus=channels.0,chardev=agent,name=org.qemu.guest_agent.0");
    }
}

/// Flushes are dropped: nothing of an overlay outlives the test. What lies below it stands in its own header.
fn disk_node(index: usize, disk: &Disk) -> Value {
    json!({
        "driver": disk.format,
        "node-name": format!("disk{index}"),
        "cache": { "direct": false, "no-flush": true },
        "discard": "unmap",
        "file": { "driver": "file", "filename": disk.overlay, "cache": { "direct": false, "no-flush": true } },
    })
}

fn flash_node(name: &str, path: &PathBuf, read_only: bool) -> Value {
    json!({
        "driver": "raw", "node-name": name, "read-only": read_only,
        "file": { "driver": "file", "filename": path, "read-only": read_only },
    })
}

/// Each card has a network of its own, which leads nowhere (`restrict=on`) and answers DHCP: where nothing takes a card's packets, its driver
/// in the guest times out. The first card can be reached.
fn network(index: usize, forward: Option<&Forward>) -> String {
    if index > 0 {
        return format!("user,id=net{index},restrict=on");
    }
    let Some(Forward { address, ports }) = forward else { return "user,id=net0,restrict=on".to_owned() };
    // A guest with a static address believes in its own network: the test's is made to be that one. The gateway qemu plays
    // must not take the guest's address.
    let [a, b, c, host] = address.octets();
    let own = |wanted: u8, other: u8| Ipv4Addr::new(a, b, c, if host == wanted { other } else { wanted });
    let mut words = format!(
        "user,id=net0,restrict=on,net={a}.{b}.{c}.0/24,host={},dns={},dhcpstart={address}",
        own(2, 4),
        own(3, 5),
    );
    for port in ports {
        words.push_str(&format!(",hostfwd=tcp:127.0.0.1:0-{address}:{port}"));
    }
    words
}

/// The arguments, and which places are taken.
struct Line {
    words: Vec<String>,
    /// The older PC: one PCI bus for all.
    pc: bool,
    ports: usize,
    bridged: usize,
    scsi: usize,
    ata: AtaPlaces,
}

impl Line {
    fn new(chipset: Chipset) -> Self {
        let pc = chipset == Chipset::Pc;
        Self { words: Vec::new(), pc, ports: 0, bridged: 0, scsi: 0, ata: AtaPlaces::new(chipset) }
    }

    fn one(&mut self, word: &str) {
        self.words.push(word.to_owned());
    }

    fn pair(&mut self, option: &str, value: impl Into<String>) {
        self.words.push(option.to_owned());
        self.words.push(value.into());
    }

    /// A place for a PCI Express device: adds a root port.
    fn port(&mut self) -> String {
        if self.pc {
            return String::new();
        }
        let (slot, function) = (2 + self.ports / 8, self.ports % 8);
        self.ports += 1;
        let chassis = self.ports;
        let multifunction = if function == 0 { ",multifunction=on" } else { "" };
        let address = format!("{slot:#x}.{function:#x}");
        self.pair(
            "-device",
            format!("pcie-root-port,id=port{chassis},chassis={chassis},addr={address}{multifunction}"),
        );
        format!(",bus=port{chassis}")
    }

    /// A place for a device of the older PCI: behind bridges of 31 slots.
    fn bridge(&mut self) -> String {
        if self.pc {
            return String::new();
        }
        let (bridge, slot) = (self.bridged / 31, 1 + self.bridged % 31);
        self.bridged += 1;
        if slot == 1 {
            let port = self.port();
            self.pair("-device", format!("pcie-pci-bridge,id=bridge{bridge}{port}"));
        }
        format!(",bus=bridge{bridge},addr={slot:#x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            chipset: Chipset::Q35,
            accelerator: Accelerator::Tcg,
            cpus: 2,
            memory_mib: 1024,
            uefi: None,
            disks: vec![disk("/w/a,b.qcow2", 1, DiskBus::Virtio)],
            nics: vec![
                Nic { mac: Some("00:50:56:2a:77:01".to_owned()), model: CardModel::Virtio },
                Nic { mac: None, model: CardModel::Virtio },
            ],
            forward: Some(forward("10.0.2.77")),
            agent: None,
        }
    }

    fn forward(address: &str) -> Forward {
        Forward { address: address.parse().unwrap(), ports: vec![22] }
    }

    fn disk(overlay: &str, number: u32, bus: DiskBus) -> Disk {
        let (serial, boot_order) = (Some(format!("disk{number}")), Some(number));
        Disk { overlay: overlay.into(), format: "qcow2".into(), bus, serial, boot_order }
    }

    fn devices(chipset: Chipset, buses: &[DiskBus], model: CardModel) -> String {
        let mut machine = machine();
        machine.chipset = chipset;
        machine.disks = (1..).zip(buses).map(|(number, bus)| disk("/w/x", number, *bus)).collect();
        machine.nics = vec![Nic { mac: None, model }];
        let words = render(&machine).unwrap();
        let devices = words.windows(2).filter(|pair| pair[0] == "-device").map(|pair| pair[1].as_str()).skip(2);
        devices.filter(|device| !device.starts_with("pcie-root-port")).skip(1).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn disks_and_cards_hang_where_the_domain_has_them() {
        use DiskBus::{Ide, Sata, VirtioScsi};
        assert_eq!(
            devices(Chipset::Q35, &[VirtioScsi, VirtioScsi], CardModel::Virtio),
            "virtio-scsi-pci,bus=port2,id=scsi \
             scsi-hd,bus=scsi.0,channel=0,scsi-id=0,lun=0,drive=disk0,serial=disk1,bootindex=1 \
             scsi-hd,bus=scsi.0,channel=0,scsi-id=1,lun=0,drive=disk1,serial=disk2,bootindex=2 \
             virtio-net-pci,bus=port3,netdev=net0,romfile="
        );
        assert_eq!(
            devices(Chipset::Q35, &[Sata], CardModel::E1000),
            "ide-hd,bus=ide.0,drive=disk0,serial=disk1,bootindex=1 pcie-pci-bridge,id=bridge0,bus=port2 \
             e1000,bus=bridge0,addr=0x1,netdev=net0,romfile="
        );
        assert_eq!(
            devices(Chipset::Pc, &[Ide, Ide, Ide], CardModel::E1000),
            "ide-hd,bus=ide.0,unit=0,drive=disk0,serial=disk1,bootindex=1 \
             ide-hd,bus=ide.0,unit=1,drive=disk1,serial=disk2,bootindex=2 \
             ide-hd,bus=ide.1,unit=0,drive=disk2,serial=disk3,bootindex=3 e1000,netdev=net0,romfile="
        );
        let seven = devices(Chipset::Q35, &[Sata; 7], CardModel::E1000);
        assert!(
            seven.ends_with(
                "ide-hd,bus=ide.5,drive=disk5,serial=disk6,bootindex=6 pcie-pci-bridge,id=bridge0,bus=port2 \
                 ahci,id=ahci1,bus=bridge0,addr=0x1 ide-hd,bus=ahci1.0,drive=disk6,serial=disk7,bootindex=7 \
                 e1000,bus=bridge0,addr=0x2,netdev=net0,romfile="
            ),
            "{seven}"
        );
    }

    fn snapshot(machine: &Machine) -> String {
        let mut out = String::new();
        for word in render(machine).unwrap() {
            out.push_str(if word.starts_with('-') && !out.is_empty() {
                "\n"
            } else if out.is_empty() {
                ""
            } else {
                " "
            });
            out.push_str(&word);
        }
        out + "\n"
    }

    #[test]
    fn a_bios_guest() {
        assert_eq!(snapshot(&machine()), include_str!("../tests/snapshots/bios.txt"));
    }

    #[test]
    fn a_secure_uefi_guest_with_two_disks() {
        let mut machine = machine();
        machine.uefi = Some(Flash { code: "/f/CODE.fd".into(), variables: "/w/vars.fd".into(), secure: true });
        machine.disks.push(disk("/w/\"2\".qcow2", 2, DiskBus::Virtio));
        machine.accelerator = Accelerator::Kvm;
        machine.forward = None;
        assert_eq!(snapshot(&machine), include_str!("../tests/snapshots/uefi-secure.txt"));
    }

    #[test]
    fn a_guest_agent_has_a_channel_and_several_ports_are_forwarded() {
        let mut machine = machine();
        machine.agent = Some("/s/a,b".into());
        machine.forward = Some(Forward { ports: vec![22, 3389], ..forward("10.0.2.77") });
        let line = render(&machine).unwrap().join(" ");
        let channel = "-chardev socket,id=agent,path=/s/a,,b,server=on,wait=off -device virtio-serial-pci,bus=port2,id=channels \
            -device virtserialport,bus=channels.0,chardev=agent,name=org.qemu.guest_agent.0";
        assert!(line.contains(channel), "{line}");
        assert!(
            line.contains(",hostfwd=tcp:127.0.0.1:0-10.0.2.77:22,hostfwd=tcp:127.0.0.1:0-10.0.2.77:3389 "),
            "{line}"
        );
    }

    #[test]
    fn an_address_of_the_guest_is_never_the_gateways() {
        let network = |address: &str| network(0, Some(&forward(address)));
        assert!(network("192.168.7.9").contains("net=192.168.7.0/24,host=192.168.7.2,dns=192.168.7.3,"));
        assert!(network("192.168.7.2").contains("host=192.168.7.4,dns=192.168.7.3,"));
        assert!(network("192.168.7.3").contains("host=192.168.7.2,dns=192.168.7.5,"));
    }

    #[test]
    fn ports_have_addresses_of_their_own_and_a_limit() {
        let mut machine = machine();
        machine.nics = vec![Nic { mac: None, model: CardModel::Virtio }; 10];
        let line = render(&machine).unwrap().join(" ");
        assert!(line.contains("id=port9,chassis=9,addr=0x3.0x0,multifunction=on"), "{line}");
        machine.nics = vec![Nic { mac: None, model: CardModel::Virtio }; 300];
        assert!(render(&machine).unwrap_err().message.contains("more than the 206"));
    }
}

//! The domain of a boot test: like the machine's own where a guest can tell, and nothing that outlives it.
//!
//! It differs on purpose. Its name and UUID are its own, so that no domain that exists is meant. Its cards hang on nothing, since the source
//! may still run with these addresses. Its disks' writes are thrown away, so nothing is flushed. It has no TPM and no removable drives. Its
//! files belong to whoever asks: no owner and no label is changed.

use vmdk2kvm_plugin_api::model::{CardModel, Cpus, Firmware, Machine, Video, unicast_mac};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::devices::{controllers, drives, model_word};
use super::domain::{Hypervisor, clock, cpu, features, os};
use super::xml::{Element, element, text};

/// Every domain of a boot test begins with this.
pub const PREFIX: &str = "vmdk2kvm-test-";

/// What a boot test's domain has of its own.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Its name; begins with [`PREFIX`].
    pub name: String,
    /// Its UUID.
    pub uuid: String,
    /// Who runs the guest's instructions.
    pub hypervisor: Hypervisor,
    /// The most memory that it gets, in MiB.
    pub memory_mib: u64,
    /// The most processors that it gets.
    pub cpus: u32,
    /// A socket that listens for its serial console.
    pub console: String,
    /// Where a UEFI's variables are kept.
    pub variables: String,
    /// User and group that its process runs as, at a daemon that would choose others.
    pub owner: Option<(u32, u32)>,
}

/// The domain XML of a test of the machine, whose images are overlays.
pub fn trial_xml(machine: &Machine, trial: &Trial) -> Result<String> {
    let machine = lesser(machine, trial);
    let nics = machine.cards.iter().map(|card| nic(card.mac.as_deref(), card.model));
    let devices = element("devices")
        .children(drives(&machine, true)?)
        .children(controllers(&machine))
        .children(nics)
        .children(others(trial));
    let os = match os(&machine) {
        os if machine.firmware == Firmware::Uefi => os.child(text("nvram", &trial.variables)),
        os => os,
    };
    let label = trial.owner.map(|(user, group)| {
        let label = text("label", format!("+{user}:+{group}"));
        element("seclabel").with("type", "static").with("model", "dac").with("relabel", "no").child(label)
    });
    element("domain")
        .with("type", trial.hypervisor.word())
        .child(text("name", &trial.name))
        .child(text("uuid", &trial.uuid))
        .child(text("memory", machine.memory_bytes.div_ceil(1024).to_string()).with("unit", "KiB"))
        .child(text("vcpu", machine.cpus.count.to_string()))
        .child(os)
        .child(features(&machine))
        .child(cpu(&machine, trial.hypervisor))
        .child(clock(&machine))
        .child(text("on_poweroff", "destroy"))
        .child(text("on_reboot", "restart"))
        .child(text("on_crash", "preserve"))
        .child(devices)
        .children(label)
        .render()
        .map_err(|error| PluginError::defect(format!("the domain could not be written: {error}")))
}

/// The machine within the test's limits, without what a test has not.
fn lesser(machine: &Machine, trial: &Trial) -> Machine {
    let mut machine = machine.clone();
    let count = machine.cpus.count.clamp(1, trial.cpus.max(1));
    machine.cpus = Cpus::new(count, 1);
    machine.memory_bytes = machine.memory_bytes.clamp(64 << 20, trial.memory_mib.max(64) << 20);
    machine.drives.clear();
    machine.tpm = false;
    machine.video = Video::Vga;
    machine
}

/// A card without a cable.
fn nic(mac: Option<&str>, model: CardModel) -> Element {
    element("interface")
        .with("type", "user")
        .children(mac.and_then(unicast_mac).map(|mac| element("mac").with("address", mac)))
        .child(element("model").with("type", model_word(model)))
        .child(element("link").with("state", "down"))
}

fn others(trial: &Trial) -> Vec<Element> {
    let source = element("source").with("mode", "connect").with("path", &trial.console);
    let serial = element("serial").with("type", "unix").child(source).child(element("target").with("port", "0"));
    let mut devices = vec![serial];
    devices.push(element("video").child(element("model").with("type", "vga")));
    devices.push(element("memballoon").with("model", "none"));
    devices.push(element("panic").with("model", "isa"));
    // A guest that waits for random numbers takes minutes to start.
    let backend = text("backend", "/dev/urandom").with("model", "random");
    devices.push(element("rng").with("model", "virtio").child(backend));
    // Else it is given one, which no test needs.
    devices.push(element("controller").with("type", "usb").with("model", "none"));
    devices
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use vmdk2kvm_plugin_api::model::{Card, CardNetwork, Chipset, DiskBus, MachineDisk, MachineDrive, RemovableKind};

    use super::*;

    fn trial() -> Trial {
        Trial {
            name: format!("{PREFIX}1-abcd"),
            uuid: "0e1f2a3b-4c5d-4e6f-8a9b-0c1d2e3f4a5b".to_owned(),
            hypervisor: Hypervisor::Tcg,
            memory_mib: 2048,
            cpus: 2,
            console: "/s/console".to_owned(),
            variables: "/w/variables.fd".to_owned(),
            owner: Some((1000, 1001)),
        }
    }

    fn machine(firmware: Firmware, chipset: Chipset, bus: DiskBus) -> Machine {
        Machine::new("web", firmware, Cpus::new(8, 4), 64 << 30).with(|machine| {
            machine.chipset = chipset;
            machine.uuid = Some("564d1234-5678-9abc-def0-123456789abc".to_owned());
            machine.genid = machine.uuid.clone();
            machine.tpm = true;
            machine.disks = vec![MachineDisk::new("qcow2", 1 << 30, bus).with(|disk| {
                disk.image = "/w/test-1.qcow2".to_owned();
                disk.boot_order = Some(1);
            })];
            machine.cards = vec![Card::new(CardModel::Virtio).with(|card| {
                card.mac = Some("00:50:56:aa:bb:01".to_owned());
                card.network = Some(CardNetwork::Network("lab".to_owned()));
            })];
            machine.drives = vec![MachineDrive::new(RemovableKind::Cdrom, DiskBus::Sata)];
            machine.paravirtual = true;
        })
    }

    /// Requires `virt-xml-validate` (libvirt-clients).
    fn valid(machine: &Machine) -> String {
        let xml = trial_xml(machine, &trial()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("domain.xml");
        std::fs::write(&path, &xml).unwrap();
        let output = Command::new("virt-xml-validate").arg(&path).arg("domain").output().expect("libvirt-clients");
        assert!(output.status.success(), "{}\n{xml}", String::from_utf8_lossy(&output.stderr));
        xml
    }

    #[test]
    fn a_test_meets_no_network_no_other_domain_and_no_owner() {
        let xml = valid(&machine(Firmware::Uefi, Chipset::Q35, DiskBus::Virtio));
        for word in [
            "<domain type=\"qemu\">",
            "<name>vmdk2kvm-test-1-abcd</name>",
            "<interface type=\"user\">",
            "<link state=\"down\"/>",
            "<nvram>/w/variables.fd</nvram>",
            "relabel=\"no\"",
            "<label>+1000:+1001</label>",
            "cache=\"unsafe\"",
            "<vcpu>2</vcpu>",
            "<memory unit=\"KiB\">2097152</memory>",
            "<source mode=\"connect\" path=\"/s/console\"/>",
        ] {
            assert!(xml.contains(word), "{word}: {xml}");
        }
        for word in ["network=\"lab\"", "564d1234", "<tpm", "cdrom", "<genid", "\"kvm\""] {
            assert!(!xml.contains(word), "{word}: {xml}");
        }
    }

    #[test]
    fn every_board_and_bus_is_valid() {
        for (firmware, chipset, bus) in [
            (Firmware::Bios, Chipset::Q35, DiskBus::Sata),
            (Firmware::Bios, Chipset::Pc, DiskBus::Ide),
            (Firmware::Uefi, Chipset::Q35, DiskBus::VirtioScsi),
        ] {
            let xml = valid(&machine(firmware, chipset, bus));
            assert_eq!(xml.contains("<nvram>"), firmware == Firmware::Uefi);
        }
    }
}

//! The domain as a whole.
//!
//! Format: <https://libvirt.org/formatdomain.html>; the tests check it with libvirt's own schema.

use vmdk2kvm_plugin_api::model::{Chipset, Clock, Firmware, Machine, canonical_uuid};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::devices::{controllers, drives, nic, others};
use super::mark::Mark;
use super::xml::{Element, element, text};

/// What a domain says beside its machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Words<'a> {
    /// Who runs the guest's instructions.
    pub hypervisor: Hypervisor,
    /// Whose it is.
    pub mark: Option<&'a Mark>,
}

/// Who runs a guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hypervisor {
    /// The processor.
    #[default]
    Kvm,
    /// qemu's translator.
    Tcg,
}

impl Hypervisor {
    /// libvirt's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "qemu",
        }
    }
}

/// The domain XML of a machine with its images in place.
pub fn domain_xml(machine: &Machine, words: &Words<'_>) -> Result<String> {
    let devices = element("devices")
        .children(drives(machine, false)?)
        .children(controllers(machine))
        .children(machine.cards.iter().map(nic))
        .children(others(machine));
    let id = machine.uuid.as_deref().and_then(uuid);
    let genid = machine.genid.as_deref().and_then(uuid);
    element("domain")
        .with("type", words.hypervisor.word())
        .child(text("name", domain_name(&machine.name)))
        .children(id.map(|id| text("uuid", id)))
        .children(genid.map(|id| text("genid", id)))
        .children(words.mark.map(|mark| element("metadata").child(mark.element())))
        .child(text("memory", machine.memory_bytes.div_ceil(1024).max(1).to_string()).with("unit", "KiB"))
        .child(text("vcpu", machine.cpus.consistent().count.to_string()))
        .child(os(machine))
        .child(features(machine))
        .child(cpu(machine, words.hypervisor))
        .child(clock(machine))
        .child(text("on_poweroff", "destroy"))
        .child(text("on_reboot", "restart"))
        .child(text("on_crash", "destroy"))
        .child(devices)
        .render()
        .map_err(|error| PluginError::defect(format!("the domain could not be written: {error}")))
}

/// Whether libvirt's QEMU driver opens disks of this format. It knows no `vhdx` (its `vpc` is the older VHD), which
/// QEMU itself does.
pub fn opens(format: &str) -> bool {
    matches!(format, "qcow2" | "raw" | "vdi" | "vmdk")
}

/// A machine's name as a domain has it: libvirt refuses slashes and empty names; control characters are the writer's business.
pub fn domain_name(name: &str) -> String {
    let name = super::xml::clean(name.trim()).replace('/', "_");
    if name.is_empty() { "vm".to_owned() } else { name }
}

/// A UUID. libvirt takes those whose octets are all the same for a mistake.
pub fn uuid(text: &str) -> Option<String> {
    let uuid = canonical_uuid(text)?;
    let digits = uuid.replace('-', "");
    digits.as_bytes().chunks(2).any(|octet| octet != &digits.as_bytes()[..2]).then_some(uuid)
}

pub(crate) fn os(machine: &Machine) -> Element {
    let board = if machine.chipset == Chipset::Pc { "pc" } else { "q35" };
    let kind = text("type", "hvm").with("arch", "x86_64").with("machine", board);
    let Firmware::Uefi = machine.firmware else { return element("os").child(kind) };
    // libvirt chooses image and variables by features. Without a word about them it may choose a firmware that enforces
    // Secure Boot, under which an unsigned bootloader does not start.
    let enabled = if machine.secure_boot { "yes" } else { "no" };
    let feature = |name| element("feature").with("enabled", enabled).with("name", name);
    let firmware = element("firmware").child(feature("enrolled-keys")).child(feature("secure-boot"));
    element("os").with("firmware", "efi").child(kind).child(firmware)
}

pub(crate) fn features(machine: &Machine) -> Element {
    let state = |name| element(name).with("state", "on");
    let mut features = element("features").child(element("acpi")).child(element("apic"));
    if machine.enlightenments {
        let spinlocks = state("spinlocks").with("retries", "8191");
        features = features.child(element("hyperv").child(state("relaxed")).child(state("vapic")).child(spinlocks));
    }
    // Secure Boot is only secure when the variables are out of the guest kernel's reach.
    if machine.secure_boot { features.child(state("smm")) } else { features }
}

/// `host-model`, not `host-passthrough`: it names what the guest sees, so that the machine can move to another host
/// later.
pub(crate) fn cpu(machine: &Machine, hypervisor: Hypervisor) -> Element {
    let cpus = machine.cpus.consistent();
    let topology = element("topology")
        .with("sockets", cpus.sockets.to_string())
        .with("dies", "1")
        .with("cores", cpus.cores_per_socket.to_string())
        .with("threads", "1");
    let cpu = element("cpu");
    match hypervisor {
        Hypervisor::Kvm => cpu.with("mode", "host-model").with("check", "partial"),
        // Nothing of this host's processor is in the translated one.
        Hypervisor::Tcg => cpu.with("mode", "maximum").with("check", "none"),
    }
    .child(topology)
}

pub(crate) fn clock(machine: &Machine) -> Element {
    let timer = |name| element("timer").with("name", name);
    let clock = element("clock")
        .with("offset", if machine.clock == Clock::Local { "localtime" } else { "utc" })
        .child(timer("rtc").with("tickpolicy", "catchup"))
        .child(timer("pit").with("tickpolicy", "delay"))
        .child(timer("hpet").with("present", "no"));
    if machine.enlightenments { clock.child(timer("hypervclock").with("present", "yes")) } else { clock }
}

#[cfg(test)]
#[path = "domain_tests.rs"]
mod tests;

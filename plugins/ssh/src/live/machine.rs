//! The machine that a running guest sees around itself. Its disks are no part of the description: they are not read from outside.

use vmdk2kvm_plugin_api::model::{
    Cpus, Firmware, Nic, NicKind, Origin, VmSpec, VmSummary, canonical_uuid, unicast_mac,
};
use vmdk2kvm_plugin_api::{Catalog, Result};

use super::shell::Shell;
use std::sync::Arc;

/// What the kernel says of its machine, in bytes.
const LIMIT: usize = 1 << 20;
/// No machine has more cards.
const CARDS: usize = 64;
/// What is said of a guest that does not say how much memory it has, in bytes.
const MEMORY: u64 = 2 << 30;
/// The kernel keeps some for itself and tells the rest: whole pieces of this size, in bytes.
const MEMORY_STEP: u64 = 128 << 20;

/// A word and its values on each line.
const HARDWARE: &str = r#"read -r name 2>/dev/null </proc/sys/kernel/hostname || name=$(hostname) || name=
[ -n "$name" ] || read -r name 2>/dev/null </etc/hostname
echo "name $name"
[ -d /sys/firmware ] && echo sysfs
[ -d /sys/firmware/efi ] && echo efi
if [ -d /boot/efi/EFI ] || [ -d /efi/EFI ]; then echo loaders; fi
[ -e /sys/class/tpm/tpm0 ] && echo tpm
echo "cpus $(grep -c '^processor' /proc/cpuinfo)"
echo "memory $(sed -n 's/^MemTotal: *\([0-9]*\) kB.*/\1/p' /proc/meminfo)"
echo "uuid $(cat /sys/class/dmi/id/product_uuid)"
for card in /sys/class/net/*; do
[ -e "$card/device" ] || continue
mac=
read -r mac 2>/dev/null <"$card/bonding_slave/perm_hwaddr" || read -r mac <"$card/address"
driver=$(readlink "$card/device/driver")
echo "card ${card##*/} $mac ${driver##*/}"
done"#;

/// A running guest as a source.
pub(super) struct LiveSource {
    shell: Arc<Shell>,
    uri: String,
}

impl LiveSource {
    /// The guest behind this shell, which the user named so.
    pub fn new(shell: Arc<Shell>, uri: &str) -> Self {
        Self { shell, uri: uri.to_owned() }
    }
}

impl Catalog for LiveSource {
    fn inventory(&self) -> Result<Vec<VmSummary>> {
        Ok(vec![VmSummary::new(self.describe()?)])
    }

    fn describe(&self) -> Result<VmSpec> {
        let text = self.shell.ask(HARDWARE, LIMIT)?.text();
        Ok(machine(&text).with(|vm| vm.origin = Some(Origin::new("ssh", &self.uri))))
    }
}

/// The machine of what the guest says.
fn machine(text: &str) -> VmSpec {
    let value = |word: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
            .map(str::trim)
            .filter(|it| !it.is_empty())
    };
    let says = |word: &str| text.lines().any(|line| line == word);
    let mut guessed = vec!["name".to_owned(), "memory_bytes".to_owned()];
    let has_efi = says("efi") || (!says("sysfs") && says("loaders"));
    if !says("sysfs") {
        guessed.push("firmware".to_owned());
    }
    let cpus = value("cpus").and_then(|count| count.parse::<u32>().ok()).filter(|count| (1..=4096).contains(count));
    if cpus.is_none() {
        guessed.push("cpus".to_owned());
    }
    let memory = value("memory").and_then(|kib| kib.parse::<u64>().ok()).and_then(|kib| kib.checked_mul(1024));
    let memory = memory.map_or(MEMORY, |bytes| bytes.checked_next_multiple_of(MEMORY_STEP).unwrap_or(bytes));
    let firmware = if has_efi { Firmware::Uefi } else { Firmware::Bios };
    let name = value("name").unwrap_or("guest").chars().take(253).collect::<String>();
    VmSpec::new(name, firmware, Cpus::new(cpus.unwrap_or(1), 1), memory).with(|vm| {
        vm.uuid = value("uuid").and_then(canonical_uuid);
        vm.tpm = says("tpm");
        vm.nics = text.lines().filter_map(|line| card(line.strip_prefix("card ")?)).take(CARDS).collect();
        vm.guessed = guessed;
    })
}

/// `ens192 00:50:56:aa:bb:01 vmxnet3`.
fn card(line: &str) -> Option<Nic> {
    let mut words = line.split(' ');
    let (name, mac, driver) = (words.next()?, words.next()?, words.next()?);
    let mac = unicast_mac(mac)?;
    // The kernel's own limit (IFNAMSIZ).
    let is_name = !name.is_empty() && name.len() < 16 && name.bytes().all(|byte| byte.is_ascii_graphic());
    Some(Nic::new(NicKind::Network).with(|nic| {
        nic.mac = Some(mac);
        nic.model = Some(driver).filter(|driver| !driver.is_empty()).map(str::to_owned);
        nic.guest_name = is_name.then(|| name.to_owned());
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_of_what_the_kernel_says() {
        let text = "name web\nsysfs\nefi\ntpm\ncpus 4\nmemory 2014588\nuuid 564D1F2A-0000-4000-8000-000000000001\n\
                    card ens192 00:50:56:aa:bb:01 vmxnet3\ncard bad zz vmxnet3\ncard lan0 00:50:56:AA:BB:02 \n";
        let vm = machine(text);
        assert_eq!((vm.name.as_str(), vm.firmware, vm.tpm, vm.cpus.count), ("web", Firmware::Uefi, true, 4));
        assert_eq!((vm.memory_bytes, vm.disks.len()), (2 << 30, 0));
        assert_eq!(vm.uuid.as_deref(), Some("564d1f2a-0000-4000-8000-000000000001"));
        let cards: Vec<_> = vm.nics.iter().map(|nic| (nic.mac.as_deref(), nic.guest_name.as_deref())).collect();
        assert_eq!(cards, [(Some("00:50:56:aa:bb:01"), Some("ens192")), (Some("00:50:56:aa:bb:02"), Some("lan0"))]);
        assert_eq!((vm.nics[0].model.as_deref(), vm.nics[1].model.as_deref()), (Some("vmxnet3"), None));
    }

    #[test]
    fn what_nobody_says_is_guessed() {
        let vm = machine("name \nloaders\ncpus \nmemory \nuuid \n");
        assert_eq!((vm.name.as_str(), vm.firmware, vm.memory_bytes), ("guest", Firmware::Uefi, MEMORY));
        assert_eq!(vm.guessed, ["name", "memory_bytes", "firmware", "cpus"]);
    }
}

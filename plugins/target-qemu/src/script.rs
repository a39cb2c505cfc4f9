//! The script as a whole.

use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::{Chipset, Clock, Cpus, Firmware, Machine, canonical_uuid};
use vmdk2kvm_plugin_api::text::{escape, is_unsafe};
use vmdk2kvm_target_words::quote;

use super::devices;

/// What every script begins with.
const HEAD: &str = include_str!("head.sh");
/// Looks for a UEFI and copies its variables.
const UEFI: &str = include_str!("uefi.sh");
/// Starts a TPM.
const TPM: &str = include_str!("tpm.sh");

/// The script of a machine with its images in place; `file_name` begins the names of the files that it makes beside itself.
pub fn script(machine: &Machine, file_name: &str) -> Result<String> {
    let uefi = machine.firmware == Firmware::Uefi;
    let secure = uefi && machine.secure_boot;
    let mut text = HEAD.replace("@NAME@", &escape(&machine.name)).replace("@FILE@", &quote(file_name));
    let mut add = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    add("");
    add(&format!("words=(-name {} -nodefaults -no-user-config)", quote(&format!("guest={}", listed(&name(machine))))));
    let board = if machine.chipset == Chipset::Pc { "pc" } else { "q35" };
    let smm = if secure { "on" } else { "off" };
    let flash = if uefi { ",pflash0=code,pflash1=variables" } else { "" };
    add(&format!("words+=(-machine {board},smm={smm}{flash} -accel \"$accel\")"));
    if machine.enlightenments {
        add("[[ $accel != kvm* ]] || cpu+=,hv_relaxed,hv_vapic,hv_spinlocks=0x1fff,hv_time");
    }
    add("words+=(-cpu \"$cpu\")");
    let memory = machine.memory_bytes.div_ceil(1 << 20).max(1);
    add(&format!("words+=(-smp {} -m {memory}M)", processors(machine.cpus)));
    let base = if machine.clock == Clock::Local { "localtime" } else { "utc" };
    add(&format!("words+=(-rtc base={base},driftfix=slew)"));
    if let Some(uuid) = machine.uuid.as_deref().and_then(canonical_uuid) {
        add(&format!("words+=(-uuid {uuid})"));
    }
    if let Some(genid) = machine.genid.as_deref().and_then(canonical_uuid) {
        add(&format!("words+=(-device vmgenid,guid={genid})"));
    }
    if uefi {
        add(&format!("secure={}", if secure { "yes" } else { "no" }));
        add(UEFI.trim_end());
    }
    if machine.tpm {
        add(&format!("tpm={}", quote(if uefi { "tpm-crb" } else { "tpm-tis" })));
        add(TPM.trim_end());
    }
    let devices = devices::lines(machine)?;
    add(devices.trim_end());
    if machine.serial_console {
        add("words+=(-serial \"${QEMU_SERIAL:-mon:stdio}\")");
    }
    add("[[ -z $display ]] || words+=(-display \"$display\")");
    add("exec \"$qemu\" \"${words[@]}\" \"$@\"");
    Ok(text)
}

/// The name as qemu shows it in a window's title and a list of processes.
fn name(machine: &Machine) -> String {
    let clean: String = machine.name.chars().map(|letter| if is_unsafe(letter) { '_' } else { letter }).collect();
    if clean.trim().is_empty() { "vm".to_owned() } else { clean }
}

fn processors(cpus: Cpus) -> String {
    let cpus = cpus.consistent();
    format!("{},sockets={},cores={},threads=1", cpus.count, cpus.sockets, cpus.cores_per_socket)
}

/// A value in one of qemu's comma lists: a comma is doubled there.
fn listed(text: &str) -> String {
    text.replace(',', ",,")
}

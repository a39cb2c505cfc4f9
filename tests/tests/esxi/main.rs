//! VMs of an ESXi host by its shell: a real sshd with the fake shell of `tests/esxi-shell`. Small disks, read without an appliance.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod faults;
mod secrets;
mod vms;

use sha2::{Digest, Sha256};
use vmdk2kvm_tests::{Esxi, noise};

/// Bytes that do not repeat, with a hole in the middle: 9 MiB and a tail that is no whole unit.
fn content(seed: u64) -> Vec<u8> {
    let mut bytes = noise(seed, (9 << 20) + 3 * 512);
    bytes[4 << 20..5 << 20].fill(0);
    bytes
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Adds a VM of one flat disk to a host. Its path, and the disk's digest.
fn add_web(host: &Esxi, power: &str) -> (String, String) {
    let bytes = content(1);
    let disk = host.flat("web", "web", &bytes);
    (host.add("web", power, &[&disk], ""), sha256(&bytes))
}

/// A host with that VM.
fn one(power: &str) -> (Esxi, String, String) {
    let host = Esxi::start();
    let (vmx, truth) = add_web(&host, power);
    (host, vmx, truth)
}

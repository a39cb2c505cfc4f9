//! Fuzzes an OVF: its encoding, its XML, its files, disks and hardware.
#![no_main]

use vmdk2kvm_local::ovf::Choices;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::answered(vmdk2kvm_local::ovf::package::read(bytes, "x", &Choices::default()));
});

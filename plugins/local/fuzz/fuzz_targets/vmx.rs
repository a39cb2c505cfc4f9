//! Fuzzes a VMX: its encoding, its lines, its devices.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::answered(vmdk2kvm_vmx::machine::describe(bytes, "x"));
});

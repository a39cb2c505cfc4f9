//! Fuzzes a BCD: its objects, its elements, its devices.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::bcd(&targets::sealed(bytes)));

//! Fuzzes an ISO image: its descriptors, its folders, the names of every kind.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::iso(bytes));

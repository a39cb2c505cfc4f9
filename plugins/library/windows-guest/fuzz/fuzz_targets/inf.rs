//! Fuzzes an INF: its encoding, its sections, and every answer about it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::inf(bytes));

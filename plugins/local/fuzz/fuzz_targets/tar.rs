//! Fuzzes the walk over a tar: headers, extension records, sparse maps.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::walk(bytes));

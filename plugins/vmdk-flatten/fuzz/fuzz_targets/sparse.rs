//! Fuzzes header, directories and tables of a hosted sparse extent.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::run(targets::Sample::Sparse, bytes));

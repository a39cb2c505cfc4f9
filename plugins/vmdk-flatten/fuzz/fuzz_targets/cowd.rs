//! Fuzzes header and tables of a vmfsSparse extent (COWD).
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::run(targets::Sample::Cowd, bytes));

//! Fuzzes headers and tables of a seSparse extent.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::run(targets::Sample::SeSparse, bytes));

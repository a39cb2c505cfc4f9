//! Fuzzes the text descriptor, with files of every format beside it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::run(targets::Sample::Descriptor, bytes));

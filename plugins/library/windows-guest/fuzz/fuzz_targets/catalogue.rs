//! Fuzzes a catalogue: its DER, its names, and the judgements about it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::catalogue(bytes));

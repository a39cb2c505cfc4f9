//! Fuzzes the reader of ext2: a sound filesystem, damaged where it is read.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::damaged("ext2", bytes));

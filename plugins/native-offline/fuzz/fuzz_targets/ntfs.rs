//! Fuzzes the reader of ntfs: a sound filesystem, damaged where it is read.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::damaged("ntfs", bytes));

//! Fuzzes a log of a hive: header, entries, map of sectors. As it is, and with its checksum and hashes made right.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::log(bytes);
    targets::log(&targets::hashed(&targets::sealed(bytes)));
});

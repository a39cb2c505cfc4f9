//! Fuzzes a hive: header, bins, cells, keys, values. As it is, and with its header's checksum made right.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::hive(bytes);
    targets::hive(&targets::sealed(bytes));
});

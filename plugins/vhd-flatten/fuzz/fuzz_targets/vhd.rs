//! Fuzzes a VHD: footers, header, parent locators, block table, bitmaps. As it is, and with its checksums made right.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::run(bytes);
    targets::run(&targets::sealed(bytes));
});

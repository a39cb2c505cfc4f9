//! Fuzzes a streamOptimized file: markers, grains, footer, embedded descriptor.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::run(targets::Sample::Stream, bytes));

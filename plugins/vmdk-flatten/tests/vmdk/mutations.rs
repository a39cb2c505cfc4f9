//! Changed files of every format, always the same ones: what the fuzz targets look for, small enough for every run of the tests.

use crate::exercise::{exercise, host};
use crate::made::Noise;
use crate::made::samples::Sample;
use vmdk2kvm_vmdk_flatten::VmdkFlattener;

/// Changes of each seed.
const ROUNDS: usize = 300;

/// Numbers at which readers fall: limits, the sectors of headers and tables, and what wraps around when it is multiplied.
const ODD: [u64; 14] = [
    0,
    1,
    2,
    9,
    10,
    64,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1000_0000_0000_0000,
    0x3fff_ffff_ffff_ffff,
    u64::MAX / 512,
    u64::MAX - 1,
    u64::MAX,
];

/// Where the metadata of the formats is, so that most changes matter.
const METADATA: u64 = 40 << 10;

fn change(bytes: &mut Vec<u8>, noise: &mut Noise) {
    if bytes.is_empty() {
        return;
    }
    let size = bytes.len() as u64;
    let region = if noise.below(4) == 0 { size } else { size.min([512, 8192, METADATA][noise.below(3) as usize]) };
    let at = noise.below(region) as usize;
    match noise.below(8) {
        0 => bytes[at] ^= 1 << noise.below(8),
        1 => bytes[at] = noise.next() as u8,
        2 => bytes.truncate(noise.below(size + 1) as usize),
        3 => bytes.extend(vec![noise.next() as u8; noise.below(5000) as usize]),
        4 => {
            let from = noise.below(region) as usize;
            let length = (1 + noise.below(600) as usize).min(bytes.len() - at.max(from));
            bytes.copy_within(from..from + length, at);
        }
        _ => {
            let width = [4, 8][noise.below(2) as usize];
            let at = at - at % 4;
            let value = match noise.below(3) {
                0 => noise.below(2 * size / 512 + 2),
                1 => ODD[noise.below(ODD.len() as u64) as usize],
                _ => noise.next() >> noise.below(64),
            };
            let end = bytes.len().min(at + width);
            bytes[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
        }
    }
}

#[test]
fn whole_files_are_read() {
    for sample in Sample::ALL {
        let read = sample.seeds().iter().filter(|seed| open(sample, seed)).count();
        // One of the four descriptors has an extent that must not be read.
        assert_eq!(read, 3, "{sample:?}");
    }
}

#[test]
fn changed_files_never_make_the_reader_fall() {
    for sample in Sample::ALL {
        let (mut read, mut refused) = (0, 0);
        for (number, seed) in sample.seeds().iter().enumerate() {
            let mut noise = Noise(0xc0ffee + number as u64);
            for _ in 0..ROUNDS {
                let mut bytes = seed.clone();
                for _ in 0..=noise.below(3) {
                    change(&mut bytes, &mut noise);
                }
                *(if open(sample, &bytes) { &mut read } else { &mut refused }) += 1;
            }
        }
        // The changes are of both kinds, or they test nothing.
        assert!(read > 50 && refused > 50, "{sample:?}: {read} read, {refused} refused");
    }
}

fn open(sample: Sample, bytes: &[u8]) -> bool {
    let files = sample.files(bytes);
    let named = files.iter().map(|(name, bytes)| (*name, bytes.as_slice()));
    exercise(&VmdkFlattener::new(host()), "vmdk", named, files[0].0)
}

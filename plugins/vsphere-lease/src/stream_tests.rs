use libdeflater::{CompressionLvl, Compressor};
use proptest::prelude::*;

use super::*;
use crate::inflate::Inflate;

pub(crate) const GRAIN: usize = 64 << 10;

/// A disk in memory.
#[derive(Default)]
struct Memory(Vec<u8>);

impl Sink for Memory {
    fn begin(&mut self, capacity: u64) -> Result<()> {
        if capacity > 64 << 20 {
            return Err(PluginError::unusable("larger than the disk"));
        }
        self.0 = vec![0; usize_of(capacity)];
        Ok(())
    }

    fn grain(&mut self, grain: Grain, packed: &[u8]) -> Result<(), Broken> {
        let mut inflate = Inflate::default();
        self.0[usize_of(grain.offset)..][..grain.bytes].copy_from_slice(inflate.grain(grain, packed)?);
        Ok(())
    }
}

fn header(capacity: usize) -> Vec<u8> {
    let mut all = MAGIC.to_vec();
    for value in [3u32, 0x3_0001] {
        all.extend(value.to_le_bytes());
    }
    for value in [(capacity / 512) as u64, 128, 1, 20] {
        all.extend(value.to_le_bytes());
    }
    all.extend(512u32.to_le_bytes());
    for value in [0u64, u64::MAX, 3] {
        all.extend(value.to_le_bytes());
    }
    all.extend(*b"\0\n \r\n\x01\0");
    all.resize(3 * 512, 0);
    all
}

fn marker(value: u64, size: u32, kind: u32) -> Vec<u8> {
    [&value.to_le_bytes()[..], &size.to_le_bytes(), &kind.to_le_bytes()].concat()
}

fn pad(all: &mut Vec<u8>) {
    all.resize(all.len().next_multiple_of(512), 0);
}

fn grain(sector: u64, bytes: &[u8]) -> Vec<u8> {
    let mut deflate = Compressor::new(CompressionLvl::fastest());
    let mut packed = vec![0; deflate.zlib_compress_bound(bytes.len())];
    let size = deflate.zlib_compress(bytes, &mut packed).unwrap();
    let mut all = marker(sector, size as u32, 0)[..12].to_vec();
    all.extend(&packed[..size]);
    pad(&mut all);
    all
}

/// A stream of these grains with a table in between, and all that ends it.
pub(crate) fn stream(capacity: usize, grains: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut all = header(capacity);
    for (sector, bytes) in grains {
        all.extend(grain(*sector, bytes));
    }
    for (sectors, kind) in [(4, 1), (1, 2), (1, 3)] {
        all.extend(marker(sectors, 0, kind));
        pad(&mut all);
        all.resize(all.len() + usize_of(sectors) * 512, 7);
    }
    all.resize(all.len() + 512, 0);
    all
}

fn decoded(all: &[u8]) -> Result<Vec<u8>, Broken> {
    let mut memory = Memory::default();
    let mut input = all;
    decode(&mut input, &mut memory)?;
    assert!(input.is_empty());
    Ok(memory.0)
}

fn sample() -> (Vec<u8>, Vec<u8>) {
    let capacity = 2 * GRAIN + 4096;
    let full = vec![0xa5; GRAIN];
    let all = stream(capacity, &[(128, full.clone()), (256, full.clone())]);
    let mut disk = vec![0; capacity];
    disk[GRAIN..].fill(0xa5);
    (all, disk)
}

#[test]
fn grains_go_where_they_belong_and_the_last_one_ends_with_the_disk() {
    let (all, disk) = sample();
    assert_eq!(decoded(&all).unwrap(), disk);
}

#[test]
fn a_stream_without_its_end_broke_off_wherever_it_was_cut() {
    let (all, _) = sample();
    for cut in [0, 1, 511, 512, 1536, 1537, 2000, all.len() - 512, all.len() - 1] {
        assert!(matches!(decoded(&all[..cut]), Err(Broken::Off(_))), "{cut}");
    }
}

#[test]
fn what_is_none_is_refused() {
    let (good, _) = sample();
    let with = |at: usize, bytes: &[u8]| {
        let mut all = good.clone();
        all[at..at + bytes.len()].copy_from_slice(bytes);
        all
    };
    for (all, why) in [
        (with(0, b"COWD"), "it does not begin like one"),
        (with(8, &[1, 0, 0, 0]), "it has no compressed grains behind markers"),
        (with(77, &[9, 0]), "it has no compressed grains behind markers"),
        (with(12, &[0; 8]), "it has no possible capacity"),
        (with(12, &[255; 8]), "it has no possible capacity"),
        (with(20, &[100]), "its grains have no possible size"),
        (with(20, &[0, 0, 1]), "its grains have no possible size"),
        (with(64, &[0]), "its first grain has no possible place"),
        (with(1536, &[255; 8]), "a grain lies outside of the disk"),
        (with(1536, &[1]), "a grain lies outside of the disk"),
        (with(1536 + 8, &[255; 4]), "a grain is longer than it can be"),
        (with(1536 + 14, &[255; 30]), "a grain does not inflate"),
        (stream(2 * GRAIN, &[(0, vec![1; 512])]), "a grain is too short"),
    ] {
        match decoded(&all) {
            Err(Broken::Wrong(error)) => {
                assert_eq!(error.message, format!("the stream is no streamOptimized VMDK: {why}"));
            }
            other => panic!("{why}: {other:?}"),
        }
    }
    let mut unknown = header(GRAIN);
    unknown.extend(marker(0, 0, 9));
    pad(&mut unknown);
    assert!(
        matches!(decoded(&unknown), Err(Broken::Wrong(error)) if error.message.ends_with("a marker that is not known"))
    );
}

proptest! {
    #[test]
    fn whatever_comes_ends(at in 0usize..4096, bytes in proptest::collection::vec(any::<u8>(), 1..64)) {
        let (mut all, _) = sample();
        let at = at.min(all.len() - bytes.len());
        all[at..at + bytes.len()].copy_from_slice(&bytes);
        let mut memory = Memory::default();
        let _ = decode(&mut all.as_slice(), &mut memory);
    }
}

use std::sync::Mutex;

use vmdk2kvm_plugin_api::ErrorKind;

use super::*;
use crate::stream::{decode, tests::*};

/// A disk of many grains, some of them empty, and its stream.
fn large() -> (Vec<u8>, Vec<u8>) {
    let grains: Vec<(u64, Vec<u8>)> = (0..400_u64)
        .map(|number| {
            let seed = number * 7919;
            let bytes = (0..GRAIN as u64).map(|at| if number % 5 == 0 { 0 } else { (at * at + seed) as u8 });
            (number * 128, bytes.collect())
        })
        .collect();
    let disk = grains.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    (stream(400 * GRAIN, &grains), disk)
}

/// Pushes what it reads.
struct Pushing<'a, 'f>(&'a mut Feed<'f>);

impl crate::stream::Sink for Pushing<'_, '_> {
    fn begin(&mut self, _: u64) -> Result<()> {
        Ok(())
    }

    fn grain(&mut self, grain: Grain, packed: &[u8]) -> Result<(), Broken> {
        self.0.push(grain, packed)
    }
}

#[test]
fn every_grain_is_written_once_and_no_hole() {
    let (stream, disk) = large();
    let written = Mutex::new((vec![0; disk.len()], 0));
    let write = |offset: u64, bytes: &[u8]| {
        let mut written = written.lock().unwrap();
        written.0[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        written.1 += 1;
        Ok(())
    };
    inflating(&write, |feed| decode(&mut stream.as_slice(), &mut Pushing(feed))).unwrap();
    let (found, writes) = written.into_inner().unwrap();
    assert!(found == disk);
    assert_eq!(writes, 320);
}

#[test]
fn the_error_of_what_writes_comes_before_that_of_what_reads() {
    let (stream, _) = large();
    let full = |_: u64, _: &[u8]| Err(PluginError::new(ErrorKind::Output, "no space"));
    let broken = inflating(&full, |feed| decode(&mut stream.as_slice(), &mut Pushing(feed))).unwrap_err();
    assert!(matches!(broken, Broken::Wrong(error) if error.message == "no space"));
    let fine = |_: u64, _: &[u8]| Ok(());
    let cut = &stream[..stream.len() / 2];
    let broken = inflating(&fine, |feed| decode(&mut &cut[..], &mut Pushing(feed))).unwrap_err();
    assert!(matches!(broken, Broken::Off(_)));
}

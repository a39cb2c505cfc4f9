//! What goes wrong: in the source, in the output, and by the user's wish.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, Extent, ExtentKind, Hints, PluginError, Result};

use super::super::*;
use super::sources::{MapSource, Odd};

fn attempt(source: &dyn BlockSource, control: &Control<'_>) -> PluginError {
    let folder = tempfile::tempdir().unwrap();
    let mut errors = Vec::new();
    for format in [ImageFormat::Raw, ImageFormat::Qcow2] {
        let target = folder.path().join(format.as_str());
        errors.push(super::copy(source, &target, format, control).unwrap_err());
        assert!(!target.exists(), "a failed copy left {}", target.display());
    }
    errors.push(content_sha256(source, control).unwrap_err());
    assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
    errors.remove(0)
}

fn parallel(parallelism: u16) -> Hints {
    Hints::default().with(|hints| hints.parallelism = parallelism)
}

#[test]
fn the_error_of_the_source_comes_back_as_it_is() {
    for hints in [parallel(1), parallel(4), parallel(0)] {
        for failing in [0u64, 5 << 20, (32 << 20) - 1] {
            let read = |offset: u64, buffer: &mut [u8]| {
                if (offset..offset + buffer.len() as u64).contains(&failing) {
                    return Err(PluginError::new(ErrorKind::Temporary, "the datastore went away").hint("wait"));
                }
                buffer.fill(1);
                Ok(buffer.len())
            };
            let error = attempt(&Odd { size: 32 << 20, hints, read }, &Control::unattended());
            assert_eq!(error, PluginError::new(ErrorKind::Temporary, "the datastore went away").hint("wait"));
        }
    }
}

#[test]
fn short_reads_are_continued() {
    let short = |offset: u64, buffer: &mut [u8]| {
        let n = buffer.len().min(30_000);
        buffer[..n].fill(offset as u8 | 1);
        Ok(n)
    };
    let source = Odd { size: 3 << 20, hints: Hints::default(), read: short };
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("disk");
    super::copy(&source, &target, ImageFormat::Raw, &Control::unattended()).unwrap();
    assert!(std::fs::read(&target).unwrap().iter().all(|byte| *byte != 0));
}

#[test]
fn counts_that_cannot_be_are_defects() {
    for (returned, message) in [
        (0, "a read of 1048576 bytes at offset 0 returned 0"),
        (1_048_577, "a read of 1048576 bytes at offset 0 returned 1048577"),
        (usize::MAX, "a read of 1048576 bytes at offset 0 returned 18446744073709551615"),
    ] {
        let source = Odd { size: 1 << 20, hints: parallel(2), read: |_, _: &mut [u8]| Ok(returned) };
        let error = attempt(&source, &Control::unattended());
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Defect, message));
    }
}

/// A source that claims to have read what it did not write must not put another place's bytes there.
#[test]
fn buffers_hold_nothing_of_before() {
    let lazy = |offset: u64, buffer: &mut [u8]| {
        if offset < 4 << 20 {
            buffer.fill(0xaa);
        }
        Ok(buffer.len())
    };
    let source = Odd { size: 8 << 20, hints: parallel(1), read: lazy };
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("disk");
    super::copy(&source, &target, ImageFormat::Raw, &Control::unattended()).unwrap();
    assert!(std::fs::read(&target).unwrap()[4 << 20..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_panic_in_the_source_ends_the_copy() {
    let read = |offset: u64, buffer: &mut [u8]| {
        assert!(offset < 7 << 20, "a defect of the test's source");
        Ok(buffer.len())
    };
    let error = attempt(&Odd { size: 64 << 20, hints: parallel(4), read }, &Control::unattended());
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Defect, "a copy thread panicked"));
}

#[test]
fn a_map_with_a_gap_is_a_defect() {
    struct Gap;
    impl BlockSource for Gap {
        fn size(&self) -> u64 {
            1 << 20
        }
        fn read_at(&self, _: u64, buffer: &mut [u8]) -> Result<usize> {
            Ok(buffer.len())
        }
        fn extents(&self, _: u64, length: u64) -> Result<Vec<Extent>> {
            Ok(vec![Extent::new(0, length - 512, ExtentKind::Hole)])
        }
    }
    let error = attempt(&Gap, &Control::unattended());
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Defect, "the map of 0..1048576 stops at 1048064"));
}

#[test]
fn cancelling_stops_soon() {
    for hints in [parallel(4), parallel(1)] {
        let reads = AtomicU64::new(0);
        let read = |_: u64, buffer: &mut [u8]| {
            reads.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(1));
            Ok(buffer.len())
        };
        let source = Odd { size: 1 << 40, hints, read };
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("disk");
        let started = Instant::now();
        let control = Control { cancelled: &|| reads.load(Ordering::Relaxed) >= 40, ..Control::unattended() };
        let error = super::copy(&source, &target, ImageFormat::Qcow2, &control).unwrap_err();
        assert_eq!(error, PluginError::interrupted());
        assert!(reads.load(Ordering::Relaxed) < 60, "{reads:?} reads");
        assert!(started.elapsed() < Duration::from_secs(60));
        assert!(!target.exists());
    }
}

#[test]
fn a_stale_image_is_replaced_and_a_folder_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("disk.part");
    std::fs::write(&target, vec![7; 3 << 20]).unwrap();
    let source = MapSource::alternating(&[(1 << 20, true)]);
    let outcome = super::copy(&source, &target, ImageFormat::Raw, &Control::unattended()).unwrap();
    assert_eq!(outcome.bytes_image, 1 << 20);
    assert!(std::fs::read(&target).unwrap() == source.bytes());
    let error = super::copy(&source, folder.path(), ImageFormat::Raw, &Control::unattended()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Output);
    let expected = format!("{} cannot be removed: Is a directory (os error 21)", folder.path().display());
    assert_eq!(error.message, expected);
}

#[test]
fn a_capacity_beyond_the_format_is_refused() {
    let source = MapSource::alternating(&[(1 << 60, false)]);
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("disk");
    let error = super::copy(&source, &target, ImageFormat::Qcow2, &Control::unattended()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unusable);
    assert_eq!(
        error.message,
        "a disk of 1152921504606846976 bytes is larger than a qcow2 image can be (2251799813685248 bytes)"
    );
    assert!(!target.exists());
}

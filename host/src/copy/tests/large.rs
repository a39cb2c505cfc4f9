//! Time and memory grow with the data, not with the capacity.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::super::*;
use super::sources::MapSource;

/// 8 TiB with 64 MiB of data in 1,024 places: the time is printed, the number of calls is bounded.
#[test]
fn a_huge_sparse_disk_costs_what_its_data_costs() {
    const TIB: u64 = 1 << 40;
    let runs: Vec<_> = (0..1024).flat_map(|_| [(64 << 10, true), (8 * TIB / 1024 - (64 << 10), false)]).collect();
    let source = MapSource::alternating(&runs);
    let folder = tempfile::tempdir().unwrap();
    for format in [ImageFormat::Raw, ImageFormat::Qcow2] {
        let (reads, maps) = (source.reads.swap(0, Ordering::Relaxed), source.maps.swap(0, Ordering::Relaxed));
        assert!(reads <= 1024 && maps <= 1200, "{reads} reads and {maps} maps");
        let target = folder.path().join(format.as_str());
        let started = Instant::now();
        let outcome = super::copy(&source, &target, format, &Control::unattended());
        let outcome = outcome.unwrap();
        println!(
            "{}: 8 TiB with 64 MiB of data in {:.3} s, {} reads, {} maps, image of {} bytes",
            format.as_str(),
            started.elapsed().as_secs_f64(),
            source.reads.load(Ordering::Relaxed),
            source.maps.load(Ordering::Relaxed),
            outcome.bytes_image
        );
        assert_eq!(outcome.bytes_stored, 64 << 20);
        assert_eq!(source.reads.load(Ordering::Relaxed), 1024);
        assert!(source.maps.load(Ordering::Relaxed) <= 1200);
    }
    // One L2 table for each 512 MiB that holds data, and little else.
    let image = folder.path().join("qcow2").metadata().unwrap().len();
    assert!(image < (64 << 20) + (1024 << 16) + (8 << 20), "{image} bytes");
}

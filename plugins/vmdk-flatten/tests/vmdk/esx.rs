//! Snapshots of ESX: `vmfsSparse` and `seSparse`, made by code because no program at hand writes them, compared with the maker's truth
//! and with qemu's reading; alone, and in chains with every other subformat.

use std::path::Path;

use crate::made::{Cell, Noise, cowd, descriptor, flat, se_sparse};
use crate::support::{assert_same, flatten, qemu, read_all};
use vmdk2kvm_plugin_api::ExtentKind;

const CID: u32 = 0x0bad_c0de;

/// Writes a snapshot of this type as `name.vmdk` and its data beside it.
fn snapshot(folder: &Path, kind: &str, name: &str, data: &[u8], sectors: u64, parent: Option<(u32, &str)>) {
    let extents = format!("RW {sectors} {} \"{name}-delta.vmdk\"", kind.to_ascii_uppercase());
    std::fs::write(folder.join(format!("{name}-delta.vmdk")), data).unwrap();
    std::fs::write(folder.join(format!("{name}.vmdk")), descriptor(kind, CID, parent, &extents)).unwrap();
}

/// Compares with the truth, and with qemu.
fn compare(folder: &Path, name: &str, truth: &[u8]) {
    let flat = flatten(folder, name).unwrap();
    assert!(read_all(&*flat.source).unwrap() == truth, "{name} differs from what was written");
    qemu::to_raw(folder, name, "qemu.raw");
    assert_same(&*flat.source, &folder.join("qemu.raw"));
}

/// A base of this subformat, with the content id that qemu gave it, and what is in it.
fn base(folder: &Path, subformat: &str, size: usize) -> (u32, Vec<u8>) {
    let mut noise = Noise(0xba5e);
    let mut disk = noise.bytes(size);
    disk[size / 3..size / 2].fill(0);
    std::fs::write(folder.join("base.raw"), &disk).unwrap();
    if subformat == "vmfs" {
        std::fs::rename(folder.join("base.raw"), folder.join("base-flat.vmdk")).unwrap();
        let extents = format!("RW {} VMFS \"base-flat.vmdk\"", size / 512);
        std::fs::write(folder.join("base.vmdk"), descriptor("vmfs", 77, None, &extents)).unwrap();
        return (77, disk);
    }
    qemu::convert(folder, "base.raw", "base.vmdk", &format!("subformat={subformat}"));
    let id = flatten(folder, "base.vmdk").unwrap().report.links[0].content_id.clone().unwrap();
    (u32::from_str_radix(&id, 16).unwrap(), disk)
}

#[test]
fn cowd_of_every_grain_size_reads_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (seed, grain) in [(1, 1), (2, 1), (3, 2), (4, 16), (5, 128), (6, 1)] {
        let mut noise = Noise(seed * 0x9e37_79b9);
        // More than one table at the smaller grains, and a last grain that is cut.
        let sectors = 9000 + noise.below(4000);
        let count = (sectors as usize).div_ceil(grain);
        let cells = noise.cells(count, grain * 512, false);
        let data = cowd::write(&cells, grain, sectors as u32, noise.order(cells.len()));
        snapshot(path, "vmfsSparse", "c", &data, sectors, None);
        compare(path, "c.vmdk", &flat(&cells, grain * 512, sectors as usize * 512, &[]));
        let report = flatten(path, "c.vmdk").unwrap().report;
        assert_eq!(report.links[0].format, "vmdk/vmfsSparse");
        assert_eq!(report.links[0].files, ["c.vmdk", "c-delta.vmdk"]);
        assert!(report.warnings.is_empty());
    }
}

#[test]
fn se_sparse_reads_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for seed in 1..6 {
        let mut noise = Noise(seed * 0x9e37_79b9);
        // Up to three tables, and more than 4,096 grains in some, so that both parts of a grain's number count.
        let sectors = 8 * (1 + noise.below(11_000));
        let cells = noise.cells(sectors as usize / 8, 4096, true);
        let data = se_sparse::write(&cells, sectors, noise.order(cells.len()));
        snapshot(path, "seSparse", "s", &data, sectors, None);
        compare(path, "s.vmdk", &flat(&cells, 4096, sectors as usize * 512, &[]));
        assert_eq!(flatten(path, "s.vmdk").unwrap().report.links[0].format, "vmdk/seSparse");
    }
    let cells: Vec<_> = (0..5000u32).map(|number| Cell::Data([number.to_le_bytes(); 1024].concat())).collect();
    let data = se_sparse::write(&cells, 40_000, (0..cells.len()).collect());
    snapshot(path, "seSparse", "s", &data, 40_000, None);
    compare(path, "s.vmdk", &flat(&cells, 4096, 40_000 * 512, &[]));
}

#[test]
fn snapshots_above_every_other_subformat() {
    for subformat in
        ["vmfs", "monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized"]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let sectors = 24_000u64;
        let (base_id, mut truth) = base(path, subformat, sectors as usize * 512);
        let mut noise = Noise(0xabc);
        let cells = noise.cells(sectors as usize, 512, false);
        snapshot(
            path,
            "vmfsSparse",
            "cow",
            &cowd::write(&cells, 1, sectors as u32, noise.order(cells.len())),
            sectors,
            Some((base_id, "base.vmdk")),
        );
        truth = flat(&cells, 512, truth.len(), &truth);
        compare(path, "cow.vmdk", &truth);
        let cells = noise.cells(sectors as usize / 8, 4096, true);
        let data = se_sparse::write(&cells, sectors, noise.order(cells.len()));
        snapshot(path, "seSparse", "se", &data, sectors, Some((CID, "cow.vmdk")));
        truth = flat(&cells, 4096, truth.len(), &truth);
        compare(path, "se.vmdk", &truth);
        // And a hosted snapshot above both, which qemu writes.
        qemu::child(path, "top.vmdk", "subformat=monolithicSparse", "se.vmdk", None);
        qemu::io(path, "top.vmdk", &["write -P 5 100k 70k", "write -P 6 11M 512"]);
        truth[100 << 10..170 << 10].fill(5);
        truth[11 << 20..(11 << 20) + 512].fill(6);
        compare(path, "top.vmdk", &truth);
        let report = flatten(path, "top.vmdk").unwrap().report;
        let formats: Vec<_> = report.links.iter().map(|link| link.format.clone()).collect();
        let expected = ["monolithicSparse", "seSparse", "vmfsSparse", subformat].map(|name| format!("vmdk/{name}"));
        assert_eq!(formats, expected);
    }
}

#[test]
fn zeroed_grains_hide_the_parent_and_absent_ones_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let (base_id, truth) = base(path, "vmfs", 3 * 4096);
    let cells = [Cell::Zero, Cell::Zero, Cell::Absent];
    snapshot(
        path,
        "seSparse",
        "s",
        &se_sparse::write(&cells, 24, (0..cells.len()).collect()),
        24,
        Some((base_id, "base.vmdk")),
    );
    let map = flatten(path, "s.vmdk").unwrap().source.extents(0, 3 * 4096).unwrap();
    assert_eq!((map[0].length, map[0].kind), (8192, ExtentKind::Zero));
    assert_eq!(map[1].kind, ExtentKind::Data);
    compare(path, "s.vmdk", &flat(&cells, 4096, truth.len(), &truth));
}

#[test]
fn the_map_of_a_snapshot_that_changes_at_every_sector_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let cells: Vec<_> = (0..20_000)
        .map(|number| if number % 2 == 0 || number > 16_000 { Cell::Absent } else { Cell::Data(vec![1; 512]) })
        .collect();
    snapshot(path, "vmfsSparse", "c", &cowd::write(&cells, 1, 20_000, (0..20_000).collect()), 20_000, None);
    let flat = flatten(path, "c.vmdk").unwrap();
    let map = flat.source.extents(0, 20_000 * 512).unwrap();
    assert_eq!(flat.source.hints().alignment, 4096);
    assert_eq!((map.len(), map[0].length, map[0].kind), (2, 16_000 * 512, ExtentKind::Data));
    compare(path, "c.vmdk", &crate::made::flat(&cells, 512, 20_000 * 512, &[]));
}

#[test]
fn a_snapshot_that_was_not_closed_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut data = cowd::write(&[Cell::Data(vec![7; 512])], 1, 1, vec![0]);
    data[cowd::FIELD_UNCLEAN] = 1;
    snapshot(path, "vmfsSparse", "c", &data, 1, None);
    let flat = flatten(path, "c.vmdk").unwrap();
    assert_eq!(
        flat.report.warnings,
        ["c-delta.vmdk: was not closed cleanly by its last writer; what that wrote last may be missing"]
    );
    assert_eq!(read_all(&*flat.source).unwrap(), [7; 512]);
}

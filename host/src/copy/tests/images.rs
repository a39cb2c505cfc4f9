//! Images against `qemu-img`, which must be installed (qemu-utils).

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use vmdk2kvm_plugin_api::Hints;

use super::super::*;
use super::sources::MapSource;

pub(super) fn qemu_img(arguments: &[&str]) -> Output {
    let output = Command::new("qemu-img").args(arguments).output();
    let output = output.expect("this test needs qemu-img (Debian: qemu-utils)");
    assert!(
        output.status.success(),
        "qemu-img {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The definition, written down a second time and slowly.
fn expected_digest(disk: &[u8]) -> String {
    let mut disk = disk.to_vec();
    disk.resize(disk.len().next_multiple_of(512), 0);
    let mut digest = Sha256::new();
    digest.update((disk.len() as u64).to_le_bytes());
    for (index, chunk) in disk.chunks(1_048_576).enumerate() {
        if chunk.iter().any(|byte| *byte != 0) {
            digest.update((index as u64).to_le_bytes());
            digest.update(blake3::hash(chunk).as_bytes());
        }
    }
    content_digest::hex(&digest.finalize())
}

fn copy(source: &MapSource, target: &Path, format: ImageFormat) -> CopyOutcome {
    super::copy(source, target, format, &Control::unattended()).unwrap()
}

/// Copies in both formats and looks at everything that must hold.
fn check(source: &MapSource) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    let mut disk = source.bytes();
    disk.resize(disk.len().next_multiple_of(512), 0);
    std::fs::write(path("expected.raw"), &disk).unwrap();
    let raw = copy(source, &path("raw.part"), ImageFormat::Raw);
    let qcow2 = copy(source, &path("qcow2.part"), ImageFormat::Qcow2);
    assert!(std::fs::read(path("raw.part")).unwrap() == disk, "the raw image differs");
    qemu_img(&["check", "-f", "qcow2", &text("qcow2.part")]);
    qemu_img(&["compare", "-f", "raw", "-F", "qcow2", &text("expected.raw"), &text("qcow2.part")]);
    let info = qemu_img(&["info", "-f", "qcow2", "--output=json", &text("qcow2.part")]).stdout;
    let info: serde_json::Value = serde_json::from_slice(&info).unwrap();
    assert_eq!(info["virtual-size"], disk.len());
    let digest = expected_digest(&disk);
    assert_eq!(raw.content_sha256, digest);
    assert_eq!(qcow2.content_sha256, digest);
    assert_eq!(content_sha256(source, &Control::unattended()).unwrap(), digest);
    let back = FileSource::open(&path("raw.part")).unwrap();
    assert_eq!(content_sha256(&back, &Control::unattended()).unwrap(), digest);
    let clusters = disk.chunks(64 << 10).filter(|cluster| cluster.iter().any(|byte| *byte != 0)).count() as u64;
    for outcome in [&raw, &qcow2] {
        assert_eq!(outcome.bytes_data, source.data_bytes());
        assert_eq!(outcome.bytes_stored, clusters << 16);
        assert_eq!(outcome.virtual_size, disk.len() as u64);
    }
    for (name, outcome) in [("raw.part", raw), ("qcow2.part", qcow2)] {
        let metadata = path(name).metadata().unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
        assert_eq!(metadata.len(), outcome.bytes_image);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn random_disks_arrive_whole(
        runs in prop::collection::vec((1u64..1 << 20, any::<bool>()), 1..12),
        odd in any::<bool>(),
        zero_every in 2u64..6,
        request in prop::sample::select(vec![0, 100_000, 1 << 20, u32::MAX]),
        alignment in prop::sample::select(vec![0, 512, 4096, 65_536, 1 << 20, 3 << 20]),
        parallelism in 0u16..5,
    ) {
        let runs: Vec<_> = runs.iter().map(|(length, data)| (if odd { *length } else { length.next_multiple_of(512) }, *data)).collect();
        let mut source = MapSource::alternating(&runs);
        source.zero_every = zero_every;
        source.hints = Hints::default().with(|hints| { hints.alignment = alignment; hints.request = request; hints.parallelism = parallelism; });
        check(&source);
    }
}

#[test]
fn odd_sizes() {
    for size in [1, 511, 512, 513, 65_535, 65_536, 65_537, (1 << 20) + 1, (5 << 20) - 512] {
        check(&MapSource::alternating(&[(size, true)]));
    }
}

#[test]
fn an_empty_disk_and_a_disk_of_no_bytes() {
    check(&MapSource::alternating(&[(40 << 20, false)]));
    let folder = tempfile::tempdir().unwrap();
    for format in [ImageFormat::Raw, ImageFormat::Qcow2] {
        let target = folder.path().join(format.as_str());
        let outcome = copy(&MapSource::alternating(&[]), &target, format);
        assert_eq!((outcome.virtual_size, outcome.bytes_stored), (0, 0));
        qemu_img(&["info", "-f", format.as_str(), target.to_str().unwrap()]);
    }
    qemu_img(&["check", "-f", "qcow2", folder.path().join("qcow2").to_str().unwrap()]);
}

#[test]
fn qemu_may_write_to_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("disk.part");
    copy(&MapSource::alternating(&[(3 << 20, true), (700 << 20, false), (1 << 20, true)]), &target, ImageFormat::Qcow2);
    let target = target.to_str().unwrap();
    let io = Command::new("qemu-io").args(["-f", "qcow2", "-c", "write -P 7 100k 600M", target]).output();
    assert!(io.expect("this test needs qemu-io (Debian: qemu-utils)").status.success());
    qemu_img(&["check", "-f", "qcow2", target]);
}

#[test]
fn a_source_for_one_reader_is_read_once_and_in_order() {
    let order = Mutex::new(Vec::new());
    let source = super::sources::Odd {
        size: 20 << 20,
        hints: Hints::default().with(|hints| hints.parallelism = 1),
        read: |offset: u64, buffer: &mut [u8]| {
            order.lock().unwrap().push(offset);
            buffer.fill(offset.to_le_bytes()[2] | 1);
            Ok(buffer.len())
        },
    };
    content_sha256(&source, &Control::unattended()).unwrap();
    assert_eq!(*order.lock().unwrap(), (0..20).map(|number| number << 20).collect::<Vec<u64>>());
}

#[test]
fn progress_rises_and_ends_at_the_end() {
    let source = MapSource::alternating(&[(3 << 20, true), (100 << 20, false), (3 << 20, true), (9 << 20, false)]);
    let seen = Mutex::new(Vec::new());
    let control = Control { progress: &|progress| seen.lock().unwrap().push(progress), ..Control::unattended() };
    content_sha256(&source, &control).unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted_by_key(|progress| (progress.done, progress.data, progress.position)));
    let last = Progress { done: 6 << 20, data: 6 << 20, position: 115 << 20, capacity: 115 << 20 };
    assert_eq!(seen.last(), Some(&last));
}

//! The three calls on real images. Requires: qemu-img and qemu-io (package qemu-utils).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use support::{converter, discard_guest, qemu, read_guest, text, write_guest};
use tempfile::TempDir;
use vmdk2kvm_plugin_api::ErrorKind;
use vmdk2kvm_plugin_api::model::{CommitOverlay, Convert, CreateOverlay};
use vmdk2kvm_plugin_testing::FakeHost;

const SIZE: u64 = 48 << 20;
/// Half of what [`raw`] writes in the middle.
const GONE: u64 = 512 << 10;

/// A folder whose name has all that qemu takes for syntax somewhere.
fn awkward() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("a,b=c:d %s 'q' \"Q\" ü");
    std::fs::create_dir(&inner).unwrap();
    (folder, inner)
}

fn raw(path: &Path) -> String {
    let file = std::fs::File::create(path).unwrap();
    file.set_len(SIZE).unwrap();
    file.write_all_at(&[0x11; 4096], 0).unwrap();
    file.write_all_at(&[0x22; 1 << 20], 20 << 20).unwrap();
    file.write_all_at(&[0x33; 512], SIZE - 512).unwrap();
    text(path)
}

fn convert(source: &str, target: &Path, format: &str, compress: bool) -> Convert {
    Convert::new(source, "raw", text(target), format).with(|it| it.compress = compress)
}

#[test]
fn every_format_holds_the_same_bytes_under_an_awkward_name() {
    let (_keep, folder) = awkward();
    let source = raw(&folder.join("disk, 1.img"));
    let services = FakeHost::new();
    let converter = converter(&services, json!({}));
    for (format, compress) in [
        ("qcow2", false),
        ("raw", false),
        ("vdi", false),
        ("vmdk", false),
        ("vhdx", false),
        ("qcow2", true),
        ("vmdk", true),
        ("vdi", true),
    ] {
        let target = folder.join(format!("{compress}:out,{format}.part"));
        converter.convert(&convert(&source, &target, format, compress)).unwrap();
        assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(support::allocated(&target) < 4 << 20, "{format} is not sparse");
        let same = qemu("qemu-img", &["compare", "-q", "-f", "raw", "-F", format, &source, &text(&target)]);
        assert!(same.status.success(), "{format} {compress}: {}", String::from_utf8_lossy(&same.stderr));
    }
    let progress = services.progress();
    assert!(progress.iter().all(|seen| seen.task == "convert" && seen.total == SIZE && seen.done <= seen.total));
    assert_eq!(progress.last().map(|last| last.done), Some(SIZE));
}

#[test]
fn a_compressed_vmdk_is_stream_optimized_and_a_plain_one_sparse() {
    let (_keep, folder) = awkward();
    let source = raw(&folder.join("disk.img"));
    let converter = converter(&FakeHost::new(), json!({}));
    for (compress, subformat) in [(true, "streamOptimized"), (false, "monolithicSparse")] {
        let target = folder.join(subformat);
        converter.convert(&convert(&source, &target, "vmdk", compress)).unwrap();
        let start = std::fs::read(&target).unwrap();
        let wanted = format!("createType=\"{subformat}\"");
        assert!(start[..4096].windows(wanted.len()).any(|part| part == wanted.as_bytes()), "{subformat}");
    }
}

#[test]
fn the_compression_setting_chooses_the_codec() {
    let (_keep, folder) = awkward();
    let source = raw(&folder.join("disk.img"));
    // Byte 104 of a version 3 header: compression_type.
    for (settings, codec) in [(json!({}), 1), (json!({"compression": "zlib"}), 0), (json!({"compression": "zstd"}), 1)]
    {
        let target = folder.join("out");
        converter(&FakeHost::new(), settings.clone()).convert(&convert(&source, &target, "qcow2", true)).unwrap();
        assert_eq!(std::fs::read(&target).unwrap()[104], codec, "{settings}");
        std::fs::remove_file(&target).unwrap();
    }
}

#[test]
fn an_unknown_setting_is_refused() {
    let error = support::plugin(&FakeHost::new(), json!({"compresion": "zlib"})).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("compresion"), "{error}");
}

#[test]
fn what_is_there_is_never_overwritten() {
    let (_keep, folder) = awkward();
    let source = raw(&folder.join("disk.img"));
    let converter = converter(&FakeHost::new(), json!({}));
    let (file, link) = (folder.join("file"), folder.join("link"));
    std::fs::write(&file, "precious").unwrap();
    symlink(folder.join("nowhere"), &link).unwrap();
    for target in [&file, &link] {
        let error = converter.convert(&convert(&source, target, "qcow2", false)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Output);
        assert_eq!(error.message, format!("{}: cannot be created: File exists (os error 17)", target.display()));
        let overlay = CreateOverlay::new(text(target), source.clone(), "raw", SIZE);
        assert_eq!(converter.create_overlay(&overlay).unwrap_err().kind, ErrorKind::Output);
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    assert!(!folder.join("nowhere").exists());
}

#[test]
fn an_overlay_is_committed_onto_a_copy_and_the_backing_stays() {
    for format in ["raw", "qcow2"] {
        let (_keep, folder) = awkward();
        let services = FakeHost::new();
        let converter = converter(&services, json!({}));
        let base = raw(&folder.join("base:1.raw"));
        let before = std::fs::read(&base).unwrap();
        let overlay = text(&folder.join("over,lay"));
        let request = CreateOverlay::new(overlay.clone(), base.clone(), "raw", SIZE);
        converter.create_overlay(&request).unwrap();
        assert_eq!(std::fs::metadata(&overlay).unwrap().permissions().mode() & 0o7777, 0o600);
        write_guest(&overlay, "qcow2", 0x44, 20 << 20, 4096);
        discard_guest(&overlay, "qcow2", (20 << 20) + GONE, GONE);

        let image = folder.join("image,1");
        converter.convert(&convert(&base, &image, format, false)).unwrap();
        let took = support::allocated(&image);
        let commit = CommitOverlay::new(overlay.clone(), text(&image), format);
        converter.commit_overlay(&commit).unwrap();
        // As after a crash in the middle: once more gives the same.
        converter.commit_overlay(&commit).unwrap();

        assert_eq!(read_guest(&text(&image), format, 20 << 20), 0x44);
        assert_eq!(read_guest(&text(&image), format, (20 << 20) + 4096), 0x22);
        assert_eq!(read_guest(&text(&image), format, (20 << 20) + GONE), 0);
        // What was discarded takes no room.
        assert_eq!(took - support::allocated(&image), GONE);
        assert!(std::fs::read(&base).unwrap() == before, "the backing file was written to");
    }
}

#[test]
fn an_overlay_on_an_export_that_is_not_there_yet_can_be_made() {
    let (_keep, folder) = awkward();
    let request =
        CreateOverlay::new(text(&folder.join("overlay")), "nbd+unix:///?socket=/nowhere/nbd.sock", "raw", SIZE);
    converter(&FakeHost::new(), json!({})).create_overlay(&request).unwrap();
    let header = std::fs::read(request.overlay).unwrap();
    assert!(header.windows(request.backing.len()).any(|part| part == request.backing.as_bytes()));
}

#[test]
fn images_that_read_other_files_are_refused() {
    let (_keep, folder) = awkward();
    let converter = converter(&FakeHost::new(), json!({}));
    let base = raw(&folder.join("base.raw"));
    let chained = text(&folder.join("chained.qcow2"));
    let external = text(&folder.join("external.qcow2"));
    assert!(qemu("qemu-img", &["create", "-q", "-f", "qcow2", "-b", &base, "-F", "raw", &chained]).status.success());
    let data = format!("data_file={}", folder.parent().unwrap().join("data").display());
    assert!(qemu("qemu-img", &["create", "-q", "-f", "qcow2", "-o", &data, &external, "1M"]).status.success());
    for (source, wanted) in [
        (&chained, "the image has a backing file"),
        (&external, "the qcow2 image keeps its data in another file"),
        (&base, "not a qcow2 image"),
    ] {
        let target = folder.join("out");
        let mut request = convert(source, &target, "raw", false);
        request.source_format = "qcow2".into();
        let error = converter.convert(&request).unwrap_err();
        assert_eq!((error.kind, error.message), (ErrorKind::Unusable, format!("{source}: {wanted}")));
        assert!(!target.exists());
    }
}

#[test]
fn a_raw_image_that_begins_like_a_qcow2_stays_raw() {
    let (_keep, folder) = awkward();
    let (inner, target) = (text(&folder.join("inner.qcow2")), folder.join("out.raw"));
    assert!(qemu("qemu-img", &["create", "-q", "-f", "qcow2", &inner, "1G"]).status.success());
    // Whole sectors, which is what a raw image is made of.
    std::fs::OpenOptions::new().write(true).open(&inner).unwrap().set_len(1 << 20).unwrap();
    converter(&FakeHost::new(), json!({})).convert(&convert(&inner, &target, "raw", false)).unwrap();
    assert!(std::fs::read(&inner).unwrap() == std::fs::read(&target).unwrap());
}

#[test]
fn a_missing_program_names_its_package() {
    let (_keep, folder) = awkward();
    let source = raw(&folder.join("disk.img"));
    let target = folder.join("out");
    let converter = converter(&FakeHost::new(), json!({"program": "no-such-qemu-img"}));
    let error = converter.convert(&convert(&source, &target, "qcow2", false)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Missing);
    assert_eq!(error.message, "the program no-such-qemu-img was not found");
    assert!(error.hint.unwrap().contains("qemu-utils"));
    assert!(!target.exists());
}

#[test]
fn cancelling_stops_the_program_and_removes_what_it_wrote() {
    let (_keep, folder) = awkward();
    let source = raw(&folder.join("disk.img"));
    let (program, pid) = support::sleeper(&folder);
    let target = folder.join("out");
    let services = FakeHost::new();
    let converter = converter(&services, json!({"program": program}));
    let begin = Instant::now();
    services.cancel_after(Duration::from_millis(300));
    let error = converter.convert(&convert(&source, &target, "qcow2", false)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Interrupted);
    assert!(begin.elapsed() < Duration::from_secs(60));
    assert!(!target.exists());
    assert!(!support::runs(&pid), "the program was left running");
}

#[test]
fn the_program_does_not_outlive_a_killed_host() {
    let (_keep, folder) = awkward();
    let (program, pid) = support::sleeper(&folder);
    if let Ok(folder) = std::env::var("QEMU_IMG_TEST_HOST") {
        // The second copy of this test, which gets killed.
        let folder = Path::new(&folder);
        let program = text(&folder.join("sleeper"));
        let converter = converter(&FakeHost::new(), json!({"program": program}));
        let _ = converter.convert(&convert(&raw(&folder.join("disk.img")), &folder.join("out"), "raw", false));
        return;
    }
    let mut host = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_program_does_not_outlive_a_killed_host"])
        .env("QEMU_IMG_TEST_HOST", &folder)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    support::eventually(|| support::runs(&pid));
    host.kill().unwrap();
    host.wait().unwrap();
    support::eventually(|| !support::runs(&pid));
    assert!(Path::new(&program).exists());
}

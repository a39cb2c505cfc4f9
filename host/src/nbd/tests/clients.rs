//! Real clients. They need qemu-img and qemu-io (Debian: qemu-utils), nbdcopy and nbdinfo (Debian: libnbd-bin).

use std::process::{Command, Output};

use super::*;
use crate::copy::{Control, content_sha256};

fn run(program: &str, package: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|error| panic!("this test needs {program} (Debian: {package}): {error}"))
}

fn qemu_img(arguments: &[&str]) -> Output {
    run("qemu-img", "qemu-utils", arguments)
}

fn good(output: Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn qemu_img_reads_the_same_disk() {
    let (folder, _, export) = start(Disk::new());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("expected"), Disk::new().bytes).unwrap();
    good(qemu_img(&["compare", "-f", "raw", "-F", "raw", &path("expected"), &export.uri()]));
    good(qemu_img(&["convert", "-f", "raw", "-O", "qcow2", "-W", &export.uri(), &path("copy.qcow2")]));
    good(qemu_img(&["compare", "-f", "raw", "-F", "qcow2", &path("expected"), &path("copy.qcow2")]));
    assert_eq!(export.first_error(), None);
}

#[test]
fn qemu_img_sees_the_holes() {
    let (_folder, _, export) = start(Disk::new());
    let map = good(qemu_img(&["map", "-f", "raw", "--output=json", &export.uri()]));
    let map: Vec<serde_json::Value> = serde_json::from_str(&map).unwrap();
    let runs: Vec<_> = map
        .iter()
        .map(|run| (run["length"].as_u64().unwrap(), run["data"].as_bool().unwrap(), run["zero"].as_bool().unwrap()))
        .collect();
    let expected =
        [(3 * MIB + 512, true, false), (9 * MIB - 512, false, true), (2 * MIB, true, true), (6 * MIB, true, false)];
    assert_eq!(runs, expected);
}

#[test]
fn libnbd_reads_the_same_disk_over_several_connections() {
    let (folder, _, export) = start(Disk::new());
    let copy = folder.path().join("copy");
    let arguments = ["--connections=4", "--requests=8", &export.uri(), copy.to_str().unwrap()];
    good(run("nbdcopy", "libnbd-bin", &arguments));
    assert!(std::fs::read(&copy).unwrap() == Disk::new().bytes);
    let info = good(run("nbdinfo", "libnbd-bin", &["--json", &export.uri()]));
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    let export_info = &info["exports"][0];
    assert_eq!(export_info["export-size"], 20 * MIB);
    assert_eq!(export_info["is_read_only"], true);
    assert_eq!(export_info["can_multi_conn"], true);
    assert_eq!(export_info["contexts"][0], "base:allocation");
    assert_eq!(info["structured"], true);
}

#[test]
fn an_overlay_on_the_export_takes_writes() {
    let (folder, _, export) = start(Disk::new());
    let overlay = folder.path().join("overlay.qcow2");
    let overlay = overlay.to_str().unwrap();
    good(qemu_img(&["create", "-q", "-f", "qcow2", "-b", &export.uri(), "-F", "raw", overlay]));
    let io = ["-f", "qcow2", "-c", "write -P 9 1M 64k", "-c", "read -P 9 1M 64k", "-c", "read -P 0 4M 64k", overlay];
    let output = good(run("qemu-io", "qemu-utils", &io));
    assert!(!output.contains("Pattern verification failed"), "{output}");
    assert_eq!(export.first_error(), None);
}

#[test]
fn a_failing_source_is_an_error_of_the_client_and_is_remembered() {
    let (folder, _, export) = start(Disk { bad: 16 * MIB, ..Disk::new() });
    let copy = folder.path().join("copy");
    let copied = qemu_img(&["convert", "-f", "raw", "-O", "raw", &export.uri(), copy.to_str().unwrap()]);
    assert!(!copied.status.success());
    let text = String::from_utf8_lossy(&copied.stderr).into_owned();
    assert!(text.contains("Input/output error"), "{text}");
    let error = export.first_error().unwrap();
    assert_eq!(error.kind, ErrorKind::Io);
    assert!(error.message.starts_with("web.vmdk: the datastore went away at "), "{error}");
}

/// A disk whose first MiB cannot be read, about which there is much to say.
struct Wordy;

impl BlockSource for Wordy {
    fn size(&self) -> u64 {
        2 * MIB
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if offset < MIB {
            return Err(PluginError::io("ä".repeat(4000)));
        }
        buffer.fill(7);
        Ok(buffer.len())
    }
}

/// A client that takes no long texts would give its connection up.
#[test]
fn an_error_with_a_long_text_leaves_the_connection() {
    let (_folder, socket) = folder();
    let export = Export::start(Arc::new(Wordy), &socket).unwrap();
    let io = ["-r", "-f", "raw", "-c", "read 0 512", "-c", "read -P 7 1M 512", &export.uri()];
    let output = run("qemu-io", "qemu-utils", &io);
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("read failed: Input/output error"), "{text}");
    assert!(text.contains("read 512/512 bytes at offset 1048576"), "{text}");
}

/// The appliance reads through the export while the copy engine reads the same source.
#[test]
fn the_copy_engine_may_read_at_the_same_time() {
    let (folder, socket) = folder();
    let source: Arc<dyn BlockSource> = Arc::new(Disk::new());
    let export = Export::start(Arc::clone(&source), &socket).unwrap();
    let expected = folder.path().join("expected");
    std::fs::write(&expected, Disk::new().bytes).unwrap();
    let digest = content_sha256(&*source, &Control::unattended()).unwrap();
    std::thread::scope(|scope| {
        let digests =
            scope.spawn(|| (0..5).all(|_| content_sha256(&*source, &Control::unattended()).unwrap() == digest));
        for _ in 0..3 {
            good(qemu_img(&["compare", "-f", "raw", "-F", "raw", expected.to_str().unwrap(), &export.uri()]));
        }
        assert!(digests.join().unwrap());
    });
}

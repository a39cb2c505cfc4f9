//! A host for the tests, and images to test with.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use vmdk2kvm_plugin_api::{Converter, Plugin, Result};
use vmdk2kvm_plugin_testing::FakeHost;
use vmdk2kvm_qemu_img::QemuImg;

pub fn plugin(services: &FakeHost, settings: Value) -> Result<QemuImg> {
    QemuImg::new(services.host(settings))
}

pub fn converter(services: &FakeHost, settings: Value) -> Box<dyn Converter> {
    plugin(services, settings).unwrap().converter().unwrap()
}

pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

pub fn qemu(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

/// Fills a range of the virtual disk.
pub fn write_guest(image: &str, format: &str, pattern: u8, offset: u64, length: u64) {
    qemu_io(image, format, &format!("write -P {pattern} {offset} {length}"));
}

/// Discards a range of the virtual disk, as a guest does.
pub fn discard_guest(image: &str, format: &str, offset: u64, length: u64) {
    qemu_io(image, format, &format!("discard {offset} {length}"));
}

fn qemu_io(image: &str, format: &str, command: &str) {
    let out = qemu("qemu-io", &["-f", format, "-d", "unmap", "-c", command, image]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// The byte that fills 512 bytes of the virtual disk.
pub fn read_guest(image: &str, format: &str, offset: u64) -> u8 {
    let out = qemu("qemu-io", &["-f", format, "-c", &format!("read -v {offset} 512"), image]);
    let out = String::from_utf8(out.stdout).unwrap();
    let first = out.split_whitespace().nth(1).unwrap();
    u8::from_str_radix(first, 16).unwrap()
}

/// Bytes that the file occupies.
pub fn allocated(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().blocks() * 512
}

/// A program that does nothing for a minute, and the file in which it leaves its process id.
pub fn sleeper(folder: &Path) -> (String, PathBuf) {
    let (program, pid) = (folder.join("sleeper"), folder.join("pid"));
    std::fs::write(&program, "#!/bin/sh\necho $$ > \"${0%/*}/pid\"\nexec sleep 60\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    (text(&program), pid)
}

/// Whether the process of a [`sleeper`] exists.
pub fn runs(pid: &Path) -> bool {
    let id = std::fs::read_to_string(pid).unwrap_or_default();
    !id.trim().is_empty() && Path::new("/proc").join(id.trim()).exists()
}

pub fn eventually(mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it did not happen within 60 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

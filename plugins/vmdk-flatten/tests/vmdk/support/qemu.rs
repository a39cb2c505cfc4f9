//! qemu-img and qemu-io: they make the files that are read, and say what is in them.

use std::path::Path;
use std::process::Command;

/// Runs a program in `folder`; its output must be a success.
pub fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).current_dir(folder).output().expect("qemu-utils is installed");
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Makes `name` of this subformat from a raw file.
pub fn convert(folder: &Path, raw: &str, name: &str, options: &str) {
    run(folder, "qemu-img", &["convert", "-f", "raw", "-O", "vmdk", "-o", options, raw, name]);
}

/// Makes an empty disk.
pub fn create(folder: &Path, name: &str, options: &str, size: &str) {
    run(folder, "qemu-img", &["create", "-q", "-f", "vmdk", "-o", options, name, size]);
}

/// Makes a snapshot of `parent`.
pub fn child(folder: &Path, name: &str, options: &str, parent: &str, size: Option<&str>) {
    let mut arguments = vec!["create", "-q", "-f", "vmdk", "-o", options, "-b", parent, "-F", "vmdk", name];
    arguments.extend(size);
    run(folder, "qemu-img", &arguments);
}

/// Runs qemu-io commands on a disk.
pub fn io(folder: &Path, name: &str, commands: &[&str]) {
    let mut arguments = vec!["-f", "vmdk"];
    for command in commands {
        arguments.extend(["-c", command]);
    }
    arguments.push(name);
    run(folder, "qemu-io", &arguments);
}

/// What qemu reads from a disk, as a raw file.
pub fn to_raw(folder: &Path, name: &str, raw: &str) {
    run(folder, "qemu-img", &["convert", "-f", "vmdk", "-O", "raw", name, raw]);
}

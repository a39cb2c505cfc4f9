//! Decides between hardware acceleration and translation by trying.
//!
//! That `/dev/kvm` exists and opens proves nothing: nested virtualisation often aborts qemu or hangs the guest. So a boot sector
//! is started under KVM, and only when its words arrive on the serial line is KVM used. The answer is kept for the machine's
//! uptime in `$XDG_RUNTIME_DIR/vmdk2kvm`, where there is one.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vmdk2kvm_plugin_api::{PluginError, Result, tracing};

use crate::command::Accelerator;
use crate::machine::Running;
use crate::sector::{Output, Then, boot_sector};

/// A working KVM takes half a second.
const PATIENCE: Duration = Duration::from_secs(6);
const WORDS: &str = "vmdk2kvm: kvm runs";

/// Chooses by a kept answer or a probe. `folder` is a private folder of this run.
pub fn choose(program: &Path, folder: &Path, stop: &dyn Fn() -> bool) -> Result<Accelerator> {
    let (key, kept) = (key(program), kept_at());
    if let Some(answer) = kept.as_deref().and_then(|kept| recall(kept, &key)) {
        return Ok(answer);
    }
    let answer = match probe(program, folder, stop) {
        Ok(()) => Accelerator::Kvm,
        Err(error) if error.kind == vmdk2kvm_plugin_api::ErrorKind::Interrupted => return Err(error),
        Err(error) => {
            tracing::info!("hardware acceleration does not run a guest here, using translation: {error}");
            Accelerator::Tcg
        }
    };
    if let Some(kept) = kept {
        // Losing the answer costs a probe.
        let _ = keep(&kept, &key, answer);
    }
    Ok(answer)
}

/// Starts a boot sector under KVM and waits for its words.
fn probe(program: &Path, folder: &Path, stop: &dyn Fn() -> bool) -> Result<()> {
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .map_err(|error| PluginError::from_io("/dev/kvm", &error))?;
    let disk = folder.join("probe.img");
    fs::write(&disk, boot_sector(Output::Serial, WORDS.as_bytes(), Then::Halt))
        .map_err(|error| PluginError::from_io(disk.display(), &error))?;
    let drive = json!({
        "driver": "raw", "node-name": "disk", "read-only": true,
        "file": { "driver": "file", "filename": disk, "read-only": true },
    });
    let arguments: Vec<String> = [
        "-no-user-config",
        "-nodefaults",
        "-machine",
        "q35",
        "-accel",
        "kvm",
        "-cpu",
        "host",
        "-m",
        "64",
        "-display",
        "none",
        "-chardev",
        "socket,id=monitor,fd=0",
        "-mon",
        "chardev=monitor,mode=control",
        "-chardev",
        "socket,id=console,fd=1",
        "-serial",
        "chardev:console",
        "-blockdev",
        &drive.to_string(),
        "-device",
        "virtio-blk-pci,drive=disk",
    ]
    .map(str::to_owned)
    .to_vec();
    let begin = Instant::now();
    let mut machine = Running::start(program, &arguments, stop)?;
    let mut heard = Vec::new();
    let mut buffer = [0; 1024];
    while begin.elapsed() < PATIENCE && heard.len() < 1 << 16 {
        let read = machine.console(&mut buffer);
        heard.extend_from_slice(&buffer[..read]);
        if heard.windows(WORDS.len()).any(|part| part == WORDS.as_bytes()) {
            return Ok(());
        }
        if let Some(words) = machine.died() {
            return Err(PluginError::missing(words));
        }
        if stop() {
            return Err(PluginError::interrupted());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(PluginError::missing(format!("the probe said nothing within {} s", PATIENCE.as_secs())))
}

/// What an answer depends on: this boot of the machine, and the program.
fn key(program: &Path) -> Value {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let found = if program.components().count() > 1 {
        Some(program.to_owned())
    } else {
        std::env::var_os("PATH")
            .and_then(|path| std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.exists()))
    };
    let stamp =
        found.as_deref().and_then(|path| fs::metadata(path).ok()).map(|data| (data.ino(), data.size(), data.mtime()));
    json!({ "boot": boot.trim(), "user": rustix::process::geteuid().as_raw(), "program": found, "stamp": stamp })
}

fn kept_at() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR")?);
    folder.is_absolute().then(|| folder.join("vmdk2kvm/accelerator.json"))
}

fn recall(kept: &Path, key: &Value) -> Option<Accelerator> {
    let kept: Value = serde_json::from_slice(&fs::read(kept).ok()?).ok()?;
    match (kept.get("key") == Some(key), kept["accelerator"].as_str()) {
        (true, Some("kvm")) => Some(Accelerator::Kvm),
        (true, Some("tcg")) => Some(Accelerator::Tcg),
        _ => None,
    }
}

/// Written beside and renamed, so that nobody reads half of it.
fn keep(kept: &Path, key: &Value, answer: Accelerator) -> std::io::Result<()> {
    let folder = kept.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let beside = kept.with_extension(format!("{}.part", std::process::id()));
    let text = json!({ "key": key, "accelerator": answer.name() }).to_string();
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    fs::rename(&beside, kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_for_the_same_machine_and_program() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("deep/accelerator.json");
        let (one, other) = (json!({ "boot": "1" }), json!({ "boot": "2" }));
        assert_eq!(recall(&kept, &one), None);
        keep(&kept, &one, Accelerator::Tcg).unwrap();
        assert_eq!(recall(&kept, &one), Some(Accelerator::Tcg));
        assert_eq!(recall(&kept, &other), None);
        keep(&kept, &other, Accelerator::Kvm).unwrap();
        assert_eq!(recall(&kept, &other), Some(Accelerator::Kvm));
        fs::write(&kept, "{").unwrap();
        assert_eq!(recall(&kept, &other), None);
    }
}

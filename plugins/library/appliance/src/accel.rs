//! Whether this machine's KVM really runs a guest.
//!
//! `/dev/kvm` may exist, open, even make a processor, and the hypervisor still abort in `kvm_buf_set_msrs` or hang: nested
//! virtualisation and sandboxes do that. So a guest of 160 bytes is started, which has to switch to 64-bit mode with paging and
//! end the machine by itself. That takes well under a tenth of a second either way. The answer is kept until the next start of
//! this machine, for the case in which only the time-out ends the probe.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use vmdk2kvm_plugin_api::tracing;

use crate::private_dir;

/// How the appliance is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// Hardware virtualisation.
    Kvm,
    /// Emulation.
    Tcg,
}

/// Longest wait for the tiny guest. It needs 50 ms, and a second or more on a machine that is busy; where KVM hangs, the wait is once a boot.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The tiny guest, made from `accel/long-mode.S`.
const CODE: &[u8; 160] = include_bytes!("accel/long-mode.bin");
/// Its exit status: isa-debug-exit gives `value << 1 | 1` for the 0x2a it writes.
const REACHED: i32 = 0x2a << 1 | 1;

/// What to run the appliance with.
pub fn choose(hypervisor: &str, work_dir: &Path) -> Accel {
    if cfg!(not(target_arch = "x86_64")) || !Path::new("/dev/kvm").exists() {
        return Accel::Tcg;
    }
    let key = key(hypervisor);
    let file = private_dir::runtime().map(|folder| folder.join("guestfs-kvm"));
    if let (Some(key), Some(file)) = (&key, &file) {
        if let Some(known) = recall(file, key) {
            return known;
        }
    }
    let begin = Instant::now();
    let accel = if runs(hypervisor, "kvm", work_dir) { Accel::Kvm } else { Accel::Tcg };
    tracing::debug!(?accel, milliseconds = begin.elapsed().as_millis() as u64, "probed KVM with a tiny guest");
    if let (Some(key), Some(file)) = (&key, &file) {
        // Losing the answer only costs the next run a probe.
        let _ = remember(file, key, accel);
    }
    accel
}

/// What the answer depends on: this start of the machine, the hypervisor's file, and who asks.
fn key(hypervisor: &str) -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let meta = fs::metadata(hypervisor).ok()?;
    let kvm = fs::metadata("/dev/kvm").ok()?;
    Some(format!("{} {hypervisor} {} {} {:o}", boot.trim(), meta.size(), meta.mtime(), kvm.mode()))
}

fn recall(file: &Path, key: &str) -> Option<Accel> {
    if !private_dir::trusted(file) {
        return None;
    }
    let text = fs::read_to_string(file).ok()?;
    let (accel, of) = text.trim_end().split_once(' ')?;
    match accel {
        _ if of != key => None,
        "kvm" => Some(Accel::Kvm),
        "tcg" => Some(Accel::Tcg),
        _ => None,
    }
}

fn remember(file: &Path, key: &str, accel: Accel) -> std::io::Result<()> {
    let word = if accel == Accel::Kvm { "kvm" } else { "tcg" };
    let part = file.with_extension(format!("{}.part", std::process::id()));
    let mut out = fs::File::create(&part)?;
    writeln!(out, "{word} {key}")?;
    fs::rename(part, file)
}

/// Starts the tiny guest and sees whether it reaches its end.
fn runs(hypervisor: &str, accel: &str, work_dir: &Path) -> bool {
    let Ok(mut firmware) = tempfile::NamedTempFile::new_in(work_dir) else { return false };
    // The processor starts 16 bytes before the end, in the last 64 KiB of the first MiB after this jump.
    let mut image = vec![0u8; 0x1_0000];
    image[..CODE.len()].copy_from_slice(CODE);
    image[0xfff0..0xfff5].copy_from_slice(&[0xea, 0x00, 0x00, 0x00, 0xf0]);
    if firmware.write_all(&image).is_err() {
        return false;
    }
    let child = Command::new(hypervisor)
        .args(["-accel", accel, "-machine", "pc", "-cpu", if accel == "kvm" { "host" } else { "max" }])
        .args(["-m", "16", "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-bios"])
        .arg(firmware.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    let begin = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.code() == Some(REACHED),
            Ok(None) if begin.elapsed() < TIMEOUT => std::thread::sleep(Duration::from_millis(5)),
            _ => {
                // Best effort: it may have ended just now.
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QEMU: &str = "/usr/bin/qemu-system-x86_64";

    #[test]
    fn the_tiny_guest_reaches_its_end_where_a_guest_can_run() {
        let folder = tempfile::tempdir().unwrap();
        assert!(runs(QEMU, "tcg", folder.path()), "emulation runs everywhere; requires qemu-system-x86");
    }

    #[test]
    fn what_is_no_hypervisor_runs_nothing_and_hangs_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        assert!(!runs("/bin/true", "kvm", folder.path()));
        assert!(!runs("/nonexistent", "kvm", folder.path()));
        assert!(begin.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn an_answer_is_believed_only_for_the_same_machine_start_and_program() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("answer");
        assert_eq!(recall(&file, "k"), None);
        remember(&file, "k", Accel::Kvm).unwrap();
        assert_eq!(recall(&file, "k"), Some(Accel::Kvm));
        assert_eq!(recall(&file, "other"), None);
    }
}

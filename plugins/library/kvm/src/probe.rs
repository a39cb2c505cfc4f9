//! A guest of 160 bytes, which has to switch to 64-bit mode with paging and to end the machine by itself. That takes well under a tenth of a
//! second, whether it gets there or not; where KVM hangs, it is ended.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use vmdk2kvm_child::{Failure, Limits, run};

use crate::Accelerator;

/// Longest wait for the tiny guest. It needs 50 ms, and a second or more on a machine that is busy; where KVM hangs, the wait is once a boot.
const PATIENCE: Duration = Duration::from_secs(5);
/// The tiny guest, made from `long-mode.S`.
const CODE: &[u8; 160] = include_bytes!("long-mode.bin");
/// Its exit status: isa-debug-exit gives `value << 1 | 1` for the 0x2a it writes.
const REACHED: i32 = 0x2a << 1 | 1;

/// What became of the tiny guest.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It reached its end.
    Runs,
    /// It did not; what was seen instead.
    Fails(String),
    /// It could not be started.
    NotTried(String),
    /// The user wants to stop.
    Stopped,
}

/// Starts the tiny guest and sees whether it reaches its end.
pub fn probe(program: &Path, accelerator: Accelerator, folder: &Path, stop: &dyn Fn() -> bool) -> Outcome {
    // The processor starts 16 bytes before the end, in the last 64 KiB of the first MiB after this jump.
    let mut image = vec![0u8; 0x1_0000];
    image[..CODE.len()].copy_from_slice(CODE);
    image[0xfff0..0xfff5].copy_from_slice(&[0xea, 0x00, 0x00, 0x00, 0xf0]);
    let firmware =
        match tempfile::NamedTempFile::new_in(folder).and_then(|mut file| file.write_all(&image).map(|()| file)) {
            Ok(firmware) => firmware,
            Err(error) => return Outcome::NotTried(format!("{}: {error}", folder.display())),
        };
    let cpu = if accelerator == Accelerator::Kvm { "host" } else { "max" };
    let mut command = Command::new(program);
    command
        .args(["-accel", accelerator.name(), "-machine", "pc", "-cpu", cpu])
        .args(["-m", "16", "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-bios"])
        .arg(firmware.path())
        .env("LC_ALL", "C");
    match run(&mut command, &Limits { time: Some(PATIENCE), stop }, |_, _| ()) {
        Ok(ended) if ended.status.code() == Some(REACHED) => Outcome::Runs,
        Ok(ended) => {
            let last = ended.stderr.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no word");
            Outcome::Fails(format!("{} ({})", last.escape_debug(), ended.status))
        }
        Err(Failure::Late(time)) => Outcome::Fails(format!("it was not there within {} s", time.as_secs())),
        Err(Failure::Stopped) => Outcome::Stopped,
        Err(Failure::Start(error) | Failure::Streams(error)) => {
            Outcome::NotTried(format!("{}: {error}", program.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(program: &str, accelerator: Accelerator) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        let outcome = probe(Path::new(program), accelerator, folder.path(), &|| false);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something is left");
        outcome
    }

    #[test]
    fn the_tiny_guest_reaches_its_end_where_a_guest_can_run() {
        let outcome = tried("qemu-system-x86_64", Accelerator::Tcg);
        assert_eq!(outcome, Outcome::Runs, "emulation runs everywhere; requires qemu-system-x86");
    }

    #[test]
    fn what_runs_no_guest_is_told_from_what_was_not_tried() {
        let failed = Outcome::Fails("no word (exit status: 0)".to_owned());
        assert_eq!(tried("true", Accelerator::Kvm), failed);
        let missing = Outcome::NotTried("/nonexistent: No such file or directory (os error 2)".to_owned());
        assert_eq!(tried("/nonexistent", Accelerator::Kvm), missing);
        let folder = Path::new("/nonexistent");
        let outcome = probe(Path::new("true"), Accelerator::Kvm, folder, &|| false);
        assert!(matches!(&outcome, Outcome::NotTried(why) if why.starts_with("/nonexistent: ")), "{outcome:?}");
    }

    #[test]
    fn a_user_who_wants_to_stop_waits_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("hangs");
        std::fs::write(&script, "#!/bin/sh\nexec sleep 600\n").unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(probe(&script, Accelerator::Kvm, folder.path(), &|| true), Outcome::Stopped);
    }
}

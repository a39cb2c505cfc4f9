//! Machines of boot tests whose runs are gone. None should be left: a daemon ends them with their connection, a guard those of a driver inside
//! of the run. Where both died, the next test names them.

use std::fs;
use std::path::Path;

use vmdk2kvm_libvirt::trial::PREFIX;

/// A machine that is left.
#[derive(Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Its process.
    pub process: u32,
    /// Its name.
    pub name: String,
}

impl Leftover {
    /// All of this machine, as far as this user sees them.
    pub fn all() -> Vec<Self> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        processes.filter_map(Self::of).collect()
    }

    fn of(process: u32) -> Option<Self> {
        let words = fs::read(format!("/proc/{process}/cmdline")).ok()?;
        let name = trial_name(&words)?;
        let owner = owner(&name)?;
        (!Path::new("/proc").join(owner.to_string()).exists()).then_some(Self { process, name })
    }

    /// As a warning.
    pub fn warning(&self) -> String {
        let Self { process, name } = self;
        format!("the machine {name} of a boot test that died is still there: kill {process}")
    }
}

/// The name of a machine of a test with these arguments: `guest=NAME,...` behind `-name`.
fn trial_name(arguments: &[u8]) -> Option<String> {
    let words = arguments.split(|byte| *byte == 0);
    let word = words.filter_map(|word| word.strip_prefix(b"guest=")).next()?;
    let name = word.split(|byte| *byte == b',').next()?;
    let name = std::str::from_utf8(name).ok()?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    (name.starts_with(PREFIX) && name.chars().all(plain)).then(|| name.to_owned())
}

/// The process of the run that a name tells.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_machine_is_known_by_its_name_and_its_run() {
        let line = |name: &str| format!("/usr/bin/qemu\0-name\0guest={name},debug-threads=on\0-S\0").into_bytes();
        assert_eq!(trial_name(&line("vmdk2kvm-test-77-ab")).as_deref(), Some("vmdk2kvm-test-77-ab"));
        assert_eq!(owner("vmdk2kvm-test-77-ab"), Some(77));
        for other in ["web", "vmdk2kvm-test-\u{1b}", "my-vmdk2kvm-test-1-a"] {
            assert_eq!(trial_name(&line(other)), None);
        }
    }

    #[test]
    fn one_is_left_only_when_its_run_is_gone() {
        // A stand-in: a process with such a word among its arguments.
        let start = |owner: u32| {
            let word = format!("guest={PREFIX}{owner}-zz");
            Command::new("sh").args(["-c", "while :; do sleep 1; done", "x", &word]).spawn().unwrap()
        };
        let mut gone = Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let (mut left, mut owned) = (start(gone.id()), start(std::process::id()));
        // Between its start and its exec a process has our arguments.
        while Leftover::of(left.id()).is_none() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let all = Leftover::all();
        let name = format!("{PREFIX}{}-zz", gone.id());
        let found = all.iter().find(|leftover| leftover.process == left.id()).unwrap();
        assert_eq!(
            found.warning(),
            format!("the machine {name} of a boot test that died is still there: kill {}", left.id())
        );
        assert!(all.iter().all(|leftover| leftover.process != owned.id()));
        for process in [&mut left, &mut owned] {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

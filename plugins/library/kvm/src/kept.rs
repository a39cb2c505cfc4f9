//! The answer of a probe, kept for as long as it is true: until this machine starts again, or has another qemu.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use vmdk2kvm_private_folder as private_folder;

use crate::Accelerator;

/// Where an answer is kept, and what it depends on.
pub struct Kept {
    file: PathBuf,
    key: String,
}

impl Kept {
    /// The place for answers about this program; `None` when there is no program, or no place.
    pub fn of(program: &Path) -> Option<Self> {
        Some(Self { file: private_folder::runtime()?.join("kvm"), key: key(program)? })
    }

    /// The kept answer.
    pub fn recall(&self) -> Option<Accelerator> {
        if !private_folder::trusted(&self.file) {
            return None;
        }
        let text = fs::read_to_string(&self.file).ok()?;
        let (answer, key) = text.trim_end().split_once(' ')?;
        if key != self.key {
            return None;
        }
        [Accelerator::Kvm, Accelerator::Tcg].into_iter().find(|one| one.name() == answer)
    }

    /// Keeps an answer. Written beside and renamed, so that nobody reads half of it.
    pub fn remember(&self, answer: Accelerator) -> std::io::Result<()> {
        let beside = self.file.with_extension(format!("{}.part", std::process::id()));
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        writeln!(file, "{} {}", answer.name(), self.key)?;
        fs::rename(&beside, &self.file)
    }
}

/// This start of the machine, the program's file, who asks, and who may use KVM.
fn key(program: &Path) -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let program = found(program)?;
    let meta = fs::metadata(&program).ok()?;
    let kvm = fs::metadata("/dev/kvm").ok()?;
    let user = rustix::process::geteuid().as_raw();
    let stamp = format!("{} {} {}", meta.ino(), meta.size(), meta.mtime());
    Some(format!("{} {user} {:o} {stamp} {}", boot.trim(), kvm.mode(), program.to_string_lossy().escape_debug()))
}

/// The file of a program: a name is looked up on `PATH`.
fn found(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return Some(program.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_believed_only_for_the_same_machine_start_and_program() {
        let folder = tempfile::tempdir().unwrap();
        let kept = |key: &str| Kept { file: folder.path().join("kvm"), key: key.to_owned() };
        let (one, other) = (kept("boot-1 qemu"), kept("boot-2 qemu"));
        assert_eq!(one.recall(), None);
        one.remember(Accelerator::Tcg).unwrap();
        assert_eq!((one.recall(), other.recall()), (Some(Accelerator::Tcg), None));
        other.remember(Accelerator::Kvm).unwrap();
        assert_eq!((one.recall(), other.recall()), (None, Some(Accelerator::Kvm)));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something is left");
        fs::write(&one.file, "maybe boot-1 qemu\n").unwrap();
        assert_eq!(one.recall(), None);
        fs::write(&one.file, "kvm").unwrap();
        assert_eq!(one.recall(), None);
    }

    #[test]
    fn what_others_can_write_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept { file: folder.path().join("kvm"), key: "k".to_owned() };
        kept.remember(Accelerator::Kvm).unwrap();
        fs::set_permissions(&kept.file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        assert_eq!(kept.recall(), None);
    }

    #[test]
    fn a_program_is_found_on_the_path_or_is_none() {
        assert!(found(Path::new("sh")).unwrap().is_absolute());
        assert_eq!(found(Path::new("no-such-program")), None);
        assert_eq!(key(Path::new("/no/such/program")), None);
    }
}

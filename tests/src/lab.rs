//! The lab's guests: real ones, built by tests/lab from Debian's packages and cached.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::turn::Turn;

/// A guest of the lab.
pub struct LabGuest {
    /// Its folder in the cache.
    pub folder: PathBuf,
    /// Its name.
    pub name: String,
    facts: BTreeMap<String, String>,
    turn: Option<Arc<Turn>>,
}

/// The guest of this name, to be opened and booted: waits until it is this test's turn, which lasts until the guest is dropped, and all
/// that was booted of it. Built when it is not cached.
pub fn lab(name: &str) -> LabGuest {
    let guest = lab_files(name);
    let turn = Turn::take(guest.folder.parent().unwrap());
    LabGuest { turn: Some(Arc::new(turn)), ..guest }
}

/// The guest of this name for a test that has only to do with its files, beside others that use it.
pub fn lab_files(name: &str) -> LabGuest {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("lab/guest");
    let output = Command::new(&script).arg(name).stderr(std::process::Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{} {name} failed: {}", script.display(), output.status);
    let folder = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let text = std::fs::read_to_string(folder.join("guest.env")).unwrap();
    let facts = text.lines().filter_map(|line| line.split_once('=')).map(|(key, value)| (key.into(), value.into()));
    LabGuest { name: name.to_owned(), facts: facts.collect(), turn: None, folder }
}

impl LabGuest {
    /// The test's turn, to be held longer than the guest.
    pub(crate) fn turn(&self) -> Option<Arc<Turn>> {
        self.turn.clone()
    }

    /// A fact of `guest.env`.
    pub fn fact(&self, key: &str) -> &str {
        &self.facts[key]
    }

    /// A fact of `guest.env` that not every guest has.
    pub fn find_fact(&self, key: &str) -> Option<&str> {
        self.facts.get(key).map(String::as_str)
    }

    /// What `migrate` needs to open the guest's encrypted disk; nothing when it has none.
    pub fn key(&self) -> Vec<String> {
        let key = self.folder.join("key");
        if key.is_file() { vec!["--key".to_owned(), format!("all:file:{}", key.display())] } else { Vec::new() }
    }

    /// The VMX of a packaging: `sparse`, `chain`, `stream`.
    pub fn vmx(&self, packaging: &str) -> String {
        self.folder.join(packaging).join(format!("{}.vmx", self.name)).to_str().unwrap().to_owned()
    }

    /// SHA-256 of every file of a packaging, by name.
    pub fn digests(&self, packaging: &str) -> BTreeMap<String, String> {
        let entries = std::fs::read_dir(self.folder.join(packaging)).unwrap();
        entries
            .map(|entry| {
                let path = entry.unwrap().path();
                (path.file_name().unwrap().to_string_lossy().into_owned(), digest(&path))
            })
            .collect()
    }
}

/// SHA-256 of a file.
pub fn digest(path: &Path) -> String {
    let (mut file, mut digest) = (File::open(path).unwrap(), Sha256::new());
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).unwrap();
        if read == 0 {
            return format!("{:x}", digest.finalize());
        }
        digest.update(&buffer[..read]);
    }
}

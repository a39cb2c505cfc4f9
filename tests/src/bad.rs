//! The plugin that misbehaves (tests/bad-plugins), alone beside a copy of the program, or in a folder of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use object::read::elf::{ElfFile64, FileHeader};
use object::{Endianness, Object, ObjectSection};
use tempfile::TempDir;

use crate::program::{binary, example};

/// Name of the ELF section with a plugin's manifest.
const SECTION: &str = ".vmdk2kvm.plugin";

/// The library, where cargo built it.
pub fn misbehaving() -> PathBuf {
    example("misbehaves")
}

/// A new folder that only its owner can write to, as plugins need it.
pub fn private_folder() -> TempDir {
    tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap()
}

/// A folder with the program and the misbehaving plugin, which alone can do every stage of `bad:vm`.
pub fn lone_program() -> TempDir {
    let folder = private_folder();
    fs::copy(binary(), folder.path().join("vmdk2kvm")).unwrap();
    fs::copy(misbehaving(), folder.path().join("libbad.so")).unwrap();
    folder
}

/// The bytes of a plugin's library, to be broken.
pub struct Library(Vec<u8>);

impl Library {
    /// Reads a library.
    pub fn read(path: &Path) -> Self {
        Self(fs::read(path).unwrap())
    }

    /// Writes it as `folder/name`, and returns the path.
    pub fn write(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.canonicalize().unwrap().join(name);
        fs::write(&path, &self.0).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        path
    }

    /// Replaces every occurrence of a text by another of the same length; there must be one.
    pub fn replace(mut self, old: &str, new: &str) -> Self {
        assert_eq!(old.len(), new.len());
        let places: Vec<usize> =
            (0..self.0.len() - old.len()).filter(|at| self.0[*at..].starts_with(old.as_bytes())).collect();
        assert!(!places.is_empty(), "the library does not hold {old}");
        places.into_iter().for_each(|at| self.0[at..at + new.len()].copy_from_slice(new.as_bytes()));
        self
    }

    /// Sets bytes.
    pub fn set(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Cuts it short.
    pub fn truncate(mut self, length: usize) -> Self {
        self.0.truncate(length);
        self
    }

    /// Length in bytes.
    pub fn length(&self) -> usize {
        self.0.len()
    }

    /// Makes the section header of the manifest point to a changed copy at the end of the file: the code keeps the true one.
    pub fn other_manifest(mut self, old: &str, new: &str) -> Self {
        let file = ElfFile64::<Endianness>::parse(&*self.0).unwrap();
        let section = file.section_by_name(SECTION).unwrap();
        let text = std::str::from_utf8(section.data().unwrap()).unwrap().replace(old, new);
        // A section header has 64 bytes; its offset is at 24 and its size at 32 (ELF-64 object file format, section 5).
        let header = file.elf_header().e_shoff(file.endian()) as usize + section.index().0 * 64;
        let at = self.0.len() as u64;
        self.0.extend_from_slice(text.as_bytes());
        self.set(header + 24, &at.to_le_bytes()).set(header + 32, &(text.len() as u64).to_le_bytes())
    }
}

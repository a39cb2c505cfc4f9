//! What an ELF file says of itself, read without running it: is it a library for this machine, what does it need, and the manifest.

use std::fs::File;

use object::read::elf::{Dyn, FileHeader, SectionHeader, SectionTable};
use object::{Endianness, ReadCache, ReadRef, elf};
use vmdk2kvm_plugin_api::{MANIFEST_SECTION, Manifest, PluginError, Result};

use super::gate;

/// No plugin is larger than this, in bytes.
const LIBRARY_LIMIT: u64 = 512 << 20;
/// No manifest is larger than this, in bytes.
const MANIFEST_LIMIT: u64 = 1 << 20;

/// A shared object that claims to be a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedObject {
    /// Its manifest; `None` for a library that is no plugin of ours.
    pub manifest: Option<Manifest>,
    /// Libraries that the loader needs for it (`DT_NEEDED`).
    pub needed: Vec<String>,
}

impl SharedObject {
    /// Reads an opened file: its headers and two sections, not the rest, which with debug information is a hundred times larger.
    pub fn read(file: &mut File) -> Result<Self> {
        let size = file.metadata().map_err(|error| PluginError::from_io("its file", &error))?.len();
        if size > LIBRARY_LIMIT {
            return Err(PluginError::missing(format!("it is larger than {} MiB", LIBRARY_LIMIT >> 20)));
        }
        Self::parse(&ReadCache::new(file))
    }

    fn parse<'data>(file: impl ReadRef<'data>) -> Result<Self> {
        let broken = |error: object::Error| PluginError::missing(format!("it is not a whole ELF file: {error}"));
        let start = file.read_bytes_at(0, 20).unwrap_or_default();
        if start.len() < 20 || &start[..4] != b"\x7fELF" {
            return Err(PluginError::missing("it is not an ELF file"));
        }
        if start[4] != elf::ELFCLASS64 {
            return Err(PluginError::missing("it is not a 64-bit library"));
        }
        let machine = u16::from_le_bytes([start[18], start[19]]);
        let (ours, name) = this_machine();
        if machine != ours {
            return Err(PluginError::missing(format!(
                "it was built for another machine (ELF machine {machine}), not for {name}"
            )));
        }
        let header = Header::parse(file).map_err(broken)?;
        let endian = header.endian().map_err(broken)?;
        if header.e_type(endian) != elf::ET_DYN {
            return Err(PluginError::missing("it is not a shared library"));
        }
        let sections = header.sections(endian, file).map_err(broken)?;
        let manifest = match sections.section_by_name(endian, MANIFEST_SECTION.as_bytes()) {
            Some((_, section)) if section.sh_size(endian) > MANIFEST_LIMIT => {
                let message = format!("its manifest is larger than {} KiB", MANIFEST_LIMIT >> 10);
                return Err(PluginError::missing(message));
            }
            Some((_, section)) => {
                let data = section.data(endian, file).map_err(broken)?;
                Some(Manifest::parse(data).map_err(|error| of_another_contract(data).unwrap_or(error))?)
            }
            None => None,
        };
        Ok(Self { manifest, needed: needed(endian, &sections, file).map_err(broken)? })
    }
}

type Header = elf::FileHeader64<Endianness>;

/// A manifest of a contract that this host does not serve may hold words that it does not know: the version is what is wrong with it.
fn of_another_contract(manifest: &[u8]) -> Option<PluginError> {
    #[derive(serde::Deserialize)]
    struct Built {
        api: semver::Version,
    }
    let built: Built = serde_json::from_slice(manifest).ok()?;
    gate::check(&built.api).err()
}

fn needed<'data, R: ReadRef<'data>>(
    endian: Endianness,
    sections: &SectionTable<'data, Header, R>,
    file: R,
) -> Result<Vec<String>, object::Error> {
    let Some((entries, strings)) = sections.dynamic(endian, file)? else { return Ok(Vec::new()) };
    let strings = sections.strings(endian, file, strings)?;
    let needed = entries.iter().filter(|entry| entry.tag32(endian) == Some(elf::DT_NEEDED));
    Ok(needed
        .filter_map(|entry| strings.get(entry.val32(endian)?).ok())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect())
}

const fn this_machine() -> (u16, &'static str) {
    if cfg!(target_arch = "x86_64") {
        (elf::EM_X86_64, "x86_64")
    } else if cfg!(target_arch = "aarch64") {
        (elf::EM_AARCH64, "aarch64")
    } else if cfg!(target_arch = "riscv64") {
        (elf::EM_RISCV, "riscv64")
    } else if cfg!(target_arch = "s390x") {
        (elf::EM_S390, "s390x")
    } else {
        (elf::EM_PPC64, "ppc64")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_named_before_words_of_a_later_contract() {
        let manifest = |api: &str| format!(r#"{{"schema":2,"api":"{api}","kinds":["teleporter"]}}"#);
        let error = of_another_contract(manifest("1.9.0").as_bytes()).unwrap();
        assert_eq!(error.message, "it needs plugin API 1.9.0, this host has 1.0.0");
        assert_eq!(of_another_contract(manifest("1.0.0").as_bytes()), None);
    }

    #[test]
    fn says_why_a_file_is_no_plugin() {
        let mut this = std::fs::read("/proc/self/exe").unwrap();
        let refused = |bytes: &[u8]| SharedObject::parse(bytes).unwrap_err().message;
        assert_eq!(refused(b""), "it is not an ELF file");
        assert_eq!(refused(b"#!/bin/sh\nexit 0\n\n\n\n\n"), "it is not an ELF file");
        assert!(refused(&this[..4096]).starts_with("it is not a whole ELF file"));
        let whole = SharedObject::parse(this.as_slice()).unwrap();
        assert_eq!(whole.manifest, None);
        assert!(whole.needed.iter().any(|name| name.starts_with("libc.so")), "{:?}", whole.needed);
        this[18] = 0xf3;
        assert!(refused(&this).starts_with("it was built for another machine (ELF machine 243)"));
        this[4] = 1;
        assert_eq!(refused(&this), "it is not a 64-bit library");
    }
}

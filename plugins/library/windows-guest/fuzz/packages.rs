//! What must hold of every answer about driver packages: INF files, catalogues, ISO images.

use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, ErrorKind, Result};
use vmdk2kvm_windows_guest::catalogue::{Catalogue, FileDigests};
use vmdk2kvm_windows_guest::inf::Inf;
use vmdk2kvm_windows_guest::iso::Iso;
use vmdk2kvm_windows_guest::version::{Architecture, ProductType, Windows};

/// A refusal is one printable line about the input.
fn answered<T>(answer: Result<T>) -> Option<T> {
    answer
        .map_err(|error| {
            let printable = error.message.chars().all(|char| !char.is_control());
            assert!(printable && error.message.len() < 64 << 10, "not a sentence to show: {:?}", error.message);
            assert_ne!(error.kind, ErrorKind::Defect, "{error}");
        })
        .ok()
}

const SYSTEMS: [Windows; 4] = [
    Windows::new(7601, ProductType::Client, Architecture::X86),
    Windows::new(9600, ProductType::Client, Architecture::Amd64),
    Windows::new(20348, ProductType::Server, Architecture::Amd64),
    Windows::new(26200, ProductType::Client, Architecture::Arm64),
];

/// Asks an INF everything, for several systems. No file of it lies outside of its package.
pub fn inf(bytes: &[u8]) {
    let Some(inf) = answered(Inf::parse("x.inf", bytes)) else { return };
    inf.driver_version().map(|version| version.filetime());
    let _ = (inf.class(), inf.class_guid(), inf.provider(), inf.targets(), inf.strings());
    for windows in &SYSTEMS {
        inf.catalogue(windows.architecture);
        for file in answered(inf.files(windows)).unwrap_or_default() {
            assert!(!file.starts_with('/') && file.split('/').all(|part| part != ".."), "{file}");
        }
        for model in answered(inf.models(windows)).unwrap_or_default().iter().take(20) {
            let Some(install) = answered(inf.install(&model.install, windows)) else { continue };
            for value in install.services.iter().flat_map(|service| &service.registry).chain(&install.hardware) {
                value.data.stored();
            }
        }
    }
}

/// Reads a catalogue and judges it for several systems.
pub fn catalogue(bytes: &[u8]) {
    let Some(catalogue) = answered(Catalogue::parse("x.cat", bytes)) else { return };
    catalogue.systems();
    catalogue.member(&FileDigests::of(bytes));
    for windows in &SYSTEMS {
        for secure_boot in [false, true] {
            catalogue.loads_on(windows, secure_boot);
        }
    }
}

/// Lists an image and reads its small files. Every path stays below the root.
pub fn iso(bytes: &[u8]) {
    let Some(iso) = answered(Iso::open("x.iso", Arc::new(Memory(bytes.into())))) else { return };
    for file in iso.files() {
        assert!(file.path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{:?}", file.path);
        assert_eq!(file.extents.iter().map(|(_, length)| length).sum::<u64>(), file.size);
        if file.size <= 64 << 10 {
            let content = answered(iso.read(file)).expect("a file that was listed");
            assert_eq!(content.len() as u64, file.size);
        }
    }
}

struct Memory(Arc<[u8]>);

impl BlockSource for Memory {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let end = offset.checked_add(buffer.len() as u64).expect("an offset that wraps around");
        assert!(end <= self.size(), "a read past the end of the image");
        buffer.copy_from_slice(&self.0[offset as usize..end as usize]);
        Ok(buffer.len())
    }
}

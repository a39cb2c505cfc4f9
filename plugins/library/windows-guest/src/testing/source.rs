//! A fake virtio-win: folders of fake drivers in the real one's layouts, and an ISO file of them.

use std::fs;
use std::path::Path;

use super::catalogues::{SignedBy, catalogue};
use super::infs::{DRIVERS, FakeDriver};
use super::program::program;
use super::tools::run;
use crate::catalogue::DigestAlgorithm;
use crate::version::Architecture;

/// The drivers for one Windows and one architecture.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    /// The folder's name: `w10`.
    pub os: &'static str,
    /// For what it is.
    pub architecture: Architecture,
    /// The version behind the architecture in its INF files: `6.1`, `10.0...16299`.
    pub version: &'static str,
    /// In whose name it is signed.
    pub signed: SignedBy,
    /// How.
    pub algorithm: DigestAlgorithm,
    /// `OSAttr` of its catalogues.
    pub systems: &'static str,
}

const fn release(os: &'static str, architecture: Architecture, version: &'static str, signed: SignedBy) -> Release {
    let (algorithm, systems) = match version.as_bytes() {
        [b'6', _, b'1'] => (DigestAlgorithm::Sha1, "2:6.1"),
        [b'6', _, b'3'] => (DigestAlgorithm::Sha256, "2:6.3"),
        _ => (DigestAlgorithm::Sha256, "2:10.0"),
    };
    Release { os, architecture, version, signed, algorithm, systems }
}

/// As recent builds are: signed by Microsoft for 10 and later, by nobody but the maker for 8.1 and 2012 R2; from older builds for 7.
pub const RECENT: [Release; 13] = [
    release("w7", Architecture::X86, "6.1", SignedBy::CrossSigned),
    release("w7", Architecture::Amd64, "6.1", SignedBy::CrossSigned),
    release("2k8R2", Architecture::Amd64, "6.1", SignedBy::CrossSigned),
    release("w8.1", Architecture::Amd64, "6.3", SignedBy::SelfSigned),
    release("2k12R2", Architecture::Amd64, "6.3", SignedBy::SelfSigned),
    release("w10", Architecture::X86, "10.0", SignedBy::Microsoft),
    release("w10", Architecture::Amd64, "10.0", SignedBy::Microsoft),
    release("w10", Architecture::Arm64, "10.0", SignedBy::Microsoft),
    release("w11", Architecture::Amd64, "10.0...16299", SignedBy::Microsoft),
    release("2k16", Architecture::Amd64, "10.0", SignedBy::Microsoft),
    release("2k19", Architecture::Amd64, "10.0", SignedBy::Microsoft),
    release("2k22", Architecture::Amd64, "10.0", SignedBy::Microsoft),
    release("2k25", Architecture::Amd64, "10.0...16299", SignedBy::Microsoft),
];

/// As builds were before 2021: those for 7 to 2012 R2 load.
pub const OLDER: [Release; 5] = [
    release("w7", Architecture::Amd64, "6.1", SignedBy::CrossSigned),
    release("w7", Architecture::X86, "6.1", SignedBy::CrossSigned),
    release("w8.1", Architecture::Amd64, "6.3", SignedBy::CrossSigned),
    release("2k12R2", Architecture::Amd64, "6.3", SignedBy::CrossSigned),
    release("w10", Architecture::Amd64, "10.0", SignedBy::CrossSigned),
];

/// How the folders lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// `Driver/OS/ARCH`.
    Iso,
    /// `drivers/by-driver/Driver/OS/ARCH`.
    ByDriver,
    /// `drivers/by-os/ARCH/OS`.
    ByOs,
    /// `amd64/OS`, `i386/OS`; of an ISO file only the disk drivers lie there.
    Short,
}

/// How the INF files are encoded: one after the other.
type Encode = fn(&str) -> Vec<u8>;
const ENCODINGS: [Encode; 3] = [
    |text| text.as_bytes().to_vec(),
    |text| ["\u{feff}", text].concat().into_bytes(),
    |text| "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect(),
];

/// Writes a source of these releases into a folder: every fake driver with INF, catalogue, program and symbols, and the guest agent's installers.
pub fn source(folder: &Path, layout: Layout, releases: &[Release]) {
    for release in releases {
        for (number, driver) in DRIVERS.iter().enumerate() {
            let Release { os, architecture, .. } = release;
            let arch = match architecture {
                Architecture::X86 => "x86",
                Architecture::Amd64 => "amd64",
                Architecture::Arm64 => "ARM64",
            };
            let place = match layout {
                Layout::Iso => format!("{}/{os}/{arch}", driver.folder),
                Layout::ByDriver => format!("drivers/by-driver/{}/{os}/{arch}", driver.folder),
                Layout::ByOs => format!("drivers/by-os/{arch}/{os}"),
                Layout::Short => format!("{}/{os}", arch.replace("x86", "i386")),
            };
            package(&folder.join(place), driver, release, ENCODINGS[number % ENCODINGS.len()]);
        }
    }
    for name in ["qemu-ga-x86_64.msi", "qemu-ga-i386.msi"] {
        write(&folder.join("guest-agent").join(name), b"an installer that installs nothing");
    }
    write(&folder.join("virtio-win_license.txt"), b"a fake");
}

fn package(folder: &Path, driver: &FakeDriver, release: &Release, encode: Encode) {
    let Release { architecture, version, signed, algorithm, systems, .. } = *release;
    let inf = encode(&driver.inf(&format!("{architecture}.{version}")));
    let mut files = vec![(format!("{}.inf", driver.stem), inf)];
    if driver.has_program {
        files.push((format!("{}.sys", driver.stem), program(architecture, driver.stem.as_bytes())));
    }
    match driver.stem {
        "netkvm" => files.push(("netkvmco.dll".to_owned(), program(architecture, b"helper"))),
        "balloon" | "vioser" => files.push(("WdfCoInstaller01009.dll".to_owned(), program(architecture, b"wdf"))),
        _ => {}
    }
    let listed: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    write(&folder.join(format!("{}.cat", driver.stem)), &catalogue(signed, algorithm, systems, &listed));
    for (name, bytes) in &files {
        write(&folder.join(name), bytes);
    }
    write(&folder.join(format!("{}.pdb", driver.stem)), b"symbols");
}

fn write(path: &Path, bytes: &[u8]) {
    let folder = path.parent().expect("a file in a folder");
    fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Makes an ISO file of a folder, with Rock Ridge and Joliet as the real one has them.
pub fn iso(folder: &Path, file: &Path) {
    let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
    let (file, folder) = (text(file), text(folder));
    run("xorriso", &["-as", "mkisofs", "-quiet", "-R", "-J", "-V", "virtio-win", "-o", &file, &folder], b"");
}

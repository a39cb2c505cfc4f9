//! Hives that Windows made, where they are: they belong to others and are not in the tree.

use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use liblzma::read::XzDecoder;

use super::{Replayed, replay};

/// The undamaged ones that no log belongs to.
pub const SOUND: [&str; 8] = [
    "BCD-win10-uefi",
    "BCD-winpe-uefi",
    "SYSTEM-win10-18362-x64-vmware",
    "SYSTEM-win10-19041-x64-vmware-nvme",
    "SYSTEM-win7-x86-vmware",
    "SYSTEM-win81-x64-virtualbox",
    "hive-bigdata",
    "hive-nthive-test",
];

/// The hive or log of this name; `None` says on standard error how to get it.
pub fn real(name: &str) -> Option<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let folder = env::var_os("VMDK2KVM_HIVES").map_or_else(|| root.join("../shared/data/windows"), PathBuf::from);
    let path = folder.join(format!("{name}.xz"));
    if !path.exists() && fs::metadata(&folder).is_ok() {
        panic!("{} is missing", path.display());
    }
    if !path.exists() {
        eprintln!("{name} was not tested: set VMDK2KVM_HIVES to the folder with hives of Windows");
        return None;
    }
    let mut bytes = Vec::new();
    XzDecoder::new(File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

/// The same of one of [`SOUND`], with equal sequence numbers.
pub fn sound(name: &str) -> Option<Vec<u8>> {
    let bytes = real(name)?;
    match replay(&bytes, &[]).unwrap() {
        Replayed::Settled { hive } => Some(hive),
        _ => Some(bytes),
    }
}

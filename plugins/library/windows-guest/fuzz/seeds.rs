//! Writes the seed corpus: `corpus/TARGET/N` beside this file, hives and logs of both kinds.

use std::path::Path;

use vmdk2kvm_plugin_api::model::{RegistryEdit, RegistryValue};
use vmdk2kvm_windows_guest::hive::{build, edit, empty};

fn main() -> std::io::Result<()> {
    let made = build(targets::TEXT).map_err(std::io::Error::other)?;
    let big = RegistryEdit::new("D", "big", None, Some(RegistryValue::new(3, &[7; 20_000])));
    let big = edit(made.clone(), &[big]).map_err(std::io::Error::other)?;
    let sequence = u32::from_le_bytes([made[8], made[9], made[10], made[11]]);
    let log = |kind: u8, first: u32, body: &[u8]| {
        let mut log = made[..512].to_vec();
        log[28] = kind;
        log[4..8].copy_from_slice(&first.to_le_bytes());
        log.copy_within(4..8, 8);
        targets::sealed(&[&log, body].concat())
    };
    // One page: the first bin.
    let numbers = [4608, 0, sequence, 4096, 1].map(u32::to_le_bytes).concat();
    let pair = [0, 4096].map(u32::to_le_bytes).concat();
    let mut entry = [b"HvLE", numbers.as_slice(), &[0; 16], &pair, &made[4096..8192]].concat();
    entry.resize(4608, 0);
    let map = [b"DIRT".as_slice(), &[0xff], &[0; 507], &made[4096..8192]].concat();
    write("hive", &[empty(), made.clone(), big])?;
    write("log", &[targets::hashed(&log(6, sequence, &entry)), log(1, sequence + 1, &map)])
}

fn write(target: &str, seeds: &[Vec<u8>]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(number.to_string()), seed)?;
    }
    Ok(())
}

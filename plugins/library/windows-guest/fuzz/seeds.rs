//! Writes the seed corpus: `corpus/TARGET/N` beside this file: hives and logs of both kinds, and the fake packages of the library's tests.

use std::path::Path;

use vmdk2kvm_plugin_api::model::{RegistryEdit, RegistryValue};
use vmdk2kvm_windows_guest::catalogue::DigestAlgorithm;
use vmdk2kvm_windows_guest::hive::{build, edit, empty};
use vmdk2kvm_windows_guest::testing::{SignedBy, catalogue, infs, run};

fn main() -> std::io::Result<()> {
    hives()?;
    packages()
}

fn hives() -> std::io::Result<()> {
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
    write("hive", [empty(), made.clone(), big].into_iter())?;
    let bcd = build(targets::BCD).map_err(std::io::Error::other)?;
    write("bcd", [bcd].into_iter())?;
    write("log", [targets::hashed(&log(6, sequence, &entry)), log(1, sequence + 1, &map)].into_iter())
}

fn packages() -> std::io::Result<()> {
    let infs = infs::DRIVERS.iter().map(|driver| driver.inf("amd64.6.1"));
    let wide = |text: &String| text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    write("inf", infs.flat_map(|text| [wide(&text), text.into_bytes()]))?;
    let signers = [SignedBy::Microsoft, SignedBy::CrossSigned, SignedBy::SelfSigned, SignedBy::UnknownIssuer];
    let files: &[(&str, &[u8])] = &[("x.inf", b"inf"), ("x.sys", b"sys")];
    let all = signers.into_iter().flat_map(|by| [(by, DigestAlgorithm::Sha1), (by, DigestAlgorithm::Sha256)]);
    write("catalogue", all.map(|(by, algorithm)| catalogue(by, algorithm, "2:6.1,2:10.0", files)))?;
    let folder = tempfile::tempdir()?;
    std::fs::create_dir_all(folder.path().join("NetKVM/w10"))?;
    std::fs::write(folder.path().join("NetKVM/w10/netkvm.inf"), "inf")?;
    let kinds: [&[&str]; 3] = [&["-R"], &["-J"], &["-iso-level", "1"]];
    let images = kinds.map(|kind| {
        let out = folder.path().with_extension("iso");
        let paths = [out.to_str(), folder.path().to_str()].map(|path| path.expect("a path in UTF-8"));
        run("genisoimage", &[&["-quiet", "-no-pad"], kind, &["-o"], &paths].concat(), b"");
        let image = std::fs::read(&out);
        std::fs::remove_file(&out).and(image)
    });
    write("iso", images.into_iter().collect::<std::io::Result<Vec<_>>>()?.into_iter())
}

fn write(target: &str, seeds: impl Iterator<Item = Vec<u8>>) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    for (number, seed) in seeds.enumerate() {
        std::fs::write(folder.join(number.to_string()), seed)?;
    }
    Ok(())
}

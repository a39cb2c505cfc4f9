//! Writes the seed corpus: `corpus/TARGET/N` beside this file, from the fakes of the library's tests.

use std::path::Path;

use vmdk2kvm_windows_guest::catalogue::DigestAlgorithm;
use vmdk2kvm_windows_guest::testing::{SignedBy, catalogue, infs, run};

fn main() -> std::io::Result<()> {
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

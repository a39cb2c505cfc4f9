//! Digests: a file that differs from its manifest fails, whatever reads it.

use sha2::{Digest, Sha256, Sha512};

use crate::documents::{disk, usual};
use crate::support::{Lab, hex, usual_folder};

/// A manifest of these files by this algorithm.
pub fn manifest(lab: &Lab, folder: &str, algorithm: &str, names: &[&str]) -> String {
    let line = |name: &&str| {
        let content = lab.read(&format!("{folder}/{name}"));
        let digest = match algorithm {
            "SHA1" => hex(&sha1::Sha1::digest(&content)),
            "SHA256" => hex(&Sha256::digest(&content)),
            _ => hex(&Sha512::digest(&content)),
        };
        format!("{algorithm}({name})= {digest}\n")
    };
    names.iter().map(line).collect()
}

const ALL: [&str; 3] = ["web.ovf", "web-disk1.vmdk", "web-disk2.vmdk"];

#[test]
fn right_digests_of_every_algorithm_are_verified() {
    for algorithm in ["SHA1", "SHA256", "SHA512"] {
        let lab = Lab::new();
        usual_folder(&lab, "in");
        lab.file("in/web.mf", manifest(&lab, "in", algorithm, &ALL));
        lab.run("in", "tar -cf ../web.ova web.ovf web.mf web-disk1.vmdk web-disk2.vmdk")
            .run("in", "tar -czf ../web.tar.gz .");
        for name in ["in", "in/web.ovf", "web.ova", "web.tar.gz"] {
            let vm = lab.describe(name, None).unwrap();
            for disk in &vm.disks {
                assert!(lab.verify(name, disk).unwrap(), "{name}");
            }
        }
    }
}

#[test]
fn a_wrong_digest_names_the_file_and_both_digests() {
    let lab = Lab::new();
    usual_folder(&lab, "in");
    lab.file("in/web.mf", manifest(&lab, "in", "SHA256", &ALL));
    let mut torn = disk(2);
    torn[100_000] ^= 1;
    let (right, wrong) = (hex(&Sha256::digest(disk(2))), hex(&Sha256::digest(&torn)));
    lab.file("in/web-disk2.vmdk", torn).run("in", "tar -cf ../web.ova .");
    let vm = lab.describe("web.ova", None).unwrap();
    assert!(lab.verify("web.ova", &vm.disks[0]).unwrap());
    let error = lab.verify("web.ova", &vm.disks[1]).unwrap_err();
    assert!(error.message.ends_with(&format!("/web.ova/web-disk2.vmdk: {wrong} is not {right}")), "{error}");
    // The description itself is refused before it is read.
    lab.file("in/web.ovf", usual("ovf:href=\"web-disk1.vmdk\"", "ovf:href=\"web-disk1.vmdk\""));
    let (code, message) = lab.refusal("in");
    assert_eq!(code, 65);
    assert!(message.starts_with("DIR/in/web.ovf: its SHA256 is "), "{message}");
}

#[test]
fn digests_of_compressed_and_chunked_disks_are_those_of_the_stored_files() {
    let lab = Lab::new();
    lab.file("in/a.vmdk", disk(1))
        .file("in/b.vmdk", disk(2))
        .run("in", "gzip -n b.vmdk")
        .run("in", "split -b 60000 -d -a 9 a.vmdk a.vmdk.");
    std::fs::remove_file(lab.root().join("in/a.vmdk")).unwrap();
    lab.file(
        "in/web.ovf",
        usual("ovf:href=\"a.vmdk\" ovf:chunkSize=\"60000\"", "ovf:href=\"b.vmdk.gz\" ovf:compression=\"gzip\""),
    );
    let names = ["web.ovf", "a.vmdk.000000000", "a.vmdk.000000001", "a.vmdk.000000002", "b.vmdk.gz"];
    let right = manifest(&lab, "in", "SHA1", &names);
    for (manifest, verifies) in
        [(right.clone(), [true, true]), (right.replacen("0002)= ", "0002)= 00", 1), [true, true])]
    {
        lab.file("in/web.mf", manifest).run("in", "tar -cf ../web.ova .");
        let vm = lab.describe("web.ova", None).unwrap();
        let verified: Vec<_> = vm.disks.iter().map(|disk| lab.verify("web.ova", disk).unwrap()).collect();
        assert_eq!(verified, verifies);
    }
    // A line with too many digits is no digest and only warned of; one that is whole and wrong fails, for its own disk alone.
    let at = right.find("0002)= ").unwrap() + "0002)= ".len();
    let other = if &right[at..=at] == "0" { "1" } else { "0" };
    let wrong = format!("{}{other}{}", &right[..at], &right[at + 1..]);
    lab.file("in/web.mf", wrong).run("in", "tar -cf ../web.ova .");
    let vm = lab.describe("web.ova", None).unwrap();
    let error = lab.verify("web.ova", &vm.disks[0]).unwrap_err();
    assert!(error.message.contains("web.ova/a.vmdk.000000002: "), "{error}");
    assert!(lab.verify("web.ova", &vm.disks[1]).unwrap());
}

#[test]
fn digests_of_some_parts_do_not_prove_the_whole() {
    let lab = Lab::new();
    lab.file("in/a.vmdk", disk(1)).file("in/b.vmdk", disk(2)).run("in", "split -b 60000 -d -a 9 a.vmdk a.vmdk.");
    std::fs::remove_file(lab.root().join("in/a.vmdk")).unwrap();
    let ovf = |size: &str| usual(&format!("ovf:href=\"a.vmdk\" ovf:chunkSize=\"60000\"{size}"), "ovf:href=\"b.vmdk\"");
    for (size, refused) in [(format!(" ovf:size=\"{}\"", disk(1).len()), true), (String::new(), false)] {
        lab.file("in/a.vmdk.000000002", &disk(1)[120_000..]).file("in/web.ovf", ovf(&size));
        let names = ["web.ovf", "a.vmdk.000000000", "a.vmdk.000000001", "a.vmdk.000000002", "b.vmdk"];
        lab.file("in/web.mf", manifest(&lab, "in", "SHA256", &names));
        let vm = lab.describe("in", None).unwrap();
        assert!(lab.verify("in", &vm.disks[0]).unwrap());
        std::fs::remove_file(lab.root().join("in/a.vmdk.000000002")).unwrap();
        if refused {
            let (code, message) = lab.refusal("in");
            assert_eq!(code, 65);
            let expected = format!("its file 'a.vmdk' has 120000 bytes, and the OVF says {}", disk(1).len());
            assert!(message.ends_with(&expected), "{message}");
        } else {
            let error = lab.verify("in", &vm.disks[0]).unwrap_err();
            let expected = "/in/a.vmdk: its part 'a.vmdk.000000002' is in the manifest, and not there";
            assert!(error.message.ends_with(expected), "{error}");
        }
    }
}

#[test]
fn without_a_manifest_nothing_is_verified() {
    let lab = Lab::new();
    usual_folder(&lab, "in");
    let vm = lab.describe("in", None).unwrap();
    assert!(!lab.verify("in", &vm.disks[0]).unwrap());
    lab.file("disk.raw", [7; 4096]);
    let vm = lab.describe("disk.raw", None).unwrap();
    assert!(!lab.verify("disk.raw", &vm.disks[0]).unwrap());
}

//! Catalogues with real keys, certificates and signatures, made by openssl for this test. The names in them are all that is Microsoft's.

use std::sync::OnceLock;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::der::{integer, octets, oid, sequence, set, tlv, utf16, wide};
use super::tools::run;
use crate::catalogue::DigestAlgorithm;

/// In whose name a catalogue is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignedBy {
    /// As Microsoft's publisher of drivers is named, and its issuer.
    Microsoft,
    /// A maker of drivers, as a public issuer would have certified it.
    CrossSigned,
    /// A maker of drivers that vouches for itself.
    SelfSigned,
    /// A maker whose issuer nobody knows.
    UnknownIssuer,
}

/// Certificates, the signer's first, and the file of its key.
struct Identity {
    certificates: Vec<Vec<u8>>,
    /// Serial number and issuer of the signer's certificate, in DER.
    serial: Vec<u8>,
    issuer: Vec<u8>,
    key: String,
    _folder: tempfile::TempDir,
}

impl SignedBy {
    /// The signer's name, and its issuer's if that is another.
    const fn names(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Microsoft => (
                "/O=Microsoft Corporation/CN=Microsoft Windows Hardware Compatibility Publisher",
                Some("/O=Microsoft Corporation/CN=Microsoft Windows Third Party Component CA 2014"),
            ),
            Self::CrossSigned => {
                ("/O=Red Hat, Inc./CN=Red Hat, Inc.", Some("/O=DigiCert Inc/CN=DigiCert Assured ID Code Signing CA-1"))
            }
            Self::SelfSigned => ("/CN=Red Hat, Inc.", None),
            Self::UnknownIssuer => ("/CN=Red Hat, Inc.", Some("/O=Somewhere/CN=A CA of our own")),
        }
    }

    /// Made once per test program.
    fn identity(self) -> &'static Identity {
        static IDENTITIES: [OnceLock<Identity>; 4] = [const { OnceLock::new() }; 4];
        IDENTITIES[self as usize].get_or_init(|| Identity::new(self))
    }
}

impl Identity {
    fn new(by: SignedBy) -> Self {
        let folder = tempfile::tempdir().expect("a folder for keys");
        let path = |name: &str| folder.path().join(name).to_str().expect("a path in UTF-8").to_owned();
        let (key, root, root_key) = (path("key"), path("root"), path("root-key"));
        let (subject, issuer) = by.names();
        let request = |subject: &str, key: &str, rest: &[&str]| {
            let fixed = ["req", "-newkey", "rsa:2048", "-noenc", "-subj", subject, "-keyout", key];
            run("openssl", &[&fixed, rest].concat(), b"")
        };
        let certificates = match issuer {
            None => vec![request(subject, &key, &["-x509", "-days", "30", "-outform", "DER"])],
            Some(issuer) => {
                let pem = request(issuer, &root_key, &["-x509", "-days", "30"]);
                std::fs::write(&root, &pem).expect("a file of a certificate");
                let wanted = request(subject, &key, &[]);
                let arguments =
                    ["x509", "-req", "-CA", &root, "-CAkey", &root_key, "-set_serial", "7", "-outform", "DER"];
                vec![run("openssl", &arguments, &wanted), run("openssl", &["x509", "-outform", "DER"], &pem)]
            }
        };
        let [serial, issuer] = serial_and_issuer(&certificates[0]);
        Self { certificates, serial, issuer, key, _folder: folder }
    }
}

/// A catalogue in this name: digests of `algorithm`, for these systems (`2:6.1,2:6.3`; empty: not said), of these files with their names.
pub fn catalogue(by: SignedBy, algorithm: DigestAlgorithm, systems: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    message(by, algorithm, &oid("1.3.6.1.4.1.311.10.1"), &list(algorithm, systems, files))
}

/// A signed message around any content: its type and the content are in DER.
pub fn message(by: SignedBy, algorithm: DigestAlgorithm, kind: &[u8], content: &[u8]) -> Vec<u8> {
    let identity = by.identity();
    // The digest is of the content without tag and length.
    let header = if content[1] < 0x80 { 2 } else { 2 + usize::from(content[1] & 0x7f) };
    let stated = attribute("1.2.840.113549.1.9.4", &octets(&digest(algorithm, &content[header..])));
    let attributes = [attribute("1.2.840.113549.1.9.3", kind), stated];
    let attributes: Vec<&[u8]> = attributes.iter().map(Vec::as_slice).collect();
    let name = if algorithm == DigestAlgorithm::Sha1 { "-sha1" } else { "-sha256" };
    let signature = run("openssl", &["dgst", name, "-sign", &identity.key], &set(&attributes));
    let info = sequence(&[
        &integer(1),
        &sequence(&[&identity.issuer, &identity.serial]),
        &algorithm_id(algorithm),
        &tlv(0xa0, &attributes),
        &sequence(&[&oid("1.2.840.113549.1.1.1"), &[5, 0]]),
        &octets(&signature),
    ]);
    let certificates: Vec<&[u8]> = identity.certificates.iter().map(Vec::as_slice).collect();
    let data = sequence(&[
        &integer(1),
        &set(&[&algorithm_id(algorithm)]),
        &sequence(&[kind, &tlv(0xa0, &[content])]),
        &tlv(0xa0, &certificates),
        &set(&[&info]),
    ]);
    sequence(&[&oid("1.2.840.113549.1.7.2"), &tlv(0xa0, &[&data])])
}

/// The list of files that is signed.
fn list(algorithm: DigestAlgorithm, systems: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let members = files.iter().map(|(name, content)| {
        let digests = image_or_whole(algorithm, content);
        let tag: String = digests.iter().map(|byte| format!("{byte:02X}")).collect();
        let data = sequence(&[
            &sequence(&[&oid("1.3.6.1.4.1.311.2.1.25")]),
            &sequence(&[&algorithm_id(algorithm), &octets(&digests)]),
        ]);
        let mut attributes = vec![attribute("1.3.6.1.4.1.311.12.2.1", &name_value("File", name))];
        if !systems.is_empty() {
            attributes.push(attribute("1.3.6.1.4.1.311.12.2.1", &name_value("OSAttr", systems)));
        }
        attributes.push(attribute("1.3.6.1.4.1.311.2.1.4", &data));
        let attributes: Vec<&[u8]> = attributes.iter().map(Vec::as_slice).collect();
        sequence(&[&octets(&utf16(&tag)), &set(&attributes)])
    });
    let members: Vec<Vec<u8>> = members.collect();
    let members: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
    let hardware = sequence(&[&oid("1.3.6.1.4.1.311.12.2.1"), &octets(&name_value("HWID1", "pci\\ven_1af4&dev_1001"))]);
    sequence(&[
        &sequence(&[&oid("1.3.6.1.4.1.311.12.1.1")]),
        &octets(&[7; 16]),
        &tlv(0x17, &[b"200101000000Z"]),
        &sequence(&[&oid("1.3.6.1.4.1.311.12.1.2"), &[5, 0]]),
        &sequence(&members),
        &tlv(0xa0, &[&sequence(&[&hardware])]),
    ])
}

fn attribute(kind: &str, value: &[u8]) -> Vec<u8> {
    sequence(&[&oid(kind), &set(&[value])])
}

fn name_value(name: &str, value: &str) -> Vec<u8> {
    sequence(&[&wide(name), &tlv(2, &[&[0x10, 0x01, 0x00, 0x01]]), &octets(&utf16(value))])
}

fn algorithm_id(algorithm: DigestAlgorithm) -> Vec<u8> {
    let name = if algorithm == DigestAlgorithm::Sha1 { "1.3.14.3.2.26" } else { "2.16.840.1.101.3.4.2.1" };
    sequence(&[&oid(name), &[5, 0]])
}

fn digest(algorithm: DigestAlgorithm, bytes: &[u8]) -> Vec<u8> {
    match algorithm {
        DigestAlgorithm::Sha1 => Sha1::digest(bytes).to_vec(),
        _ => Sha256::digest(bytes).to_vec(),
    }
}

/// Of a fake program its image: everything but the checksum and the entry of the signatures, since it is not signed.
fn image_or_whole(algorithm: DigestAlgorithm, content: &[u8]) -> Vec<u8> {
    if !content.starts_with(b"MZ") {
        return digest(algorithm, content);
    }
    let optional = 0x40 + 24;
    let entry = optional + if content[optional + 1] == 1 { 96 } else { 112 } + 32;
    let mut image = content.to_vec();
    image.drain(entry..entry + 8);
    image.drain(optional + 64..optional + 68);
    digest(algorithm, &image)
}

/// Serial number and issuer of a certificate, in DER; the algorithm lies between them.
fn serial_and_issuer(certificate: &[u8]) -> [Vec<u8>; 2] {
    fn split(bytes: &[u8]) -> (&[u8], &[u8], &[u8]) {
        let (header, length) = match bytes[1] {
            short @ 0..0x80 => (2, usize::from(short)),
            long => {
                let count = usize::from(long & 0x7f);
                (2 + count, bytes[2..2 + count].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
            }
        };
        (&bytes[..header + length], &bytes[header..header + length], &bytes[header + length..])
    }
    let (_, body, _) = split(certificate);
    let (_, mut rest, _) = split(body);
    // A certificate of the first version does not say so.
    if rest[0] == 0xa0 {
        rest = split(rest).2;
    }
    let (serial, _, rest) = split(rest);
    let (issuer, _, _) = split(split(rest).2);
    [serial.to_vec(), issuer.to_vec()]
}

//! Catalogues that openssl signed for this test.

use super::*;
use crate::testing::{SignedBy, catalogue, message, program};
use crate::version::{Architecture, ProductType, Windows};

use DigestAlgorithm::{Sha1, Sha256};

const W7: Windows = Windows::new(7601, ProductType::Client, Architecture::Amd64);
const W7X86: Windows = Windows::new(7601, ProductType::Client, Architecture::X86);
const S2008: Windows = Windows::new(6003, ProductType::Server, Architecture::Amd64);
const S2012R2: Windows = Windows::new(9600, ProductType::Server, Architecture::Amd64);
const W81: Windows = Windows::new(9600, ProductType::Client, Architecture::Amd64);
const W10: Windows = Windows::new(19045, ProductType::Client, Architecture::Amd64);
const W10X86: Windows = Windows::new(19045, ProductType::Client, Architecture::X86);
const W11: Windows = Windows::new(26100, ProductType::Client, Architecture::Amd64);

fn signed(by: SignedBy, algorithm: DigestAlgorithm, systems: &str) -> Catalogue {
    Catalogue::parse("x.cat", &catalogue(by, algorithm, systems, &[("x.inf", b"inf")])).unwrap()
}

#[test]
fn who_signed_what() {
    for (by, subject, issuer, trust) in [
        (
            SignedBy::Microsoft,
            "Microsoft Windows Hardware Compatibility Publisher",
            "Microsoft Windows Third Party Component CA 2014",
            Trust::Microsoft,
        ),
        (SignedBy::CrossSigned, "Red Hat, Inc.", "DigiCert Assured ID Code Signing CA-1", Trust::CrossSigned),
        (SignedBy::SelfSigned, "Red Hat, Inc.", "Red Hat, Inc.", Trust::SelfSigned),
        (SignedBy::UnknownIssuer, "Red Hat, Inc.", "A CA of our own", Trust::Unknown),
    ] {
        for algorithm in [Sha1, Sha256] {
            let catalogue = signed(by, algorithm, "2:6.1,2:10.0");
            let [signer] = &catalogue.signers[..] else { panic!("{:?}", catalogue.signers) };
            let names = (signer.subject.as_ref().unwrap().common_name.as_str(), signer.issuer.common_name.as_str());
            assert_eq!(names, (subject, issuer));
            assert_eq!((signer.trust(), signer.algorithm, signer.content_is_signed), (trust, algorithm, Some(true)));
            assert_eq!(signer.is_self_signed, by == SignedBy::SelfSigned);
            assert_eq!(catalogue.systems(), ["2:6.1", "2:10.0"]);
            assert_eq!(catalogue.attributes, [("HWID1".to_owned(), "pci\\ven_1af4&dev_1001".to_owned())]);
        }
    }
}

#[test]
fn members_are_found_by_what_they_hold() {
    let driver = program(Architecture::Amd64, b"driver");
    for algorithm in [Sha1, Sha256] {
        let files: &[(&str, &[u8])] = &[("x.inf", b"[Version]"), ("x.sys", &driver)];
        let bytes = catalogue(SignedBy::SelfSigned, algorithm, "2:10.0", files);
        let catalogue = Catalogue::parse("x.cat", &bytes).unwrap();
        let name = |content: &[u8]| catalogue.member(&FileDigests::of(content)).map(|it| it.file.clone().unwrap());
        assert_eq!(name(b"[Version]").as_deref(), Some("x.inf"));
        assert_eq!(name(&driver).as_deref(), Some("x.sys"));
        assert_eq!(name(&program(Architecture::Amd64, b"another")), None);
        assert_eq!((catalogue.members[1].algorithm, catalogue.members[1].systems.as_str()), (algorithm, "2:10.0"));
    }
}

#[test]
fn which_windows_loads_it() {
    use SignedBy::{CrossSigned, Microsoft, SelfSigned, UnknownIssuer};
    let loads = "loads";
    let cases: &[(SignedBy, DigestAlgorithm, &str, Windows, bool, &str)] = &[
        (Microsoft, Sha256, "2:10.0", W10, false, loads),
        (Microsoft, Sha256, "2:10.0", W11, true, loads),
        (Microsoft, Sha256, "", W11, true, loads),
        (Microsoft, Sha256, "2:10.0", W81, false, "refused: its catalogue is for 2:10.0, not for 2:6.3"),
        (Microsoft, Sha256, "2:6.3,2:10.0", W81, true, loads),
        (Microsoft, Sha1, "2:6.1", W7, false, loads),
        (Microsoft, Sha256, "2:6.1", W7, false, "if: the update KB3033929, since its catalogue is signed with SHA-256"),
        (
            Microsoft,
            Sha256,
            "",
            W7,
            false,
            "refused: Microsoft Windows Hardware Compatibility Publisher signed it for no particular system, which only Windows 10 \
             and later accept",
        ),
        (CrossSigned, Sha1, "2:6.1", W7, false, loads),
        (
            CrossSigned,
            Sha256,
            "2:6.1",
            W7,
            false,
            "if: the update KB3033929, since its catalogue is signed with SHA-256",
        ),
        (
            CrossSigned,
            Sha256,
            "2:6.0",
            S2008,
            false,
            "if: the update KB4474419, since its catalogue is signed with SHA-256",
        ),
        (CrossSigned, Sha256, "2:6.3", S2012R2, false, loads),
        (CrossSigned, Sha256, "2:6.3", W81, true, loads),
        (CrossSigned, Sha256, "2:10.0", W10, false, loads),
        (
            CrossSigned,
            Sha256,
            "2:10.0",
            W10,
            true,
            "refused: Red Hat, Inc. signed it, and with Secure Boot only Microsoft's signature counts",
        ),
        (
            SelfSigned,
            Sha256,
            "2:6.3",
            W81,
            false,
            "refused: its signature by Red Hat, Inc. is self-signed: Windows would stop with 0xC0000428",
        ),
        (SelfSigned, Sha256, "2:6.1", W7X86, false, loads),
        (
            SelfSigned,
            Sha256,
            "2:10.0",
            W10X86,
            true,
            "refused: its signature by Red Hat, Inc. is self-signed: Windows would stop with 0xC0000428",
        ),
        (SelfSigned, Sha256, "2:6.3", W7X86, false, "refused: its catalogue is for 2:6.3, not for 2:6.1"),
        (
            UnknownIssuer,
            Sha256,
            "2:10.0",
            W10,
            false,
            "refused: Red Hat, Inc. signed it, issued by A CA of our own, which Windows does not trust: it would stop with 0xC0000428",
        ),
    ];
    for (by, algorithm, systems, windows, secure_boot, expected) in cases {
        let verdict = match signed(*by, *algorithm, systems).loads_on(windows, *secure_boot) {
            Verdict::Loads => loads.to_owned(),
            Verdict::LoadsIf { needs } => format!("if: {needs}"),
            Verdict::Refused { reason } => format!("refused: {reason}"),
        };
        assert_eq!(verdict, *expected, "{by:?} {algorithm} {systems} on {windows}, {secure_boot}");
    }
}

#[test]
fn a_list_that_was_changed_after_signing_is_told() {
    let mut bytes = catalogue(SignedBy::Microsoft, Sha256, "2:10.0", &[("x.inf", b"inf")]);
    let at = bytes.windows(10).position(|part| part == b"x\0.\0i\0n\0f\0").unwrap();
    bytes[at] = b'y';
    let changed = Catalogue::parse("x.cat", &bytes).unwrap();
    assert_eq!(changed.signers[0].content_is_signed, Some(false));
    let reason = "its catalogue was changed after it was signed".to_owned();
    assert_eq!(changed.loads_on(&W10, false), Verdict::Refused { reason });
}

#[test]
fn a_message_around_something_else_lists_no_file() {
    let data = [&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1][..], &[4, 3, 1, 2, 3]];
    let other = Catalogue::parse("x.cat", &message(SignedBy::SelfSigned, Sha256, data[0], data[1])).unwrap();
    assert!(other.members.is_empty() && other.systems().is_empty());
    assert_eq!(other.signers[0].content_is_signed, Some(true));
}

#[test]
fn what_openssl_itself_signs_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (key, certificate) = (path("key"), path("certificate"));
    let request = ["req", "-x509", "-newkey", "rsa:2048", "-noenc", "-subj", "/CN=Somebody", "-keyout", &key, "-out"];
    crate::testing::run("openssl", &[&request[..], &[certificate.as_str()]].concat(), b"");
    let sign = ["-sign", "-signer", &certificate, "-inkey", &key, "-nodetach", "-binary", "-outform", "DER"];
    for how in ["smime", "cms"] {
        let bytes = crate::testing::run("openssl", &[&[how], &sign[..]].concat(), b"any content");
        let catalogue = Catalogue::parse("x.cat", &bytes).unwrap();
        let signer = &catalogue.signers[0];
        assert_eq!(signer.subject.as_ref().unwrap().common_name, "Somebody", "{how}");
        assert_eq!((signer.content_is_signed, signer.trust()), (Some(true), Trust::SelfSigned), "{how}");
    }
}

#[test]
fn what_is_no_catalogue_is_refused() {
    let whole = catalogue(SignedBy::SelfSigned, Sha256, "", &[("x.inf", b"inf")]);
    for (bytes, why) in [
        (&b""[..], "its DER ends early"),
        (b"MZ\x90\0", "its DER ends early"),
        (b"\x30\x03\x06\x01\x2a", "it is no signed message"),
        (&whole[..whole.len() - 1], "its DER ends early"),
    ] {
        let error = Catalogue::parse("x.cat", bytes).unwrap_err();
        assert_eq!(error.message, format!("the catalogue x.cat cannot be used: {why}"));
    }
    // No cut and no flipped byte makes it panic.
    for at in 0..whole.len() {
        let _ = Catalogue::parse("x.cat", &whole[..at]);
        let mut flipped = whole.clone();
        flipped[at] ^= 0x81;
        let _ = Catalogue::parse("x.cat", &flipped);
    }
}

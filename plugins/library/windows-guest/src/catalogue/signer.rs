//! Who signed: names from the certificates that a signature carries.

use std::fmt;

use super::der::{self, CONTEXT_0, CONTEXT_1, Der, Element, INTEGER, OCTETS, OID, SEQUENCE, SET};
use super::digest::DigestAlgorithm;

const MOST_CERTIFICATES: usize = 100;
pub(super) const MOST_SIGNERS: usize = 20;

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
const NESTED_SIGNATURE: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x04, 0x01];

/// A name in a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Name {
    /// `CN`; empty when there is none.
    pub common_name: String,
    /// `O`; empty when there is none.
    pub organisation: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = if self.common_name.is_empty() { &self.organisation } else { &self.common_name };
        f.write_str(if name.is_empty() { "a signer without a name" } else { name })
    }
}

/// A signature on the catalogue. Its names are read, not proven: nothing here checks a signature against a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signer {
    /// Who signed; none when the catalogue does not carry the certificate.
    pub subject: Option<Name>,
    /// Who issued that certificate.
    pub issuer: Name,
    /// Whether the certificate was issued by its own subject.
    pub is_self_signed: bool,
    /// All issuers above it that the catalogue's certificates name, nearest first.
    pub chain: Vec<Name>,
    /// How the signed digest was made.
    pub algorithm: DigestAlgorithm,
    /// Whether the signed digest is that of the content: false when the content was changed after signing, none when it cannot be told.
    pub content_is_signed: Option<bool>,
}

/// The certificate's parts that matter.
struct Certificate<'a> {
    serial: &'a [u8],
    issuer: Element<'a>,
    subject: Element<'a>,
}

/// What a signed message holds.
pub(super) struct Signed<'a> {
    /// OID of the content, and the content in its wrapper.
    pub content: (&'a [u8], Option<Element<'a>>),
    pub signers: Vec<Signer>,
    /// Messages that a signature carries beside itself, signed again.
    pub nested: Vec<Element<'a>>,
}

/// Reads the `SignedData` of a message. `outer` is the content that a nested message signs when it has none of its own.
pub(super) fn read<'a>(data: Element<'a>, outer: Option<&'a [u8]>) -> Result<Signed<'a>, String> {
    let mut parts = data.inside();
    parts.one(INTEGER)?;
    parts.one(SET)?;
    let mut content = parts.one(SEQUENCE)?.inside();
    let kind = content.one(OID)?.body;
    let content = content.maybe(CONTEXT_0)?.map(|wrapper| wrapper.inside().any()).transpose()?;
    let certificates = parts.maybe(CONTEXT_0)?.into_iter().flat_map(|all| all.inside()).take(MOST_CERTIFICATES);
    // A certificate of another form is nobody's whose name we could tell.
    let certificates: Vec<_> = certificates.filter_map(|element| certificate(element.ok()?).ok()).collect();
    parts.maybe(CONTEXT_1)?;
    let signed = content.map(|content| content.body).or(outer);
    let (mut signers, mut nested) = (Vec::new(), Vec::new());
    for info in parts.one(SET)?.inside().take(MOST_SIGNERS) {
        signers.push(signer(info?, &certificates, signed, &mut nested)?);
    }
    Ok(Signed { content: (kind, content), signers, nested })
}

fn certificate(element: Element) -> Result<Certificate, String> {
    let mut parts = element.inside().one(SEQUENCE)?.inside();
    parts.maybe(CONTEXT_0)?;
    let serial = parts.one(INTEGER)?.body;
    parts.one(SEQUENCE)?;
    let issuer = parts.one(SEQUENCE)?;
    parts.one(SEQUENCE)?;
    Ok(Certificate { serial, issuer, subject: parts.one(SEQUENCE)? })
}

fn signer<'a>(
    info: Element<'a>,
    certificates: &[Certificate],
    content: Option<&[u8]>,
    nested: &mut Vec<Element<'a>>,
) -> Result<Signer, String> {
    let mut parts = info.inside();
    parts.one(INTEGER)?;
    let mut id = parts.one(SEQUENCE)?.inside();
    let (issuer, serial) = (id.one(SEQUENCE)?, id.one(INTEGER)?.body);
    let algorithm = DigestAlgorithm::of(parts.one(SEQUENCE)?.inside().one(OID)?.body);
    let mut stated = None;
    if let Some(attributes) = parts.maybe(CONTEXT_0)? {
        for (kind, mut values) in attributes_of(attributes)? {
            if kind == MESSAGE_DIGEST {
                stated = Some(values.one(OCTETS)?.body);
            }
        }
    }
    parts.one(SEQUENCE)?;
    parts.one(OCTETS)?;
    if let Some(attributes) = parts.maybe(CONTEXT_1)? {
        for (kind, values) in attributes_of(attributes)? {
            if kind == NESTED_SIGNATURE {
                nested.extend(values.filter_map(Result::ok).take(MOST_SIGNERS));
            }
        }
    }
    let own = certificates.iter().find(|it| it.serial == serial && it.issuer.body == issuer.body);
    let digest = content.and_then(|content| algorithm.digest(&[content]));
    Ok(Signer {
        subject: own.map(|own| name(&own.subject)),
        issuer: name(&issuer),
        is_self_signed: own.is_some_and(|own| own.subject.body == own.issuer.body),
        chain: chain(issuer, certificates),
        algorithm,
        content_is_signed: stated.zip(digest).map(|(stated, digest)| stated == digest),
    })
}

/// The issuers above, by all certificates: a root may be there signed by itself and by another one.
fn chain(issuer: Element, certificates: &[Certificate]) -> Vec<Name> {
    let mut reached = vec![issuer.body];
    let mut next = 0;
    while let Some(subject) = reached.get(next).copied() {
        for above in certificates.iter().filter(|it| it.subject.body == subject) {
            if !reached.contains(&above.issuer.body) {
                reached.push(above.issuer.body);
            }
        }
        next += 1;
    }
    reached.into_iter().map(|body| name(&Element { tag: SEQUENCE, body })).collect()
}

type Attributes<'a> = Vec<(&'a [u8], Der<'a>)>;

fn attributes_of(all: Element<'_>) -> Result<Attributes<'_>, String> {
    all.inside().take(MOST_CERTIFICATES).map(|element| attribute(element?)).collect()
}

fn attribute(element: Element<'_>) -> Result<(&[u8], Der<'_>), String> {
    let mut parts = element.inside();
    Ok((parts.one(OID)?.body, parts.one(SET)?.inside()))
}

/// A name that is not understood in a part lacks that part.
fn name(element: &Element) -> Name {
    let mut name = Name::default();
    let parts = element.inside().filter_map(Result::ok).flat_map(|set| set.inside()).filter_map(Result::ok);
    for part in parts.take(MOST_CERTIFICATES) {
        let mut part = part.inside();
        let (Ok(kind), Ok(value)) = (part.one(OID), part.any()) else { continue };
        match kind.body {
            COMMON_NAME => name.common_name = der::text(&value),
            ORGANISATION => name.organisation = der::text(&value),
            _ => {}
        }
    }
    name
}

//! The catalogue of a driver package (`.cat`): which files it vouches for, for which systems, and in whose name.
//!
//! Owns the format: a PKCS#7 message in DER around a list of files. The signature is **not** checked against a key, and no certificate against
//! its issuer: names are believed as they stand. Only the digest that was signed is compared with the content, so a damaged catalogue is told
//! from a whole one, a forged one is not.

mod der;
mod digest;
mod list;
mod signer;
#[cfg(test)]
mod tests;
mod verdict;

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

use der::{CONTEXT_0, Der, Element, OID, SEQUENCE};
pub use digest::{DigestAlgorithm, FileDigests};
pub use list::Member;
pub use signer::{Name, Signer};
pub use verdict::{Trust, Verdict};

/// The drivers' own are below 50 KiB, those of Windows below 10 MiB.
pub const LARGEST: u64 = 16 << 20;

/// Signatures that are signed again beside another one: two are usual.
const DEEPEST: usize = 4;

/// There are not so many.
const MOST_SYSTEMS: usize = 50;

const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const TRUST_LIST: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x0a, 0x01];

/// What a catalogue says.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Catalogue {
    /// Who signed it; several for one that is signed for old and new systems.
    pub signers: Vec<Signer>,
    /// The files that it vouches for. None when the signed content is no list of files: Windows takes such a catalogue for no file.
    pub members: Vec<Member>,
    /// Its attributes: `OSAttr`, `HWID1` and others.
    pub attributes: Vec<(String, String)>,
}

impl Catalogue {
    /// Reads a catalogue; `name` is for messages.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        let refuse = |why: String| {
            PluginError::unusable(format!("the catalogue {name} cannot be used: {}", escape(&why)))
                .hint("take the driver package from its source again")
        };
        if bytes.len() as u64 > LARGEST {
            return Err(refuse(format!("it is larger than {LARGEST} bytes")));
        }
        read(bytes).map_err(refuse)
    }

    /// The member that is this file.
    pub fn member(&self, file: &FileDigests) -> Option<&Member> {
        self.members.iter().find(|member| file.has(member.algorithm, &member.digest))
    }

    /// The systems that it is for, each once: those of its own attribute and of its members. Empty when it says nothing.
    pub fn systems(&self) -> Vec<String> {
        let own = self.attributes.iter().filter(|(name, _)| name.eq_ignore_ascii_case("OSAttr"));
        let all = own.map(|(_, value)| value).chain(self.members.iter().map(|member| &member.systems));
        let mut systems: Vec<String> = Vec::new();
        for system in all.flat_map(|value| value.split(',')).map(str::trim).filter(|system| !system.is_empty()) {
            if systems.len() < MOST_SYSTEMS && !systems.iter().any(|known| known == system) {
                systems.push(system.to_owned());
            }
        }
        systems
    }
}

fn read(bytes: &[u8]) -> Result<Catalogue, String> {
    let message = Der(bytes).one(SEQUENCE)?;
    let signed = signer::read(signed_data(message)?, None)?;
    let (kind, content) = signed.content;
    let list = match content {
        Some(content) if kind == TRUST_LIST => list::read(unwrapped(content))?,
        _ => list::List::default(),
    };
    let (mut signers, mut nested) = (signed.signers, signed.nested);
    for _ in 0..DEEPEST {
        let mut deeper = Vec::new();
        for message in nested {
            let again = signer::read(signed_data(message)?, content.map(|content| content.body))?;
            signers.extend(again.signers);
            // Each of them digests the content.
            if signers.len() > signer::MOST_SIGNERS {
                return Err(format!("it has more than {} signatures", signer::MOST_SIGNERS));
            }
            deeper.extend(again.nested);
        }
        nested = deeper;
    }
    Ok(Catalogue { signers, members: list.members, attributes: list.attributes })
}

fn signed_data(message: Element) -> Result<Element, String> {
    let mut parts = message.inside();
    if parts.one(OID)?.body != SIGNED_DATA {
        return Err("it is no signed message".to_owned());
    }
    parts.one(CONTEXT_0)?.inside().one(SEQUENCE)
}

/// Newer messages wrap their content in a string of bytes.
fn unwrapped(content: Element) -> Element {
    let inner = || content.inside().one(SEQUENCE).ok();
    Some(content).filter(|content| content.tag == SEQUENCE).or_else(inner).unwrap_or(content)
}

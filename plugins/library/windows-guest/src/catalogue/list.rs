//! What a catalogue lists: the certificate trust list that is signed, with its attributes and members.

use super::der::{self, CONTEXT_0, Der, Element, INTEGER, OCTETS, OID, SEQUENCE, SET, TIME, UTC_TIME};
use super::digest::DigestAlgorithm;

/// Drivers' catalogues have a dozen; those of Windows itself some thousand.
const MOST_MEMBERS: usize = 20_000;
const MOST_ATTRIBUTES: usize = 1_000;

const NAME_VALUE: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x0c, 0x02, 0x01];
const INDIRECT_DATA: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x01, 0x04];

/// A file that the catalogue vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Its name, when the catalogue says one.
    pub file: Option<String>,
    /// How its digest was made.
    pub algorithm: DigestAlgorithm,
    /// The digest of the file, or of its image when it is a program.
    pub digest: Vec<u8>,
    /// The systems that it is for, as `OSAttr` says: `2:6.1,2:10.0`. Empty when it says nothing.
    pub systems: String,
}

/// Members, and the attributes of the whole catalogue.
#[derive(Debug, Default)]
pub(super) struct List {
    pub members: Vec<Member>,
    pub attributes: Vec<(String, String)>,
}

/// Reads the list; `content` is its sequence.
pub(super) fn read(content: Element) -> Result<List, String> {
    let mut list = content.inside();
    list.maybe(INTEGER)?;
    list.one(SEQUENCE)?;
    list.maybe(OCTETS)?;
    list.maybe(INTEGER)?;
    for time in [UTC_TIME, TIME, UTC_TIME, TIME] {
        list.maybe(time)?;
    }
    list.one(SEQUENCE)?;
    let mut it = List::default();
    for member in list.maybe(SEQUENCE)?.into_iter().flat_map(|all| all.inside()) {
        if it.members.len() >= MOST_MEMBERS {
            return Err(format!("it lists more than {MOST_MEMBERS} files"));
        }
        it.members.extend(self::member(member?)?);
    }
    for extensions in list.maybe(CONTEXT_0)?.into_iter().flat_map(|all| all.inside()) {
        for extension in extensions?.inside().take(MOST_ATTRIBUTES) {
            let mut extension = extension?.inside();
            if extension.one(OID)?.body != NAME_VALUE {
                continue;
            }
            // A flag "critical" may stand between.
            while let Some(Ok(value)) = extension.next() {
                if value.tag == OCTETS {
                    it.attributes.push(name_value(&mut value.inside())?);
                }
            }
        }
    }
    Ok(it)
}

/// Nothing for a member without a digest.
fn member(element: Element) -> Result<Option<Member>, String> {
    let mut parts = element.inside();
    let tag = parts.one(OCTETS)?.body;
    let (mut file, mut systems, mut digest) = (None, String::new(), None);
    for attribute in parts.maybe(SET)?.into_iter().flat_map(|all| all.inside()).take(MOST_ATTRIBUTES) {
        let mut attribute = attribute?.inside();
        let kind = attribute.one(OID)?.body;
        let mut values = attribute.one(SET)?.inside();
        match kind {
            NAME_VALUE => match name_value(&mut values)? {
                (name, value) if name.eq_ignore_ascii_case("File") => file = Some(value),
                (name, value) if name.eq_ignore_ascii_case("OSAttr") => systems = value,
                _ => {}
            },
            INDIRECT_DATA => {
                let mut data = values.one(SEQUENCE)?.inside();
                data.one(SEQUENCE)?;
                let mut info = data.one(SEQUENCE)?.inside();
                let algorithm = DigestAlgorithm::of(info.one(SEQUENCE)?.inside().one(OID)?.body);
                digest = Some((algorithm, info.one(OCTETS)?.body.to_vec()));
            }
            _ => {}
        }
    }
    let digest = digest.or_else(|| Some((DigestAlgorithm::Other, tagged(tag)?)));
    Ok(digest.map(|(algorithm, digest)| Member { file, algorithm, digest, systems }))
}

/// The digest that a member without one is named by: its bytes, or their digits as UTF-16.
fn tagged(tag: &[u8]) -> Option<Vec<u8>> {
    if matches!(tag.len(), 20 | 32) {
        return Some(tag.to_vec());
    }
    let digits = utf16(tag);
    let pairs = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok());
    pairs.collect::<Option<Vec<u8>>>().filter(|digest| matches!(digest.len(), 20 | 32))
}

/// A name (`BMPString`), flags, and a value in UTF-16.
fn name_value(values: &mut Der) -> Result<(String, String), String> {
    let mut pair = values.one(SEQUENCE)?.inside();
    let name = der::text(&pair.any()?);
    pair.one(INTEGER)?;
    Ok((name, utf16(pair.one(OCTETS)?.body)))
}

/// UTF-16 as Windows stores it, up to its first zero.
fn utf16(bytes: &[u8]) -> String {
    let text = encoding_rs::UTF_16LE.decode_without_bom_handling(bytes).0;
    text.split('\0').next().unwrap_or_default().to_owned()
}

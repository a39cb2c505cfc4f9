//! Header extensions (section "Header extensions"): which matter here, and how they are walked without trust.

use std::collections::BTreeMap;

use vmdk2kvm_plugin_api::Result;

use crate::header::bad;

const END: u32 = 0;
/// "Backing file format name".
const BACKING_FORMAT: u32 = 0xe279_2aca;
/// "Feature name table".
const FEATURE_NAMES: u32 = 0x6803_f857;
/// The most extensions of an image; the format knows seven.
const MAX: usize = 64;
/// The longest format name.
const MAX_FORMAT: usize = 15;
/// An entry of the feature name table: type, bit, and a name of 46 bytes.
const FEATURE: usize = 48;

/// The extensions that matter here.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Format of the backing file.
    pub backing_format: Option<String>,
    /// Names of incompatible features by their bits.
    pub incompatible: BTreeMap<u32, String>,
}

/// Walks the extensions in `bytes`, which begin behind the header and end at the backing file's name or the cluster's end.
pub fn parse(bytes: &[u8]) -> Result<Extensions> {
    let mut found = Extensions::default();
    let mut rest = bytes;
    for _ in 0..MAX {
        // What is shorter than an extension's own header is padding.
        let (Some(kind), Some(length)) = (u32_at(rest, 0), u32_at(rest, 4)) else { return Ok(found) };
        if kind == END {
            return Ok(found);
        }
        let data = usize::try_from(length).ok().and_then(|length| rest.get(8..)?.get(..length)).ok_or_else(|| {
            bad(format!("header extension {kind:#010x} of {length} bytes does not fit into the first cluster"))
        })?;
        match kind {
            BACKING_FORMAT if data.len() <= MAX_FORMAT && data.iter().all(u8::is_ascii_graphic) => {
                found.backing_format = Some(String::from_utf8_lossy(data).into_owned());
            }
            BACKING_FORMAT => return Err(bad("the backing file's format is no word of at most 15 letters")),
            FEATURE_NAMES => {
                for entry in data.chunks_exact(FEATURE).filter(|entry| entry[0] == 0) {
                    let name = String::from_utf8_lossy(&entry[2..]).trim_end_matches('\0').to_owned();
                    found.incompatible.insert(u32::from(entry[1]), name);
                }
            }
            _ => {}
        }
        rest = rest.get(8 + data.len().next_multiple_of(8)..).unwrap_or_default();
    }
    Err(bad(format!("more than {MAX} header extensions")))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extension(kind: u32, length: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend(length.to_be_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    #[test]
    fn known_ones_are_read_and_others_passed_over() {
        let mut names = vec![0, 9];
        names.extend(b"strange");
        names.resize(FEATURE, 0);
        let bytes = [
            extension(0x1234, 3, b"abc"),
            extension(BACKING_FORMAT, 5, b"qcow2"),
            extension(FEATURE_NAMES, 48, &names),
            extension(END, 0, b""),
            extension(BACKING_FORMAT, 3, b"raw"),
        ]
        .concat();
        let found = parse(&bytes).unwrap();
        assert_eq!(found.backing_format.as_deref(), Some("qcow2"));
        assert_eq!(found.incompatible.get(&9).map(String::as_str), Some("strange"));
        assert_eq!(parse(&[]).unwrap(), Extensions::default());
    }

    #[test]
    fn hostile_ones_are_refused() {
        for (bytes, expected) in [
            (extension(1, 9, b""), "header extension 0x00000001 of 9 bytes does not fit into the first cluster"),
            (
                extension(1, u32::MAX, b"abc"),
                "header extension 0x00000001 of 4294967295 bytes does not fit into the first cluster",
            ),
            (extension(BACKING_FORMAT, 4, b"r\x1baw"), "the backing file's format is no word of at most 15 letters"),
            (extension(1, 0, b"").repeat(65), "more than 64 header extensions"),
        ] {
            assert_eq!(parse(&bytes).unwrap_err().message, expected);
        }
    }
}

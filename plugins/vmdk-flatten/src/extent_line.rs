//! One extent line of a descriptor: `ACCESS SECTORS TYPE ["FILE" [OFFSET [PARTITION-UUID DEVICE]]]`.
//!
//! Format: "Virtual Disk Format 5.0", section "The Extent Description", and the types that ESX adds.

use vmdk2kvm_plugin_api::Result;

use crate::fault::{EXPORT_FIRST, RENAME_FIRST, damaged, shown, unusable};
use crate::names::decode;

/// An extent as its line describes it.
#[derive(Debug, PartialEq, Eq)]
pub struct ExtentLine {
    /// Number of the line, for messages.
    pub line: usize,
    /// Length in sectors, never zero.
    pub sectors: u64,
    /// Where the bytes are.
    pub place: Place,
}

/// Where an extent's bytes are.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// `FLAT`, `VMFS`: in a file, as they are.
    Flat {
        /// Name of the file.
        name: String,
        /// Where they begin, in sectors.
        offset: u64,
    },
    /// `SPARSE`, `VMFSSPARSE`, `SESPARSE`: in a sparse file.
    Sparse {
        /// Name of the file.
        name: String,
        /// What kind of file it is.
        format: SparseFormat,
    },
    /// `ZERO`: nowhere.
    Zero,
}

/// The formats of sparse files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SparseFormat {
    /// `KDMV`: of Workstation and its kin.
    Hosted,
    /// `COWD`: snapshots on ESX.
    Cowd,
    /// seSparse: newer snapshots on ESX.
    SeSparse,
}

/// Whether a line of a descriptor is an extent's.
pub fn is_extent(line: &[u8]) -> bool {
    let first = line.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
    [&b"RW"[..], b"RDONLY", b"NOACCESS"].iter().any(|access| first.eq_ignore_ascii_case(access))
}

/// Parses an extent line.
pub fn parse(object: &str, line: usize, text: &[u8], encoding: Option<&str>) -> Result<ExtentLine> {
    let malformed = |what: &str| damaged(object, format_args!("the extent in line {line} of its descriptor {what}"));
    let (access, rest) = word(text);
    let (sectors, rest) = word(rest);
    let (kind, rest) = word(rest);
    if access.eq_ignore_ascii_case(b"NOACCESS") {
        return Err(unusable(
            object,
            format_args!(
                "the extent in line {line} of its descriptor is marked NOACCESS: its content must not be read"
            ),
        )
        .hint("this happens with disks that map some partitions of a device; image the device instead"));
    }
    let sectors = number(sectors).filter(|sectors| *sectors > 0).ok_or_else(|| malformed("has no length"))?;
    let kind = String::from_utf8_lossy(kind).to_ascii_uppercase();
    let (name, rest) = quoted(rest).map_err(malformed)?;
    if goes_on(rest) {
        return Err(malformed("has a file name that goes on behind a quote").hint(RENAME_FIRST));
    }
    let file = |name: Option<&[u8]>| match name {
        Some(name) if !name.is_empty() => decode(object, name, encoding),
        _ => Err(malformed("names no file")),
    };
    let place = match kind.as_str() {
        "FLAT" | "VMFS" => {
            let (offset, device) = word(rest);
            let offset = match offset {
                // ESX leaves it out: the whole file is the extent. Elsewhere it is part of the format.
                b"" if kind == "VMFS" => 0,
                text => number(text).ok_or_else(|| malformed("has no offset"))?,
            };
            if !device.is_empty() {
                return Err(unusable(
                    object,
                    format_args!("the extent in line {line} of its descriptor maps a partition of a device"),
                )
                .hint(EXPORT_FIRST));
            }
            Place::Flat { name: file(name)?, offset }
        }
        "SPARSE" => Place::Sparse { name: file(name)?, format: SparseFormat::Hosted },
        "VMFSSPARSE" => Place::Sparse { name: file(name)?, format: SparseFormat::Cowd },
        "SESPARSE" => Place::Sparse { name: file(name)?, format: SparseFormat::SeSparse },
        "ZERO" => Place::Zero,
        "VMFSRDM" | "VMFSRAW" => {
            return Err(unusable(
                object,
                format_args!("the extent in line {line} of its descriptor is of type {kind}: it maps a raw device, and its data is not in a file"),
            )
            .hint(EXPORT_FIRST));
        }
        other => {
            return Err(damaged(
                object,
                format_args!(
                    "the extent in line {line} of its descriptor is of type {}, which is not known",
                    shown(other)
                ),
            ));
        }
    };
    Ok(ExtentLine { line, sectors, place })
}

/// The first word and what follows it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii_start())
}

/// The name in quotes, if any, and what follows it as it stands.
fn quoted(text: &[u8]) -> Result<(Option<&[u8]>, &[u8]), &'static str> {
    match text {
        [] => Ok((None, text)),
        [b'"', rest @ ..] => match rest.iter().position(|byte| *byte == b'"') {
            Some(end) => Ok((Some(&rest[..end]), &rest[end + 1..])),
            None => Err("has a file name without its closing quote"),
        },
        _ => Err("has a file name without quotes"),
    }
}

/// Whether the quote before `text` was not the name's end: neither a blank nor an offset follows it. The format has no way to write a name
/// with a quote in it, and whoever reads on would take the rest of the name for something else.
fn goes_on(text: &[u8]) -> bool {
    !text.first().is_none_or(u8::is_ascii_whitespace) || text.contains(&b'"') && number(word(text).0).is_none()
}

fn number(text: &[u8]) -> Option<u64> {
    // `u64::from_str` takes a plus sign.
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_that_occur() {
        let place = |text: &str| parse("d", 7, text.as_bytes(), None).unwrap().place;
        let flat = |offset| Place::Flat { name: "a b.vmdk".into(), offset };
        assert_eq!(place("RW 4192256 FLAT \"a b.vmdk\" 63"), flat(63));
        assert_eq!(place("RDONLY\t8  vmfs\t\"a b.vmdk\""), flat(0));
        assert_eq!(place("RW 8 VMFS \"a b.vmdk\" 0"), flat(0));
        let sparse = |format| Place::Sparse { name: "a b.vmdk".into(), format };
        assert_eq!(place("RW 8 SPARSE \"a b.vmdk\""), sparse(SparseFormat::Hosted));
        assert_eq!(place("RW 8 VMFSSPARSE \"a b.vmdk\""), sparse(SparseFormat::Cowd));
        assert_eq!(place("RW 8 seSparse \"a b.vmdk\""), sparse(SparseFormat::SeSparse));
        assert_eq!(place("rw 8 zero"), Place::Zero);
    }

    #[test]
    fn faults_are_named() {
        let cases = [
            ("NOACCESS 63 ZERO", "is marked NOACCESS: its content must not be read"),
            ("RW", "has no length"),
            ("RW 0 ZERO", "has no length"),
            ("RW -1 ZERO", "has no length"),
            ("RW +1 ZERO", "has no length"),
            ("RW 99999999999999999999 ZERO", "has no length"),
            ("RW 8 FLAT \"a\"", "has no offset"),
            ("RW 8 FLAT \"a\" x", "has no offset"),
            ("RW 8 FLAT \"a\" 0 uuid device", "maps a partition of a device"),
            ("RW 8 FLAT \"a\" 0 uuid \"device\"", "maps a partition of a device"),
            ("RW 8 FLAT \"a\"b\" 0", "has a file name that goes on behind a quote"),
            ("RW 8 FLAT \"a\" b\" 0", "has a file name that goes on behind a quote"),
            ("RW 8 FLAT \"a\" \"b\" 0", "has a file name that goes on behind a quote"),
            ("RW 8 FLAT \"a\"1\" 0", "has a file name that goes on behind a quote"),
            ("RW 8 VMFS \"\"a\"", "has a file name that goes on behind a quote"),
            ("RW 8 SPARSE \"a\"b\"", "has a file name that goes on behind a quote"),
            ("RW 8 FLAT \"a\" b c", "has no offset"),
            ("RW 8 FLAT", "has no offset"),
            ("RW 8 VMFS", "names no file"),
            ("RW 8 SPARSE \"\"", "names no file"),
            ("RW 8 SPARSE \"a", "has a file name without its closing quote"),
            ("RW 8 SPARSE a", "has a file name without quotes"),
            ("RW 8 VMFSRDM \"a\"", "is of type VMFSRDM: it maps a raw device, and its data is not in a file"),
            ("RW 8 \u{1b}[2J \"a\"", "is of type \\u{1b}[2J, which is not known"),
        ];
        for (text, expected) in cases {
            let message = parse("d", 7, text.as_bytes(), None).unwrap_err().message;
            assert_eq!(message, format!("d: the extent in line 7 of its descriptor {expected}"), "{text}");
        }
    }
}

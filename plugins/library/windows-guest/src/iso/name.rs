//! The name of a record: from Rock Ridge's entries, as Joliet's UTF-16, or the plain one without its version.

use vmdk2kvm_plugin_api::text::is_unsafe;

use super::SECTOR;
use super::record::Record;

/// A name may go on elsewhere, and from there again.
const MOST_CONTINUATIONS: usize = 8;

const LONGEST: usize = 255;

/// How the names of a tree are written.
pub(super) enum Names {
    /// In entries behind the plain name, after so many bytes of something else.
    RockRidge {
        skip: usize,
    },
    Joliet,
    Plain,
}

/// Reads bytes elsewhere in the image.
type Elsewhere<'a> = &'a dyn Fn(u64, u64) -> Result<Vec<u8>, String>;

impl Names {
    /// Nothing for a record that is no file or folder of its own: a symbolic link, a device, or a folder that was moved for its depth.
    pub fn of(&self, record: &Record, elsewhere: Elsewhere) -> Result<Option<String>, String> {
        let name = match self {
            Self::RockRidge { skip } => match rock_ridge(record, *skip, elsewhere)? {
                Found::Name(name) => name,
                Found::Nothing => plain(record),
                Found::NoFile => return Ok(None),
            },
            Self::Joliet => {
                let name = encoding_rs::UTF_16BE.decode_without_bom_handling(record.name).0;
                name.trim_end_matches(";1").to_owned()
            }
            Self::Plain => plain(record),
        };
        // A file system takes no longer one, and a list of such names would be large.
        if name.len() > LONGEST
            || name.is_empty()
            || name == "."
            || name == ".."
            || name.contains(|letter| matches!(letter, '/' | '\\') || is_unsafe(letter))
        {
            return Err(format!("it has a file with the name \"{name}\""));
        }
        Ok(Some(name))
    }
}

fn plain(record: &Record) -> String {
    let name = String::from_utf8_lossy(record.name);
    let name = name.split(';').next().unwrap_or(&name);
    name.strip_suffix('.').unwrap_or(name).to_owned()
}

/// Whether the first record of the root says that Rock Ridge is used, and how many bytes come before its entries in other records.
pub(super) fn system_use_skip(root: &Record) -> Option<usize> {
    match root.system_use() {
        [b'S', b'P', 7, _, 0xbe, 0xef, skip, ..] => Some(usize::from(*skip)),
        _ => None,
    }
}

enum Found {
    Name(String),
    Nothing,
    NoFile,
}

fn rock_ridge(record: &Record, skip: usize, elsewhere: Elsewhere) -> Result<Found, String> {
    let mut area = record.system_use().get(skip..).unwrap_or(&[]).to_vec();
    let mut name: Option<Vec<u8>> = None;
    for _ in 0..MOST_CONTINUATIONS {
        let (mut rest, mut next) = (&area[..], None);
        while let [kind_0, kind_1, length, _, ..] = rest {
            let Some((entry, after)) = rest.split_at_checked(usize::from(*length)).filter(|_| *length >= 4) else {
                break;
            };
            rest = after;
            match ([*kind_0, *kind_1], &entry[4..]) {
                // Flags 2 and 4 say the folder itself and the one above.
                ([b'N', b'M'], [flags, part @ ..]) if flags & 6 == 0 => name.get_or_insert_default().extend(part),
                ([b'S', b'L'] | [b'P', b'N'] | [b'C', b'L'] | [b'R', b'E'] | [b'Z', b'F'], _) => {
                    return Ok(Found::NoFile);
                }
                ([b'C', b'E'], body) => {
                    let word = |at: usize| Some(u32::from_le_bytes(body.get(at..at + 4)?.try_into().ok()?));
                    next = word(0).zip(word(8)).zip(word(16));
                }
                ([b'S', b'T'], _) => break,
                _ => {}
            }
        }
        let Some(((block, offset), length)) = next else { break };
        area = elsewhere(u64::from(block) * SECTOR + u64::from(offset), u64::from(length).min(SECTOR))?;
    }
    Ok(name.map_or(Found::Nothing, |name| Found::Name(String::from_utf8_lossy(&name).into_owned())))
}

//! Tar archives of every dialect: v7, ustar, pax, GNU long names, GNU sparse files. Walks the headers only; a member is read in place.
//!
//! Formats: POSIX.1-2017 "pax", and "Basic Tar Format" and "GNU Extensions to the Archive Format" of the GNU tar manual. Links, devices and
//! multi-volume archives are refused: a package of a virtual machine has no use for them.

use std::sync::Arc;

use tar::{EntryType, Header, PaxExtensions};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, read_exact_at};

use super::members::Members;
use super::pieces::Pieces;
use super::tar_sparse;

/// The unit of everything in a tar, in bytes.
pub const BLOCK: u64 = 512;
/// The longest extension record (a long name, pax records), in bytes.
const MAX_EXTENSION: u64 = 1 << 20;
/// The most extension records before one member.
const MAX_EXTENSIONS: usize = 16;

/// What the extension records before a member say of it.
#[derive(Debug, Default)]
pub struct Extended {
    /// Its name.
    pub name: Option<Vec<u8>>,
    /// Its stored size.
    pub size: Option<u64>,
    /// `GNU.sparse.*` records in their order, without that prefix.
    pub sparse: Vec<(String, String)>,
    records: usize,
}

/// The members of the tar `archive`.
pub fn members(name: &str, archive: &Arc<dyn BlockSource>) -> Result<Members<Pieces>> {
    let mut members = Members::new(name);
    let mut extended = Extended::default();
    let mut at = 0;
    while let Some(header) = header(name, &**archive, at)? {
        let data = at + BLOCK;
        let kind = header.entry_type();
        let stored = header.entry_size().map_err(|error| damaged(name, at, &error.to_string()))?;
        let stored = if extends(kind) { stored } else { extended.size.unwrap_or(stored) };
        let end = data.checked_add(stored).filter(|end| *end <= archive.size()).ok_or_else(|| {
            let member = extended.name.clone().unwrap_or_else(|| header.path_bytes().into_owned());
            PluginError::unusable(format!(
                "{name}: its member '{}' of {stored} bytes ends past the end of the archive, which has {} bytes",
                escape(&String::from_utf8_lossy(&member)),
                archive.size()
            ))
            .hint("the archive is cut off: copy it again")
        })?;
        // The last member may lack its padding.
        let mut next = end.next_multiple_of(BLOCK);
        if extends(kind) {
            extension(name, &**archive, kind, data, stored, &mut extended)?;
        } else {
            let own = std::mem::take(&mut extended);
            let member_name = own.name.clone().unwrap_or_else(|| header.path_bytes().into_owned());
            let shown_name = format!("{name}/{}", escape(&String::from_utf8_lossy(&member_name)));
            // v7 marks a folder by the slash at the end of its name alone.
            let folder = kind.is_dir() || (kind == EntryType::Regular && member_name.ends_with(b"/"));
            if kind.is_gnu_sparse() {
                let (pieces, after) = tar_sparse::gnu(&shown_name, archive, &header, data, stored)?;
                members.add(&member_name, pieces)?;
                next = after;
            } else if !own.sparse.is_empty() && !folder {
                let (real, pieces) = tar_sparse::pax(&shown_name, archive, &own, data, stored)?;
                members.add(real.as_deref().unwrap_or(&member_name), pieces)?;
            } else if folder || kind.as_byte() == b'V' {
                // Folders come with their files; a volume label is no file.
            } else if matches!(kind, EntryType::Regular | EntryType::Continuous) {
                members.add(&member_name, Pieces::slice(shown_name, Arc::clone(archive), data, stored)?)?;
            } else {
                return Err(members.bad(format!(
                    "its member '{}' is {}, not a file",
                    escape(&String::from_utf8_lossy(&member_name)),
                    what(kind)
                )));
            }
        }
        at = next;
    }
    Ok(members)
}

/// The header at `at`, checked against its own sum; `None` at the end of the archive.
fn header(name: &str, archive: &dyn BlockSource, at: u64) -> Result<Option<Header>> {
    if at >= archive.size() {
        return Ok(None);
    }
    let mut block = [0; BLOCK as usize];
    if archive.size() - at < BLOCK {
        return Err(damaged(name, at, "the archive ends in the midst of a header"));
    }
    read_exact_at(archive, at, &mut block)?;
    if block == [0; BLOCK as usize] {
        return Ok(None);
    }
    if !sums_up(&block) {
        return Err(damaged(name, at, "a header's checksum is wrong"));
    }
    Ok(Some(Header::from_byte_slice(&block).clone()))
}

/// Whether a block has the checksum that it states, as each header of a tar has: the one mark of the oldest dialect.
pub fn sums_up(block: &[u8; BLOCK as usize]) -> bool {
    // Summed with the field of the sum itself as spaces.
    let sum: u32 =
        block.iter().enumerate().map(|(at, byte)| u32::from(if (148..156).contains(&at) { b' ' } else { *byte })).sum();
    Header::from_byte_slice(block).cksum().is_ok_and(|stated| stated == sum)
}

fn extends(kind: EntryType) -> bool {
    kind.is_gnu_longname()
        || kind.is_gnu_longlink()
        || kind.is_pax_local_extensions()
        || kind.is_pax_global_extensions()
}

/// Takes an extension record in.
fn extension(
    name: &str,
    archive: &dyn BlockSource,
    kind: EntryType,
    data: u64,
    length: u64,
    extended: &mut Extended,
) -> Result<()> {
    extended.records += 1;
    if length > MAX_EXTENSION || extended.records > MAX_EXTENSIONS {
        let what = format!(
            "an extension record of {length} bytes; the limits are {MAX_EXTENSION} bytes and {MAX_EXTENSIONS} in a row"
        );
        return Err(damaged(name, data, &what));
    }
    let mut body = vec![0; length as usize];
    read_exact_at(archive, data, &mut body)?;
    if kind.is_gnu_longname() {
        let end = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
        body.truncate(end);
        extended.name = Some(body);
    } else if kind.is_pax_local_extensions() {
        for record in PaxExtensions::new(&body) {
            let record = record.map_err(|error| damaged(name, data, &error.to_string()))?;
            let text = || String::from_utf8_lossy(record.value_bytes()).into_owned();
            match record.key_bytes() {
                b"path" => extended.name = Some(record.value_bytes().to_vec()),
                b"size" => {
                    let size = text().parse().map_err(|_| damaged(name, data, "a member's size is not a number"))?;
                    extended.size = Some(size);
                }
                key => {
                    if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                        extended.sparse.push((String::from_utf8_lossy(key).into_owned(), text()));
                    }
                }
            }
        }
    }
    // Global records set times and owners; long link names belong to links, which are refused.
    Ok(())
}

fn what(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Link => "a hard link",
        EntryType::Symlink => "a symbolic link",
        EntryType::Char => "a character device",
        EntryType::Block => "a block device",
        EntryType::Fifo => "a FIFO",
        kind if kind.as_byte() == b'M' => "the rest of a file of another archive",
        _ => "of an unknown kind",
    }
}

/// A tar whose header at `at` cannot be used.
pub fn damaged(name: &str, at: u64, what: &str) -> PluginError {
    PluginError::unusable(format!("{name}: the tar is damaged at offset {at}: {what}")).hint("copy the archive again")
}

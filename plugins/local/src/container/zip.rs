//! ZIP archives. The directory at the end says what is there; a stored member is read in place, a deflated one is unpacked when it is opened.
//!
//! Format: PKWARE's APPNOTE.TXT. Local headers decide where data is, the directory decides everything else; members that overlap, are
//! encrypted, or are links are refused.

use std::io::BufReader;
use std::sync::Arc;

use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipLocator};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result};

use super::members::{MAX_MEMBERS, Members};
use super::pieces::Pieces;
use super::reader::{SourceAt, SourceReader, fault};
use super::spool::Spooler;
use crate::file_source::FileSource;

/// A member as it is stored.
pub struct Stored {
    name: String,
    archive: Arc<dyn BlockSource>,
    start: u64,
    end: u64,
    size: u64,
    crc: u32,
    deflated: bool,
}

/// The members of the ZIP `archive`.
pub fn members(name: &str, archive: &Arc<dyn BlockSource>) -> Result<Members<Stored>> {
    let mut members = Members::new(name);
    let damaged = |error: rawzip::Error| {
        PluginError::unusable(format!("{name}: the ZIP is damaged or cut off ({error})")).hint("copy the archive again")
    };
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let zip = ZipLocator::new()
        .locate_in_reader(SourceAt(Arc::clone(archive)), &mut buffer, archive.size())
        .map_err(|(_, error)| damaged(error))?;
    let mut found = Vec::new();
    let mut entries = zip.entries(&mut buffer);
    while let Some(entry) = entries.next_entry().map_err(damaged)? {
        let path = entry.file_path();
        let bytes = path.as_bytes().to_vec();
        let name = String::from_utf8_lossy(&bytes);
        let text = escape(&name);
        let refuse = |what: &str| Err(members.bad(format!("its member '{text}' is {what}")));
        if entry.is_dir() {
            continue;
        }
        // 0o170000 masks the kind of a Unix mode; 0 is a maker that states none.
        if !matches!(entry.mode().value() & 0o170_000, 0 | 0o100_000) {
            return refuse("a link or a device, not a file");
        }
        if entry.flags().is_encrypted() {
            return refuse("encrypted");
        }
        let deflated = match entry.compression_method() {
            CompressionMethod::STORE => false,
            CompressionMethod::DEFLATE => true,
            _ => return refuse("compressed in a way that is not read (stored and deflated are)"),
        };
        if found.len() == MAX_MEMBERS {
            return Err(members.bad(format!("the archive has more than {MAX_MEMBERS} members")));
        }
        found.push((bytes, entry.wayfinder(), entry.uncompressed_size_hint(), entry.crc32(), deflated));
    }
    let mut ranges = Vec::with_capacity(found.len());
    for (bytes, wayfinder, size, crc, deflated) in found {
        let (start, end) = zip.get_entry(wayfinder).map_err(damaged)?.compressed_data_range();
        let shown_name = format!("{name}/{}", escape(&String::from_utf8_lossy(&bytes)));
        if start > end || end > archive.size() || (!deflated && end - start != size) {
            return Err(members
                .bad(format!("its member '{}' does not lie inside of it", escape(&String::from_utf8_lossy(&bytes)))));
        }
        ranges.push((start, end));
        let archive = Arc::clone(archive);
        members.add(&bytes, Stored { name: shown_name, archive, start, end, size, crc, deflated })?;
    }
    // Members that share their data are how a small archive unpacks to an endless one.
    ranges.sort_unstable();
    if ranges.windows(2).any(|pair| pair[1].0 < pair[0].1) {
        return Err(members.bad("two of its members overlap".to_owned()));
    }
    Ok(members)
}

impl Stored {
    /// Size when unpacked, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The member's bytes where they can be read in place.
    pub fn in_place(&self) -> Result<Option<Pieces>> {
        if self.deflated {
            return Ok(None);
        }
        Pieces::slice(self.name.clone(), Arc::clone(&self.archive), self.start, self.size).map(Some)
    }

    /// The member's bytes, unpacked and held against their checksum.
    pub fn unpack(&self, spooler: &Spooler) -> Result<FileSource> {
        let raw =
            BufReader::with_capacity(1 << 20, SourceReader::range(Arc::clone(&self.archive), self.start, self.end));
        let mut stream = flate2::CrcReader::new(flate2::bufread::DeflateDecoder::new(raw));
        let file = spooler.spool(&self.name, &mut stream, Some(self.size))?;
        if stream.crc().sum() == self.crc {
            Ok(file)
        } else {
            Err(fault(&self.name, std::io::Error::new(std::io::ErrorKind::InvalidData, "its checksum is wrong")))
        }
    }
}

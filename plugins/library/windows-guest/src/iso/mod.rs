//! The files of an ISO 9660 image, by its Rock Ridge, Joliet or plain names, over anything that reads at an offset.
//!
//! Owns the format as far as files and their bytes go: no links, no devices, no folders moved for their depth. An own reader: the crates for it
//! are unmaintained, or at a release candidate for a newer compiler, and none bounds what a hostile image makes it read.

mod name;
mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, read_exact_at};

use name::Names;
use record::{Record, Records};

const SECTOR: u64 = 2048;
/// Where the descriptors begin.
const FIRST: u64 = 16;
const MOST_DESCRIPTORS: u64 = 64;
const MOST_ENTRIES: usize = 50_000;
const DEEPEST: usize = 12;
const LARGEST_FOLDER: u64 = 4 << 20;
/// Of all folders together.
const MOST_FOLDER_BYTES: u64 = 64 << 20;

/// A file in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsoFile {
    /// Path from the root, with slashes.
    pub path: String,
    /// Its length.
    pub size: u64,
    /// Where its bytes lie: offset and length, in order.
    pub extents: Vec<(u64, u64)>,
}

/// An image, with the list of its files.
pub struct Iso {
    source: Arc<dyn BlockSource>,
    files: Vec<IsoFile>,
}

/// Where a tree of folders begins, and how its names are written.
struct Tree {
    root: Folder,
    names: Names,
}

#[derive(Clone)]
struct Folder {
    path: String,
    depth: usize,
    offset: u64,
    size: u64,
}

impl Iso {
    /// Lists the files of an image; `name` is for messages.
    pub fn open(name: &str, source: Arc<dyn BlockSource>) -> Result<Self> {
        let mut reader = Reader { source: &*source, folder_bytes: 0 };
        let refuse =
            |why: String| PluginError::unusable(format!("{name} cannot be read as an ISO image: {}", escape(&why)));
        let files = reader.tree().and_then(|tree| reader.files(tree)).map_err(|fault| match fault {
            Fault::Read(error) => error,
            Fault::Format(why) => refuse(why),
        })?;
        Ok(Self { source, files })
    }

    /// Its files, each with its path.
    pub fn files(&self) -> &[IsoFile] {
        &self.files
    }

    /// The bytes of a file of it. The caller bounds its size.
    pub fn read(&self, file: &IsoFile) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for (offset, length) in file.extents.iter().filter(|(_, length)| *length > 0) {
            let start = bytes.len();
            let length = usize::try_from(*length).map_err(|_| PluginError::unusable("a file is too large"))?;
            bytes.resize(start + length, 0);
            read_exact_at(&*self.source, *offset, &mut bytes[start..])?;
        }
        Ok(bytes)
    }
}

enum Fault {
    Read(PluginError),
    Format(String),
}

impl From<PluginError> for Fault {
    fn from(error: PluginError) -> Self {
        Self::Read(error)
    }
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Format(why)
    }
}

struct Reader<'a> {
    source: &'a dyn BlockSource,
    folder_bytes: u64,
}

impl Reader<'_> {
    fn bytes(&self, offset: u64, length: u64) -> Result<Vec<u8>, Fault> {
        if offset.checked_add(length).is_none_or(|end| end > self.source.size()) {
            return Err(Fault::Format(format!(
                "it ends before byte {}: it was not copied whole",
                offset.saturating_add(length)
            )));
        }
        let mut bytes = vec![0; length as usize];
        read_exact_at(self.source, offset, &mut bytes)?;
        Ok(bytes)
    }

    /// The tree with the best names: Rock Ridge, else Joliet, else plain ones.
    fn tree(&mut self) -> Result<Tree, Fault> {
        let (mut plain, mut joliet) = (None, None);
        for at in FIRST..FIRST + MOST_DESCRIPTORS {
            let descriptor = match self.bytes(at * SECTOR, SECTOR) {
                Ok(descriptor) if descriptor[1..6] == *b"CD001" => descriptor,
                _ if plain.is_some() => break,
                _ => return Err(Fault::Format("it has no ISO 9660 descriptor".to_owned())),
            };
            let root = || {
                let record = Record::parse(&descriptor[156..190]).ok_or("the record of its root is broken")?;
                let block = u16::from_le_bytes([descriptor[128], descriptor[129]]);
                if u64::from(block) != SECTOR {
                    return Err(format!("its blocks have {block} bytes, and only {SECTOR} are known"));
                }
                let (offset, size) = (record.offset(), record.size);
                Ok(Folder { path: String::new(), depth: 0, offset, size })
            };
            match descriptor[0] {
                1 if plain.is_none() => plain = Some(root()?),
                2 if matches!(&descriptor[88..91], b"%/@" | b"%/C" | b"%/E") => joliet = Some(root()?),
                255 => break,
                _ => {}
            }
        }
        let plain = plain.ok_or_else(|| Fault::Format("it has no primary descriptor".to_owned()))?;
        let bytes = self.folder(&plain)?;
        let skip = Records(&bytes).next().and_then(|record| name::system_use_skip(&record));
        Ok(match (skip, joliet) {
            (Some(skip), _) => Tree { root: plain, names: Names::RockRidge { skip } },
            (None, Some(root)) => Tree { root, names: Names::Joliet },
            (None, None) => Tree { root: plain, names: Names::Plain },
        })
    }

    fn folder(&mut self, folder: &Folder) -> Result<Vec<u8>, Fault> {
        self.folder_bytes = self.folder_bytes.saturating_add(folder.size);
        if folder.size > LARGEST_FOLDER || self.folder_bytes > MOST_FOLDER_BYTES {
            return Err(Fault::Format("its folders are larger than any real ones".to_owned()));
        }
        self.bytes(folder.offset, folder.size)
    }

    fn files(&mut self, tree: Tree) -> Result<Vec<IsoFile>, Fault> {
        let (mut files, mut folders, mut seen, mut entries) = (Vec::new(), vec![tree.root], BTreeSet::new(), 0);
        while let Some(folder) = folders.pop() {
            if !seen.insert(folder.offset) {
                return Err(Fault::Format(format!("its folder \"{}\" is another one, too", folder.path)));
            }
            if folder.depth > DEEPEST {
                return Err(Fault::Format(format!("its folders are deeper than {DEEPEST}")));
            }
            let bytes = self.folder(&folder)?;
            let mut file: Option<IsoFile> = None;
            for record in Records(&bytes).filter(|record| !record.is_dot()) {
                entries += 1;
                if entries > MOST_ENTRIES {
                    return Err(Fault::Format(format!("it has more than {MOST_ENTRIES} files")));
                }
                // Another name for a place, or a place that moved: not a file.
                let Some(name) = self.name(&tree.names, &record)? else { continue };
                let path = if folder.path.is_empty() { name } else { format!("{}/{name}", folder.path) };
                if record.is_folder() {
                    folders.push(Folder { path, depth: folder.depth + 1, offset: record.offset(), size: record.size });
                    continue;
                }
                let end = record.offset().saturating_add(record.size);
                // An empty file lies anywhere.
                if record.size > 0 && end > self.source.size() {
                    return Err(Fault::Format(format!("it ends before its file \"{path}\": it was not copied whole")));
                }
                let mut whole = file.take().unwrap_or(IsoFile { path, size: 0, extents: Vec::new() });
                whole.size += record.size;
                whole.extents.push((record.offset(), record.size));
                match record.continues() {
                    true => file = Some(whole),
                    false => files.push(whole),
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    fn name(&self, names: &Names, record: &Record) -> Result<Option<String>, Fault> {
        let more = |offset, length| match self.bytes(offset, length) {
            Ok(bytes) => Ok(bytes),
            Err(Fault::Format(why)) => Err(why),
            Err(Fault::Read(error)) => Err(error.message),
        };
        Ok(names.of(record, &more)?)
    }
}

//! The files of a driver source: a folder of this machine, or an ISO file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vmdk2kvm_plugin_api::text::is_unsafe;
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result};

use crate::iso::{Iso, IsoFile};

const MOST_FILES: usize = 50_000;
const DEEPEST: usize = 12;

/// A file of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    path: String,
    size: u64,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Folder(PathBuf),
    Iso(IsoFile),
}

impl SourceFile {
    /// Path in the source, with slashes, in the source's case.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Its length in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

/// All files, by their paths in lower case.
pub(super) struct Store {
    pub files: BTreeMap<String, SourceFile>,
    iso: Option<Iso>,
    /// The absolute path of the image.
    image: Option<PathBuf>,
}

impl Store {
    pub fn open(path: &Path) -> Result<Self> {
        let read = |error| io(path, &error);
        let is_folder = fs::metadata(path).map_err(read)?.is_dir();
        let (files, iso, image) = if is_folder {
            (walk(path)?, None, None)
        } else {
            let file = File::open(path).map_err(read)?;
            let size = file.metadata().map_err(read)?.len();
            let iso = Iso::open(&path.display().to_string(), Arc::new(OpenFile { file, size, path: path.to_owned() }))?;
            let files = iso.files().iter().map(|file| SourceFile {
                path: file.path.clone(),
                size: file.size,
                place: Place::Iso(file.clone()),
            });
            (files.collect(), Some(iso), Some(path.canonicalize().map_err(read)?))
        };
        Ok(Self { files: files.into_iter().map(|file| (file.path.to_lowercase(), file)).collect(), iso, image })
    }

    pub fn read(&self, file: &SourceFile, limit: u64) -> Result<Vec<u8>> {
        let too_large = || PluginError::unusable(format!("{} is larger than {limit} bytes", file.path));
        if file.size > limit {
            return Err(too_large());
        }
        let bytes = match (&file.place, &self.iso) {
            (Place::Iso(place), Some(iso)) => iso.read(place)?,
            (Place::Iso(_), None) => return Err(PluginError::defect("a file of an ISO was asked of a folder")),
            (Place::Folder(path), _) => {
                use std::io::Read as _;
                let mut bytes = Vec::new();
                let open = File::open(path).map_err(|error| io(path, &error))?;
                open.take(limit + 1).read_to_end(&mut bytes).map_err(|error| io(path, &error))?;
                bytes
            }
        };
        // The file may have grown since it was listed.
        if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
    }

    /// The file of this machine that holds the file's bytes in one piece, and where they begin in it.
    pub fn on_this_machine(&self, file: &SourceFile) -> Result<(PathBuf, u64)> {
        match (&file.place, &self.image) {
            (Place::Folder(path), _) => Ok((path.clone(), 0)),
            (Place::Iso(place), Some(image)) => match place.extents[..] {
                [] => Ok((image.clone(), 0)),
                [(offset, _)] => Ok((image.clone(), offset)),
                _ => {
                    let message = format!("{}: {} lies in several pieces of the image", image.display(), file.path);
                    Err(PluginError::unusable(message).hint("unpack the image into a folder, and name that"))
                }
            },
            (Place::Iso(_), None) => Err(PluginError::defect("a file of an ISO was asked of a folder")),
        }
    }
}

fn io(path: &Path, error: &std::io::Error) -> PluginError {
    let hint = "name the folder of the drivers or the ISO file that holds them";
    PluginError::missing(format!("{} cannot be read: {error}", path.display())).hint(hint)
}

/// All files below a folder. Links are followed as far as they stay in it: packages lay their drivers out twice.
fn walk(root: &Path) -> Result<Vec<SourceFile>> {
    let root = root.canonicalize().map_err(|error| io(root, &error))?;
    let mut files = Vec::new();
    let mut folders = vec![(root.clone(), String::new(), 0)];
    let mut entries = 0;
    while let Some((folder, path, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| io(&folder, &error))? {
            entries += 1;
            if entries > MOST_FILES {
                let message = format!("{} has more than {MOST_FILES} files below it", root.display());
                return Err(PluginError::unusable(message).hint("name the folder that holds the drivers alone"));
            }
            let entry = entry.map_err(|error| io(&folder, &error))?;
            let Ok(real) = entry.path().canonicalize() else { continue };
            // No driver has such a name, and every path is shown.
            let name = entry.file_name().to_str().map(str::to_owned);
            let Some(name) = name.filter(|name| !name.contains(is_unsafe)) else { continue };
            let Ok(metadata) = real.metadata() else { continue };
            // A link to a folder above would show everything again.
            if !real.starts_with(&root) || folder.starts_with(&real) {
                continue;
            }
            let path = if path.is_empty() { name } else { format!("{path}/{name}") };
            if metadata.is_dir() && depth < DEEPEST {
                folders.push((real, path, depth + 1));
            } else if metadata.is_file() {
                files.push(SourceFile { path, size: metadata.len(), place: Place::Folder(real) });
            }
        }
    }
    Ok(files)
}

struct OpenFile {
    file: File,
    size: u64,
    path: PathBuf,
}

impl BlockSource for OpenFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let failed =
            |error| PluginError::io(format!("{} cannot be read at byte {offset}: {error}", self.path.display()));
        self.file.read_at(buffer, offset).map_err(failed)
    }
}

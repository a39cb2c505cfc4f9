//! Split files: a file that exists only as `name.000000000`, `name.000000001`, ... is these, joined (DSP0243, "OVF package structure").
//!
//! Owns the walk over names that finds a file, its chunks, or the archive a path leads into; folders and archives are walked alike.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result};

use crate::beneath::Folder;
use crate::container::Container;
use crate::container::pieces::Pieces;

/// The most chunks of a file: each takes a file descriptor while it is read.
const MAX_CHUNKS: usize = 500;

/// Something that has files by name: a folder or an archive.
pub trait Place {
    /// Whether there is a file of this name.
    fn has(&self, name: &str) -> bool;

    /// The bytes of the file of this name.
    fn bytes(&self, name: &str, shown: &str) -> Result<Arc<dyn BlockSource>>;

    /// The names of the files whose name begins so, the folder included.
    fn beginning(&self, with: &str) -> Vec<String>;
}

impl Place for Folder {
    fn has(&self, name: &str) -> bool {
        self.has_file(name)
    }

    fn bytes(&self, name: &str, _: &str) -> Result<Arc<dyn BlockSource>> {
        Ok(Arc::new(self.open_source(name)?))
    }

    fn beginning(&self, with: &str) -> Vec<String> {
        self.names_beginning(with)
    }
}

impl Place for Container {
    fn has(&self, name: &str) -> bool {
        Self::has(self, name)
    }

    fn bytes(&self, name: &str, shown: &str) -> Result<Arc<dyn BlockSource>> {
        Self::bytes(self, name)?.ok_or_else(|| {
            PluginError::unusable(format!("{shown}: there is no such file in the archive"))
                .hint("the package is incomplete: export or copy it again")
        })
    }

    fn beginning(&self, with: &str) -> Vec<String> {
        self.names_beginning(with).map(str::to_owned).collect()
    }
}

/// Whether the file `name` is there, whole or in chunks.
pub fn exists(place: &(impl Place + ?Sized), name: &str) -> bool {
    place.has(name) || place.has(&chunk(name, 0))
}

/// The shortest beginning of `path` that is a file (whole or in chunks), and what follows it: empty when the path is that file, or
/// when there is none.
pub fn outermost<'a>(place: &(impl Place + ?Sized), path: &'a str) -> (&'a str, &'a str) {
    for (slash, _) in path.match_indices('/') {
        let beginning = &path[..slash];
        if exists(place, beginning) {
            return (beginning, &path[slash + 1..]);
        }
    }
    (path, "")
}

/// The names that the file `name` consists of: itself, or its chunks.
pub fn files(place: &(impl Place + ?Sized), name: &str) -> Vec<String> {
    if place.has(name) || !place.has(&chunk(name, 0)) {
        return vec![name.to_owned()];
    }
    (0..=MAX_CHUNKS).map(|number| chunk(name, number)).take_while(|chunk| place.has(chunk)).collect()
}

/// The bytes of the file `name`, its chunks joined.
pub fn bytes(place: &impl Place, name: &str, shown: &str) -> Result<Arc<dyn BlockSource>> {
    let files = files(place, name);
    if let [only] = files.as_slice() {
        if only == name {
            return place.bytes(name, shown);
        }
    }
    if files.len() > MAX_CHUNKS {
        return Err(PluginError::unusable(format!("{shown}: it has more than {MAX_CHUNKS} chunks"))
            .hint("join the chunks into one file with cat"));
    }
    let sources: Vec<_> = files.iter().map(|file| place.bytes(file, shown)).collect::<Result<_>>()?;
    // A chunk that is missing in the midst would leave shorter chunks in the midst.
    if let Some((first, others)) = sources.split_first() {
        let whole = others.split_last().map_or(&[][..], |(_, whole)| whole);
        let last_fits = others.last().is_none_or(|last| last.size() <= first.size());
        if whole.iter().any(|chunk| chunk.size() != first.size()) || !last_fits {
            return Err(PluginError::unusable(format!("{shown}: its {} chunks are not of one size", files.len()))
                .hint("a chunk is cut off: copy the files again"));
        }
    }
    Ok(Arc::new(Pieces::joined(shown.to_owned(), sources)?))
}

/// The files that are numbered like chunks of `name`, by their numbers; none when the file itself is there.
pub fn numbered(place: &(impl Place + ?Sized), name: &str) -> Vec<String> {
    if place.has(name) {
        return Vec::new();
    }
    let mut names = place.beginning(&format!("{name}."));
    names.retain(|numbered| whole_of(numbered) == Some(name) && place.has(numbered));
    // All have nine digits.
    names.sort();
    names
}

/// The files right in a folder, by their own names in lower case; `None`: several differ in case alone.
pub type Cases = HashMap<String, Option<String>>;

/// The files right in `folder`, which is empty or ends in a slash, by their names in lower case.
pub fn cases(place: &(impl Place + ?Sized), folder: &str) -> Cases {
    let mut cases = Cases::new();
    for name in place.beginning(folder) {
        let own = &name[folder.len()..];
        if !own.contains('/') && place.has(&name) {
            cases.entry(own.to_lowercase()).and_modify(|only| *only = None).or_insert(Some(name));
        }
    }
    cases
}

/// The name of a file's chunk.
fn chunk(name: &str, number: usize) -> String {
    format!("{name}.{number:09}")
}

/// The name of the file that a chunk is part of.
pub fn whole_of(name: &str) -> Option<&str> {
    let (whole, number) = name.rsplit_once('.')?;
    let digits = number.len() == 9 && number.bytes().all(|digit| digit.is_ascii_digit());
    (digits && Path::new(whole).file_name().is_some()).then_some(whole)
}

//! The folders a source is bound to: that of the source itself, and that of each further disk.
//!
//! Owns the translation between object references (absolute paths as text) and files beneath one of these folders. Both
//! faces of the fetcher open files through it and in no other way.
//!
//! An object beneath a regular file is a member of that file: `/vms/web.ova/web.vmdk`. So a member needs no syntax of its own, names
//! resolve beside it as beside a file, and nothing outside of the archive can be meant.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_plugin_api::model::SourceRef;
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::tracing::info;
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result};

use crate::beneath::Folder;
use crate::chunks::{self, Cases, Place};
use crate::container::Container;
use crate::container::shelf::Shelf;
use crate::digest::digest;
use crate::fingerprint::fingerprint;
use crate::given::{self, Given};
use crate::names;
use crate::object::Object;

/// How deep archives may lie inside of each other: a bundle, the package in it, a compressed disk in that, and one to spare.
const MAX_DEPTH: usize = 4;

/// A source followed to the file system.
#[derive(Debug)]
pub struct Roots {
    /// What the source itself is.
    pub main: Given,
    /// Canonical paths of the further disks, in order.
    pub extra: Vec<PathBuf>,
    folders: Vec<Folder>,
    shelf: Arc<Shelf>,
    /// Of folders in which a name was looked for in another case, by their objects.
    cases: Mutex<HashMap<String, Cases>>,
}

/// Where a path leads.
enum Entered<'a> {
    File,
    Archive { object: String, container: Arc<Container>, rest: &'a str },
}

/// What an object lies right in.
enum Within<'a> {
    Folder(&'a Folder),
    Archive(Arc<Container>),
}

impl Within<'_> {
    fn place(&self) -> &dyn Place {
        match self {
            Self::Folder(folder) => *folder,
            Self::Archive(container) => &**container,
        }
    }
}

impl Roots {
    /// Follows the user's words and opens their folders; archives are kept on `shelf`.
    pub fn open(source: &SourceRef, shelf: Arc<Shelf>) -> Result<Self> {
        let main = given::look(&source.uri)?;
        let mut folders = vec![Folder::open(main.root())?];
        let mut extra = Vec::new();
        for uri in &source.extra_disks {
            let given = given::look(uri)?;
            if !folders.iter().any(|folder| folder.path() == given.root()) {
                folders.push(Folder::open(given.root())?);
            }
            match given {
                Given::File(path) => extra.push(path),
                Given::Folder(path) => {
                    return Err(PluginError::unusable(format!(
                        "{}: a further disk must be a file, and this is a folder",
                        names::shown_path(&path)
                    ))
                    .hint("name the disk's file itself"));
                }
            }
        }
        Ok(Self { main, extra, folders, shelf, cases: Mutex::default() })
    }

    /// Opens the object for reading: a file, or a member of an archive, which is an object beneath that archive's file.
    pub fn source(&self, object: &str) -> Result<Object> {
        let (folder, relative) = self.locate(object)?;
        let bytes = match self.enter(folder, relative)? {
            Entered::File => chunks::bytes(folder, relative, &escape(object))?,
            Entered::Archive { object: archive, container, rest } => self.within(&archive, &container, rest, 0)?,
        };
        Ok(Object::new(bytes, escape(object).into_owned()))
    }

    /// Whether there is a file of this name; says nothing about what it holds.
    pub fn has(&self, object: &str) -> bool {
        let has = || -> Result<bool> {
            let (folder, relative) = self.locate(object)?;
            match self.enter(folder, relative)? {
                Entered::File => Ok(chunks::exists(folder, relative)),
                Entered::Archive { object, container, rest } => self.has_within(&object, &container, rest),
            }
        };
        has().unwrap_or(false)
    }

    /// The files that are numbered like chunks of the object, which itself is not there, by their numbers.
    pub fn numbered(&self, object: &str) -> Result<Vec<String>> {
        let (outer, place, name) = self.innermost(object)?;
        let names = chunks::numbered(place.place(), &name);
        Ok(names.into_iter().map(|name| format!("{outer}/{name}")).collect())
    }

    /// The folder or the archive that the object lies right in, as an object, and its name there.
    fn innermost(&self, object: &str) -> Result<(String, Within<'_>, String)> {
        let (folder, relative) = self.locate(object)?;
        match self.enter(folder, relative)? {
            Entered::File => Ok((names::object_of(folder.path())?, Within::Folder(folder), relative.to_owned())),
            Entered::Archive { mut object, mut container, mut rest } => loop {
                let (file, further) = chunks::outermost(&*container, rest);
                if further.is_empty() {
                    return Ok((object, Within::Archive(container), rest.to_owned()));
                }
                object = format!("{object}/{file}");
                (container, rest) = (self.container(&object)?, further);
            },
        }
    }

    fn has_within(&self, archive: &str, container: &Container, name: &str) -> Result<bool> {
        let (file, rest) = chunks::outermost(container, name);
        if rest.is_empty() {
            return Ok(chunks::exists(container, name));
        }
        let inner = format!("{archive}/{file}");
        let container = self.container(&inner)?;
        self.has_within(&inner, &container, rest)
    }

    /// Whether the object is a member of an archive.
    pub fn within_archive(&self, object: &str) -> bool {
        self.locate(object).is_ok_and(|(folder, relative)| !chunks::outermost(folder, relative).1.is_empty())
    }

    /// The members of the archive `object`, sorted by name.
    pub fn members(&self, object: &str) -> Result<Vec<String>> {
        let container = self.container(object)?;
        Ok(container.list().map(|(name, _)| name.to_owned()).collect())
    }

    /// The fingerprint of the object: that of every file its bytes lie in.
    pub fn fingerprint(&self, object: &str) -> Result<String> {
        let (folder, relative) = self.locate(object)?;
        let (file, rest) = chunks::outermost(folder, relative);
        let mut prints = Vec::new();
        for name in chunks::files(folder, file) {
            prints.push(fingerprint(&folder.open_source(&name)?)?);
        }
        match (prints.as_slice(), rest) {
            ([only], "") => Ok(only.clone()),
            _ => Ok(digest::<sha2::Sha256>(format!("{}\0{rest}", prints.join("\0")).as_bytes())),
        }
    }

    /// The archive `object`, opened.
    fn container(&self, object: &str) -> Result<Arc<Container>> {
        let (folder, _) = self.locate(object)?;
        let state = self.state(folder, object)?;
        self.shelf.container(object, &state, || self.source(object))
    }

    /// What tells this state of the file around `object` from a later one.
    fn state(&self, folder: &Folder, object: &str) -> Result<String> {
        let (_, relative) = self.locate(object)?;
        let (file, _) = chunks::outermost(folder, relative);
        let mut state = String::new();
        if let Some(name) = chunks::files(folder, file).first() {
            let source = folder.open_source(name)?;
            let meta = source.file().metadata().map_err(|error| PluginError::from_io(source.name(), &error))?;
            state = format!("{}:{}:{}:{}.{}", meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
        }
        Ok(state)
    }

    /// Whether the path leads to a file of the folder, or into an archive there.
    fn enter<'a>(&self, folder: &Folder, relative: &'a str) -> Result<Entered<'a>> {
        let (file, rest) = chunks::outermost(folder, relative);
        if rest.is_empty() {
            return Ok(Entered::File);
        }
        let object = names::object_of(&folder.path().join(file))?;
        let container = self.container(&object)?;
        Ok(Entered::Archive { object, container, rest })
    }

    /// The bytes of the member `name` of an archive, or of a member of an archive that is itself a member.
    fn within(&self, archive: &str, container: &Container, name: &str, depth: usize) -> Result<Arc<dyn BlockSource>> {
        let (file, rest) = chunks::outermost(container, name);
        if rest.is_empty() {
            return chunks::bytes(container, name, &escape(&format!("{archive}/{name}")));
        }
        let inner = format!("{archive}/{file}");
        if depth == MAX_DEPTH {
            return Err(PluginError::unusable(format!(
                "{}: archives are nested more than {MAX_DEPTH} deep",
                escape(&inner)
            ))
            .hint("unpack them yourself into an empty folder, and give that folder"));
        }
        let container = self.container(&inner)?;
        self.within(&inner, &container, rest, depth + 1)
    }

    /// The object that `name`, found inside the object `from`, means.
    pub fn resolve(&self, from: &str, name: &str) -> Result<String> {
        let (root, relative) = self.locate(from)?;
        let below = names::relative(name).map_err(|reason| names::refused(&escape(from), name, reason))?;
        let folder = Path::new(relative).parent().unwrap_or(Path::new(""));
        let object = names::object_of(&root.path().join(folder).join(below))?;
        Ok(self.in_another_case(&object).unwrap_or(object))
    }

    /// The only file whose name differs from the object's in case alone, when the object is not there: the machine lived on Windows.
    fn in_another_case(&self, object: &str) -> Option<String> {
        if self.has(object) {
            return None;
        }
        let (outer, place, name) = self.innermost(object).ok()?;
        let (folder, own) = name.split_at(name.rfind('/').map_or(0, |slash| slash + 1));
        let mut known = self.cases.lock().unwrap_or_else(PoisonError::into_inner);
        let cases = known.entry(format!("{outer}/{folder}")).or_insert_with(|| chunks::cases(place.place(), folder));
        let other = format!("{outer}/{}", cases.get(&own.to_lowercase())?.as_ref()?);
        info!("{}: there is no such file, and {} is taken", escape(object), escape(&other));
        Some(other)
    }

    /// The folder an object lies in, the innermost of several, and the path below it.
    fn locate<'a>(&self, object: &'a str) -> Result<(&Folder, &'a str)> {
        let path = Path::new(object);
        let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        self.folders
            .iter()
            .filter(|_| plain)
            .filter_map(|folder| Some((folder, path.strip_prefix(folder.path()).ok()?.to_str()?)))
            .filter(|(_, below)| !below.is_empty())
            .min_by_key(|(_, below)| below.len())
            .ok_or_else(|| {
                PluginError::unusable(format!("{}: the file is outside of the source's folder", escape(object)))
                    .hint("copy the file into the folder of the source")
            })
    }
}

//! What an initramfs holds: a walk over its concatenated archives that keeps names and the few small files that matter.

use std::collections::BTreeMap;
use std::io::BufRead;

use vmdk2kvm_plugin_api::Result;

use super::compression::Compression;
use super::cpio::{FOLDER, KIND, Reader, SYMLINK, bad};
use crate::modules::{is_module_file, module_name};

/// No boot archive unpacks to more; a larger one would not fit into the memory of a small guest either.
const CONTENT_LIMIT: u64 = 1 << 30;
/// Ten times what a distribution's archive holds.
const ENTRY_LIMIT: usize = 200_000;
/// The files that are kept are configuration and text indexes.
const KEPT_FILE_LIMIT: u64 = 4 << 20;
const KEPT_LIMIT: usize = 32 << 20;

/// Names and small files of an initramfs, after the later archives have overridden the earlier ones.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    entries: BTreeMap<String, Kind>,
    files: BTreeMap<String, Vec<u8>>,
    kept: usize,
    /// How its compressed parts are compressed, in order.
    pub compression: Vec<Compression>,
    /// Where the kernel stops reading: bytes follow there that are no archive. What is appended behind them is ignored.
    pub junk_at: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Folder,
    Symlink(String),
    File,
}

impl Contents {
    /// The content of a kept file (`conf/*`, `etc/*` text, `modules.*` text), symlinked folders resolved.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(&self.resolve(path)).map(Vec::as_slice)
    }

    /// The kept files below a folder, by path.
    pub fn files_below<'a>(&'a self, folder: &str) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let prefix = format!("{}/", self.resolve(folder));
        self.files
            .iter()
            .filter(move |(path, _)| path.starts_with(&prefix))
            .map(|(path, data)| (path.as_str(), data.as_slice()))
    }

    /// The kept files whose path ends so, by path.
    pub fn files_ending<'a>(&'a self, end: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.files
            .iter()
            .filter(move |(path, _)| path.ends_with(end))
            .map(|(path, data)| (path.as_str(), data.as_slice()))
    }

    /// Whether anything is at a path, symlinked folders resolved.
    pub fn has(&self, path: &str) -> bool {
        self.entries.contains_key(&self.resolve(path))
    }

    /// The path with symlinks in its folders resolved: `lib/x` is `usr/lib/x` where `lib` is a link.
    pub fn resolve(&self, path: &str) -> String {
        let mut done = String::new();
        for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
            let next = if done.is_empty() { part.to_owned() } else { format!("{done}/{part}") };
            done = match self.entries.get(&next) {
                Some(Kind::Symlink(to)) if !to.contains("..") && to != "/" => match to.strip_prefix('/') {
                    Some(absolute) => absolute.to_owned(),
                    None => next.rsplit_once('/').map_or_else(|| to.clone(), |(folder, _)| format!("{folder}/{to}")),
                },
                _ => next,
            };
        }
        done
    }

    /// Where this kernel's modules are.
    pub fn modules_folder(&self, kernel: &str) -> String {
        format!("{}/modules/{kernel}", self.resolve("lib"))
    }

    /// The module files of a kernel: module name and path relative to its folder.
    pub fn modules<'a>(&'a self, kernel: &str) -> impl Iterator<Item = (String, &'a str)> + use<'a> {
        // An archive may mix `lib/modules` and `usr/lib/modules` whatever `lib` is: later ones were made by other tools.
        let folders =
            [self.modules_folder(kernel), format!("usr/lib/modules/{kernel}"), format!("lib/modules/{kernel}")];
        self.entries.iter().filter(|(path, kind)| **kind != Kind::Folder && is_module_file(path)).filter_map(
            move |(path, _)| {
                let inside = folders.iter().find_map(|folder| path.strip_prefix(folder.as_str())?.strip_prefix('/'))?;
                Some((module_name(inside), inside))
            },
        )
    }

    /// Whether a module of this name is there, for whichever kernel and wherever.
    pub fn has_module(&self, driver: &str) -> bool {
        let of_module = |path: &&String| is_module_file(path) && module_name(path) == driver;
        self.entries.keys().any(|path| of_module(&path))
    }

    fn add(&mut self, name: String, kind: Kind, data: Option<Vec<u8>>) -> Result<()> {
        if self.entries.len() >= ENTRY_LIMIT {
            return Err(bad(format!("it has more than {ENTRY_LIMIT} entries, the limit")));
        }
        let name = match name.rsplit_once('/') {
            Some((folder, base)) => format!("{}/{base}", self.resolve(folder)),
            None => name,
        };
        if kind == Kind::Folder && self.entries.contains_key(&name) {
            // The kernel's mkdir fails then, and what is there stays.
            return Ok(());
        }
        if let Some(old) = self.files.remove(&name) {
            self.kept -= old.len();
        }
        if let Some(data) = data {
            self.kept += data.len();
            if self.kept > KEPT_LIMIT {
                return Err(bad(format!(
                    "its configuration files are larger than {} MiB, the limit",
                    KEPT_LIMIT >> 20
                )));
            }
            self.files.insert(name.clone(), data);
        }
        self.entries.insert(name, kind);
        Ok(())
    }

    /// Reads one archive up to its trailer.
    fn archive<R: BufRead>(&mut self, reader: &mut Reader<R>) -> Result<()> {
        while let Some(head) = reader.head()? {
            match head.mode & KIND {
                SYMLINK if head.size <= 4096 => {
                    let to = String::from_utf8_lossy(&reader.data(&head)?).trim_end_matches(['\0', '/']).to_owned();
                    self.add(head.name, Kind::Symlink(to), None)?;
                }
                kind => {
                    let data = if kind != FOLDER && is_kept(&head.name) && head.size <= KEPT_FILE_LIMIT {
                        Some(reader.data(&head)?)
                    } else {
                        reader.skip_data(&head)?;
                        None
                    };
                    let kind = if kind == FOLDER { Kind::Folder } else { Kind::File };
                    if !head.name.is_empty() && head.name != "." {
                        self.add(head.name, kind, data)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn is_kept(name: &str) -> bool {
    let base = name.rsplit('/').next().unwrap_or(name);
    name.starts_with("conf/")
        || name.starts_with("etc/cmdline.d/")
        || name.starts_with("etc/lvm/")
        || name.starts_with("etc/modprobe.d/")
        || matches!(base, "mdadm.conf" | "crypttab")
        || (base.starts_with("modules.") && matches!(base, "modules.dep" | "modules.builtin"))
        || base.ends_with(".link")
        || (base.ends_with(".rules") && base.contains("net"))
}

/// Reads an initramfs the way the kernel does: archives one behind the other, plain or compressed, zeros between them.
pub fn contents(image: &[u8]) -> Result<Contents> {
    let mut contents = Contents::default();
    let mut at = 0;
    let mut left = CONTENT_LIMIT;
    loop {
        at += image[at..].iter().position(|byte| *byte != 0).unwrap_or(image.len() - at);
        let rest = &image[at..];
        if rest.is_empty() {
            break;
        }
        if rest.starts_with(b"0707") && at % 4 == 0 {
            let mut reader = Reader::new(rest, left);
            contents.archive(&mut reader)?;
            left -= reader.position();
            at = image.len() - reader.into_inner().len();
        } else if let Some(method) = Compression::of(rest) {
            let mut used = 0;
            let length = method.read(rest, &mut |stream| {
                let mut reader = Reader::new(stream, left);
                while reader.skip_zeros()? {
                    contents.archive(&mut reader)?;
                }
                used = reader.position();
                Ok(())
            })?;
            left -= used;
            contents.compression.push(method);
            if length == 0 {
                return Err(bad(format!("nothing can be read from byte {at} on")));
            }
            at += length;
        } else if at == 0 {
            return Err(bad("it does not begin like a known format"));
        } else {
            contents.junk_at = Some(at);
            break;
        }
    }
    Ok(contents)
}

/// Whether this kernel finds the driver when it starts from this initramfs: as a module of the archive, or built in as the
/// archive's `modules.builtin` says.
pub fn has_driver(contents: &Contents, kernel: &str, driver: &str) -> bool {
    let driver = module_name(driver);
    contents.modules(kernel).any(|(name, _)| name == driver)
        || contents
            .file(&format!("{}/modules.builtin", contents.modules_folder(kernel)))
            .is_some_and(|list| String::from_utf8_lossy(list).lines().any(|line| module_name(line) == driver))
}

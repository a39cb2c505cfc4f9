//! The archive that is appended to an initramfs: drivers, what they depend on, and indexes that fit what is there together.

use std::collections::{BTreeMap, BTreeSet};

use vmdk2kvm_plugin_api::model::Content;
use vmdk2kvm_plugin_api::{ErrorKind, Guest, PluginError, Result};

use super::contents::contents;
use super::cpio::{Writer, bad};
use super::index;
use crate::modules::{ModuleIndex, module_name};

/// The indexes that are taken from the guest as they are: they speak of modules by name, so they fit any subset of them.
/// `modules.dep` speaks of files, and is made anew.
const INDEXES: [&str; 12] = [
    "modules.alias",
    "modules.alias.bin",
    "modules.builtin",
    "modules.builtin.alias.bin",
    "modules.builtin.bin",
    "modules.builtin.modinfo",
    "modules.devname",
    "modules.order",
    "modules.softdep",
    "modules.symbols",
    "modules.symbols.bin",
    "modules.weakdep",
];

/// No module and no index is larger.
const FILE_LIMIT: u64 = 64 << 20;

/// Where modules are read from. Every [`Guest`] is one.
pub trait ModuleSource {
    /// The file at this absolute path of the guest, symlinks followed; `None` when there is nothing.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>>;
}

impl<G: Guest> ModuleSource for G {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        Guest::read(self, path, FILE_LIMIT)
    }
}

/// The bytes to append to `existing` so that `kernel` finds `drivers` when it starts: zeros up to a multiple of 512 (the kernel
/// ignores an archive that does not begin at a multiple of four), then a plain archive with the modules that are missing, all
/// they depend on, the module indexes, and `files` (path inside of the initramfs, content), which override what is there.
///
/// Empty when nothing is missing. The same input gives the same bytes.
pub fn extension(
    source: &dyn ModuleSource,
    kernel: &str,
    drivers: &[String],
    files: &[(String, Content)],
    existing: &[u8],
) -> Result<Vec<u8>> {
    let present = contents(existing)?;
    if let Some(at) = present.junk_at {
        return Err(PluginError::unusable(format!(
            "the initramfs of {kernel} cannot be extended: the kernel stops reading at byte {at}, where no archive begins"
        ))
        .hint("let the guest rebuild it: --set plugin.linux-fixes.initramfs=rebuild"));
    }
    let mut new: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    if !drivers.is_empty() {
        let at = format!("/lib/modules/{kernel}");
        let index = guest_index(source, &at)?;
        let here: BTreeMap<String, String> =
            present.modules(kernel).map(|(name, path)| (name, path.to_owned())).collect();
        let modules = missing_modules(&index, kernel, drivers, &here)?;
        if !modules.is_empty() {
            let folder = present.modules_folder(kernel);
            for (path, data) in with_indexes(source, &at, modules, &index, here)? {
                new.insert(format!("{folder}/{path}"), data);
            }
        }
    }
    for (path, content) in files {
        if path.starts_with('/') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(PluginError::defect(format!("\"{path}\" is no path inside of an initramfs")));
        }
        let content = content.to_bytes()?;
        if present.file(path) != Some(&content[..]) {
            new.insert(present.resolve(path), content);
        }
    }
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let mut writer = Writer::new();
    for folder in folders_of(new.keys()) {
        writer.folder(&folder)?;
    }
    for (path, data) in &new {
        writer.file(path, data)?;
    }
    let mut out = vec![0; existing.len().next_multiple_of(512) - existing.len()];
    out.extend_from_slice(&writer.finish()?);
    Ok(out)
}

/// At most how many bytes [`extension`] adds for these drivers; 0 when the modules do not even have an index.
pub(crate) fn room(guest: &dyn Guest, kernel: &str, drivers: &[String]) -> Result<u64> {
    struct Modules<'a>(&'a dyn Guest);
    impl ModuleSource for Modules<'_> {
        fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
            self.0.read(path, FILE_LIMIT)
        }
    }
    let at = format!("/lib/modules/{kernel}");
    let files =
        guest_index(&Modules(guest), &at).and_then(|index| missing_modules(&index, kernel, drivers, &BTreeMap::new()));
    let files = match files {
        Ok(files) if !files.is_empty() => files,
        Err(error) if error.kind != ErrorKind::Unusable => return Err(error),
        _ => return Ok(0),
    };
    let indexes = INDEXES.into_iter().chain(["modules.dep", "modules.dep.bin"]);
    let mut bytes = 0u64;
    for file in files.iter().map(String::as_str).chain(indexes) {
        bytes = bytes.saturating_add(guest.stat(&format!("{at}/{file}"))?.map_or(0, |stat| stat.size.min(FILE_LIMIT)));
    }
    Ok(bytes)
}

/// The files of the drivers and their dependencies that the initramfs lacks, relative to the modules' folder.
fn missing_modules(
    index: &ModuleIndex,
    kernel: &str,
    drivers: &[String],
    present: &BTreeMap<String, String>,
) -> Result<BTreeSet<String>> {
    let mut missing = BTreeSet::new();
    for driver in drivers {
        let driver = module_name(driver);
        if index.is_built_in(&driver) {
            continue;
        }
        let closure = index.closure(&driver).ok_or_else(|| {
            PluginError::unusable(format!("kernel {kernel} has no module {driver}"))
                .hint("use a newer kernel in the guest, or give its disk to an IDE or SATA controller")
        })?;
        missing.extend(closure.filter(|file| !present.contains_key(&module_name(file))).map(str::to_owned));
    }
    Ok(missing)
}

fn guest_index(source: &dyn ModuleSource, at: &str) -> Result<ModuleIndex> {
    let text = |name: &str| -> Result<Option<String>> {
        Ok(source.read(&format!("{at}/{name}"))?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    let dep = text("modules.dep")?.ok_or_else(|| {
        PluginError::unusable(format!("{at}/modules.dep is missing"))
            .hint("run depmod in the guest before the migration")
    })?;
    Ok(ModuleIndex::parse(&dep, &text("modules.builtin")?.unwrap_or_default()))
}

/// The modules' content, and indexes that speak of them and of what the initramfs has already (`paths`, by module name: a
/// module may have lost or changed its compression on its way into the initramfs, so what counts is the file in there).
fn with_indexes(
    source: &dyn ModuleSource,
    at: &str,
    modules: BTreeSet<String>,
    index: &ModuleIndex,
    mut paths: BTreeMap<String, String>,
) -> Result<Vec<(String, Vec<u8>)>> {
    let mut out = Vec::new();
    for file in modules {
        let path = format!("{at}/{file}");
        let data = source
            .read(&path)?
            .ok_or_else(|| PluginError::unusable(format!("{path} is missing although modules.dep names it")))?;
        paths.insert(module_name(&file), file.clone());
        out.push((file, data));
    }
    let mut text = String::new();
    let mut binary = BTreeMap::new();
    for (name, path) in &paths {
        let mut line = format!("{path}:");
        for need in index.closure(name).into_iter().flatten().skip(1) {
            // What the initramfs does not have, depmod would not have named there either.
            if let Some(need) = paths.get(&module_name(need)) {
                line.push(' ');
                line.push_str(need);
            }
        }
        text.push_str(&line);
        text.push('\n');
        binary.insert(name.clone(), line);
    }
    let binary = index::write(&binary);
    if binary.len() > index::SIZE_LIMIT {
        return Err(bad("its module index would be larger than 256 MiB, the format's limit"));
    }
    out.push(("modules.dep".to_owned(), text.into_bytes()));
    out.push(("modules.dep.bin".to_owned(), binary));
    for name in INDEXES {
        if let Some(data) = source.read(&format!("{at}/{name}"))? {
            out.push((name.to_owned(), data));
        }
    }
    Ok(out)
}

/// Every folder above these files, parents first.
fn folders_of<'a>(files: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    let mut folders = BTreeSet::new();
    for file in files {
        let mut path = file.as_str();
        while let Some((folder, _)) = path.rsplit_once('/') {
            folders.insert(folder.to_owned());
            path = folder;
        }
    }
    folders
}

//! Which files a package copies where: `CopyFiles`, `DestinationDirs`, `SourceDisksFiles`, `SourceDisksNames`.

use super::number::number;
use super::{Reading, sections::Line};
use crate::version::Windows;

/// A folder that an INF names by its number (DIRID).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Directory {
    /// 10.
    Windows,
    /// 11.
    System32,
    /// 12.
    Drivers,
    /// 13: the package's own folder in the driver store.
    DriverStore,
    /// 17.
    Inf,
    /// Any other.
    Other(u32),
}

impl Directory {
    pub(super) const fn of(number: u32) -> Self {
        match number {
            10 => Self::Windows,
            11 => Self::System32,
            12 => Self::Drivers,
            13 => Self::DriverStore,
            17 => Self::Inf,
            other => Self::Other(other),
        }
    }

    /// Its path in the folder of Windows, with backslashes; none for the driver store and for folders that this library does not know.
    pub const fn in_windows(self) -> Option<&'static str> {
        match self {
            Self::Windows => Some(""),
            Self::System32 => Some("System32"),
            Self::Drivers => Some("System32\\drivers"),
            Self::Inf => Some("INF"),
            Self::DriverStore | Self::Other(_) => None,
        }
    }
}

/// A file of the package and its place in the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileCopy {
    /// Path in the package's folder, with slashes.
    pub source: String,
    /// Folder in the guest.
    pub directory: Directory,
    /// Path in that folder, with backslashes; mostly empty.
    pub subfolder: String,
    /// Name in the guest.
    pub name: String,
}

/// The copies that the `CopyFiles` lines of a section ask for.
pub(super) fn copies(inf: &Reading, section: &str, windows: &Windows) -> Result<Vec<FileCopy>, String> {
    let mut copies = Vec::new();
    for name in inf.listed(section, "CopyFiles") {
        if let Some(file) = name.strip_prefix('@') {
            copies.push(copy(inf, "DefaultDestDir", file, file, windows)?);
            continue;
        }
        for line in inf.section(&name)? {
            // Before `=` would stand nothing that Windows reads here.
            let (to, from) = (inf.expand(line.field(0)), inf.expand(line.field(1)));
            copies.push(copy(inf, &name, &to, if from.is_empty() { &to } else { &from }, windows)?);
        }
        inf.count(copies.len())?;
    }
    Ok(copies)
}

fn copy(inf: &Reading, list: &str, to: &str, from: &str, windows: &Windows) -> Result<FileCopy, String> {
    let place = |key| inf.sections.first("DestinationDirs", key);
    let (directory, subfolder) = match place(list).or_else(|| place("DefaultDestDir")) {
        None => (Directory::System32, String::new()),
        Some(line) => {
            let id = inf.expand(line.field(0));
            let id = number(&id).ok_or_else(|| format!("[DestinationDirs]: \"{id}\" is no number of a folder"))?;
            (Directory::of(id), inf.expand(line.field(1)))
        }
    };
    let subfolder = relative(&subfolder)?.join("\\");
    Ok(FileCopy { source: source(inf, from, windows)?, directory, subfolder, name: relative(to)?.join("\\") })
}

/// Where the file lies in the package: the folder of its disk, its own folder, its name.
fn source(inf: &Reading, file: &str, windows: &Windows) -> Result<String, String> {
    let arch = windows.architecture.word();
    let find = |section: &str, key: &str| {
        let decorated = inf.sections.first(&format!("{section}.{arch}"), key);
        decorated.or(inf.sections.first(section, key)).cloned()
    };
    let entry: Option<Line> = find("SourceDisksFiles", file);
    let disk = entry.as_ref().and_then(|entry| find("SourceDisksNames", entry.field(0)));
    let folder = disk.as_ref().map_or("", |disk| disk.field(3));
    let subfolder = entry.as_ref().map_or("", |entry| entry.field(1));
    let parts = [folder, subfolder, file].map(|part| relative(&inf.expand(part)));
    let parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(parts.concat().join("/"))
}

/// The parts of a path that stays in its folder.
fn relative(path: &str) -> Result<Vec<String>, String> {
    let parts = path.split(['\\', '/']).filter(|part| !part.is_empty() && *part != ".");
    parts
        .map(|part| match part.contains(|char: char| char == ':' || char.is_control()) || part == ".." {
            true => Err(format!("\"{path}\" leads out of the package")),
            false => Ok(part.to_owned()),
        })
        .collect()
}

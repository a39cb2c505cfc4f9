//! JOBS in CSV: a row for each VM, columns by the names in the first line, comma or semicolon. A column is `source`, `output`, `name`, `group`,
//! `keys` (several parted by blanks), `bytes`, or any setting by its dotted name, whose values are read as `--set` reads them.

use std::path::{Path, PathBuf};

use serde_json::json;
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::tree::{check_keys, set};
use super::{List, MOST, Retries, Row, text};
use crate::batch::limits::Limits;
use crate::config::nearest::nearest;
use crate::config::option::{Kind, paths};
use crate::config::{Settings, parse_set, parse_value};

/// No table has more columns.
const MOST_COLUMNS: usize = 1000;
/// The columns that are no settings, and the short one for `source.uri`.
const OWN: [&str; 5] = ["source", "name", "group", "keys", "bytes"];

/// Reads a list.
pub(super) fn read(path: &Path) -> Result<List> {
    let sheet = Sheet::read(path)?;
    let base = std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default();
    let columns = sheet.head.iter().map(|name| Column::of(name)).collect::<Result<Vec<_>, String>>();
    let columns = columns.map_err(|what| PluginError::config(format!("{}, line 1: {what}", path.display())))?;
    if let Some(twice) = (1..columns.len()).find(|index| columns[..*index].contains(&columns[*index])) {
        let name = crate::events::escape(&sheet.head[twice]).into_owned();
        return Err(PluginError::config(format!("{}, line 1: the column `{name}` appears twice", path.display())));
    }
    let mut rows = Vec::new();
    for (line, cells) in sheet.rows {
        let mut row = Row { place: format!("{}, line {line}", path.display()), ..Row::default() };
        for (column, cell) in columns.iter().zip(cells.into_iter().map(|cell| cell.trim().to_owned())) {
            if !cell.is_empty() {
                column.take(&mut row, cell, &base).map_err(PluginError::config)?;
            }
        }
        check_keys(&row).map_err(PluginError::config)?;
        rows.push(row);
    }
    Ok(List { output: None, defaults: None, limits: Limits::default(), retries: Retries::default(), rows })
}

/// A column, by what it is for.
#[derive(Debug, PartialEq)]
enum Column {
    Source,
    Name,
    Group,
    Keys,
    Bytes,
    Setting { path: Vec<String>, is_path: bool },
}

impl Column {
    fn of(name: &str) -> Result<Self, String> {
        let name = name.trim();
        Ok(match name {
            "source" | "source.uri" => Self::Source,
            "name" => Self::Name,
            "group" => Self::Group,
            "keys" => Self::Keys,
            "bytes" => Self::Bytes,
            _ => {
                let known = paths(Settings::KEYS);
                let (path, _) = parse_set(&format!("{name}=0")).map_err(|_| unknown(name, &known))?;
                // Below a table of tables, plugins check their own.
                let open = |kind: Kind| matches!(kind, Kind::Tables(_) | Kind::Networks | Kind::Secrets);
                let dotted = path.join(".");
                let is_of = |known: &str, kind: Kind| {
                    dotted == *known || (open(kind) && dotted.starts_with(&format!("{known}.")))
                };
                let found = known.iter().find(|(known, key)| is_of(known, key.kind));
                let (_, key) = found.ok_or_else(|| unknown(name, &known))?;
                Self::Setting { path, is_path: matches!(key.kind, Kind::Path) }
            }
        })
    }

    fn take(&self, row: &mut Row, cell: String, base: &Path) -> Result<(), String> {
        match self {
            Self::Name => {
                row.words.push(("name", cell.clone()));
                row.name = Some(cell);
            }
            Self::Group => row.group = Some(cell),
            Self::Keys => row.keys = cell.split_whitespace().map(str::to_owned).collect(),
            Self::Bytes => {
                let bytes = cell.parse().map_err(|_| format!("{}: `bytes` must be a whole number", row.place))?;
                row.bytes = Some(bytes);
            }
            Self::Source => {
                let uri = if cell.contains("://") { cell } else { joined(base, &cell) };
                set(&mut row.settings, &["source".to_owned(), "uri".to_owned()], json!(uri));
            }
            Self::Setting { path, is_path: true } => set(&mut row.settings, path, json!(joined(base, &cell))),
            Self::Setting { path, .. } => set(&mut row.settings, path, parse_value(&cell)),
        }
        Ok(())
    }
}

fn joined(base: &Path, path: &str) -> String {
    let path: PathBuf = base.join(path);
    path.to_string_lossy().into_owned()
}

fn unknown(name: &str, known: &[(String, &crate::config::option::Key)]) -> String {
    let meant = nearest(name, OWN.into_iter().chain(known.iter().map(|(path, _)| path.as_str())));
    let meant = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
    format!("unknown column `{}`{meant}", crate::events::escape(name))
}

/// A table as it stands in a file.
pub(super) struct Sheet {
    /// The names in the first line.
    pub head: Vec<String>,
    /// The others that are not empty, each with the number of its line.
    pub rows: Vec<(u64, Vec<String>)>,
}

impl Sheet {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = text(path)?;
        let first = text.lines().next().unwrap_or_default();
        let semicolons = first.matches(';').count() > first.matches(',').count();
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(if semicolons { b';' } else { b',' })
            .has_headers(true)
            .flexible(true)
            .from_reader(text.as_bytes());
        let wrong = |line: u64, what: &str| {
            PluginError::unusable(format!("{}, line {line}: {what}", path.display()))
                .hint("each line needs as many cells as the first one has names")
        };
        let head: Vec<String> =
            reader.headers().map_err(|error| wrong(1, &error.to_string()))?.iter().map(str::to_owned).collect();
        if head.len() > MOST_COLUMNS {
            return Err(wrong(1, &format!("there are more than {MOST_COLUMNS} columns")));
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| {
                let line = error.position().map_or(0, csv::Position::line);
                wrong(line, "it is no CSV")
            })?;
            let line = record.position().map_or(0, csv::Position::line);
            if record.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            if record.len() != head.len() {
                return Err(wrong(line, &format!("{} cells under {} names", record.len(), head.len())));
            }
            rows.push((line, record.iter().map(str::to_owned).collect()));
            if rows.len() > MOST {
                // One more than there may be is enough to say so.
                break;
            }
        }
        Ok(Self { head, rows })
    }
}

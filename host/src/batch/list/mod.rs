//! JOBS as data: what each format says, before it is held against anything. Values are text of somebody else: nothing here trusts them.

mod inventory;
mod table;
mod tree;

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};
use vmdk2kvm_plugin_api::model::Finding;
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::limits::Limits;
use crate::config::Layer;

/// The largest list, in bytes.
const LARGEST: u64 = 64 << 20;
/// The most VMs of one batch.
pub(super) const MOST: usize = 50_000;

/// What a list says.
#[derive(Debug)]
pub(super) struct List {
    /// Takes the VMs' folders.
    pub output: Option<std::path::PathBuf>,
    /// Settings of all VMs.
    pub defaults: Option<Layer>,
    /// How many at once.
    pub limits: Limits,
    /// What is tried again.
    pub retries: Retries,
    /// One for each VM, in the list's order.
    pub rows: Vec<Row>,
}

/// What is tried again, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Retries {
    /// The pause before each further attempt.
    pub pauses: Vec<Duration>,
    /// How long nothing is started at a place that keeps failing.
    pub place: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { pauses: vec![seconds(30), seconds(300)], place: seconds(600) }
    }
}

/// What a list says of one VM.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Where it stands, for messages: `jobs.csv, line 3`.
    pub place: String,
    /// Its name.
    pub name: Option<String>,
    /// Its settings; the source and the output folder are among them.
    pub settings: Map<String, Value>,
    /// The group whose cut-over is one.
    pub group: Option<String>,
    /// The places that it is read from.
    pub keys: Vec<String>,
    /// Bytes that it uses at its source.
    pub bytes: Option<u64>,
    /// What an inventory says of it that somebody should know before.
    pub findings: Vec<Finding>,
    /// What the template of a source may hold, by its word.
    pub words: Vec<(&'static str, String)>,
}

/// Reads JOBS. `source` is the template of the command line.
pub(super) fn read(path: &Path, source: Option<&str>) -> Result<List> {
    let mut list = if path.is_dir() {
        inventory::read(path)?
    } else if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) {
        table::read(path)?
    } else {
        tree::read(path)?
    };
    let label = path.display();
    if list.rows.is_empty() {
        return Err(PluginError::unusable(format!("{label}: it lists no virtual machine")));
    }
    if list.rows.len() > MOST {
        return Err(PluginError::unusable(format!("{label}: it lists more than {MOST} virtual machines"))
            .hint("cut it into several batches"));
    }
    if let Some(template) = source {
        list.rows.iter_mut().for_each(|row| row.fill(template));
    }
    Ok(list)
}

impl Row {
    /// The source, when the row names one.
    pub fn source(&self) -> Option<&str> {
        self.settings.get("source")?.get("uri")?.as_str()
    }

    /// Makes the source of a row that names none. What the row says becomes a part of a URI, never more than that.
    fn fill(&mut self, template: &str) {
        if self.source().is_some() {
            return;
        }
        let (mut uri, mut rest) = (String::new(), template);
        // One pass: what a value holds is never read as a placeholder.
        while let Some(at) = rest.find('{') {
            uri.push_str(&rest[..at]);
            let word = rest[at + 1..].split('}').next().unwrap_or_default();
            match self.words.iter().find(|(known, _)| *known == word) {
                Some((_, value)) => uri.push_str(&crate::uri::escape(value.as_bytes()).replace('/', "%2F")),
                // Without its value there is no source.
                None if matches!(word, "server" | "id" | "uuid" | "name") => return,
                None => uri.push_str(&format!("{{{word}}}")),
            }
            rest = rest[at + 1 + word.len()..].strip_prefix('}').unwrap_or_default();
        }
        uri.push_str(rest);
        let source = self.settings.entry("source").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(source) = source {
            source.insert("uri".to_owned(), Value::String(uri));
        }
    }
}

/// The text of a file, bounded, in UTF-8 with or without a mark.
fn text(path: &Path) -> Result<String> {
    use std::io::Read;
    let label = path.display();
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => PluginError::config(format!("{label}: there is no such file")),
        _ => PluginError::from_io(&label, &error),
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(PluginError::unusable(format!("{label}: larger than {LARGEST} bytes")));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) || bytes.iter().take(1000).any(|b| *b == 0)
    {
        return Err(
            PluginError::unusable(format!("{label}: it is UTF-16, or not text")).hint("save it as CSV in UTF-8")
        );
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        PluginError::unusable(format!("{label}: line {} is not UTF-8", line + 1)).hint("save it as CSV in UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned))
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;

//! Puts the three reports into the folder of the result, whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use vmdk2kvm_plugin_api::{PluginError, Result};

use super::{Report, html, markdown};

/// The largest screenshot that is put into the page, in bytes.
const LARGEST_SCREENSHOT: u64 = 8 << 20;

/// The first bytes of a PNG (PNG specification, section 5.2).
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Folder of the boot test's evidence, in the folder of the result.
const EVIDENCE: &str = "boot";

/// Writes `report.json`, `report.md` and `report.html` into `dir`, replacing those of a former run. A screenshot that
/// the boot test left in the folder `boot` becomes part of the page.
pub fn write(dir: &Path, report: &Report) -> Result<()> {
    let mut json = serde_json::to_string_pretty(report)
        .map(|json| crate::events::safe_json(&json))
        .map_err(|error| PluginError::defect(format!("the report is no JSON: {error}")))?;
    json.push('\n');
    let screenshot = screenshot(report, &dir.join(EVIDENCE));
    write_whole(&dir.join("report.html"), html::html(report, screenshot.as_deref()).as_bytes())?;
    write_whole(&dir.join("report.md"), markdown::markdown(report).as_bytes())?;
    // Last: what programs wait for.
    write_whole(&dir.join("report.json"), json.as_bytes())
}

/// The first screenshot of the boot test that is there and is a PNG.
fn screenshot(report: &Report, dir: &Path) -> Option<Vec<u8>> {
    let files =
        report.test.iter().flat_map(|test| &test.verdict.evidence).filter(|evidence| evidence.kind == "screenshot");
    files.filter_map(|evidence| evidence.file.as_deref()).find_map(|name| {
        // A plain name: the plugin may not point out of its folder.
        let name = Path::new(name).file_name().filter(|file| *file == name)?;
        let file = File::open(dir.join(name)).ok().filter(|file| file.metadata().is_ok_and(|meta| meta.is_file()))?;
        let mut bytes = Vec::new();
        file.take(LARGEST_SCREENSHOT + 1).read_to_end(&mut bytes).ok()?;
        (bytes.starts_with(PNG) && bytes.len() as u64 <= LARGEST_SCREENSHOT).then_some(bytes)
    })
}

/// Writes a file that appears under its name only when it is complete and synced; mode 0600. A file of that name is
/// replaced.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error: std::io::Error| PluginError::from_io(path.display(), &error);
    let part = part_of(path);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, path)?;
        match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
            _ => File::open(".")?.sync_all(),
        }
    })();
    written.map_err(|error| {
        let _ = std::fs::remove_file(&part);
        failed(error)
    })
}

/// A name beside the file that no other process takes.
fn part_of(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{}.part", std::process::id()))
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;

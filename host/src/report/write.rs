//! Puts the three reports into the folder of the result, whole or not at all.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use vmdk2kvm_plugin_api::{PluginError, Result};

use super::{Report, html, markdown};
use crate::journal::write_file;

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
    write_file(&dir.join("report.html"), html::html(report, screenshot.as_deref()).as_bytes())?;
    write_file(&dir.join("report.md"), markdown::markdown(report).as_bytes())?;
    // Last: what programs wait for.
    write_file(&dir.join("report.json"), json.as_bytes())
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

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;

//! Scripts of the user for the first start.

use std::path::Path;

use vmdk2kvm_plugin_api::{PluginError, Result};

use super::first_boot::{Staged, crlf};

/// Largest script, in bytes.
const LIMIT: u64 = 1 << 20;

/// The ending of a script that Windows runs; `None` when it is another.
pub fn kind(path: &str) -> Option<&'static str> {
    let ending = Path::new(path).extension()?.to_str()?.to_ascii_lowercase();
    ["cmd", "bat", "ps1"].into_iter().find(|known| *known == ending)
}

/// The scripts, numbered so that they run in the order that the user gave.
pub fn scripts(paths: &[String]) -> Result<Vec<Staged>> {
    paths.iter().enumerate().map(|(index, path)| script(index + 1, path)).collect()
}

/// A file of this machine that a setting names.
pub fn read(path: &str, key: &str, limit: u64) -> Result<Vec<u8>> {
    let failed = |what: String| PluginError::config(format!("{key}: {path}: {what}"));
    let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > limit {
        return Err(failed(format!("{size} bytes, more than the {limit} that are read")));
    }
    std::fs::read(path).map_err(|error| failed(error.to_string()))
}

fn script(number: usize, path: &str) -> Result<Staged> {
    let content = read(path, "first_boot", LIMIT)?;
    // A script in UTF-16 stays as it is.
    let content = match String::from_utf8(content) {
        Ok(text) => crlf(&text),
        Err(raw) => raw.into_bytes(),
    };
    let name = format!("user/{number:02}.{}", kind(path).unwrap_or("cmd"));
    Ok(Staged { name, content, reason: format!("the job wants {path} to run at the first start") })
}

//! What a plugin writes, held against files in its tree.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use vmdk2kvm_plugin_api::model::Rendered;

/// The variable that has the files written anew.
const RENEW: &str = "RENEW_GOLDEN";

/// Holds what was rendered against the files of a folder: each file, and `findings` with the code and message of each finding.
/// With `RENEW_GOLDEN=1` in the environment the folder is written anew.
///
/// # Panics
/// When a file differs, is missing, or is one too many; and when the folder cannot be read or written.
#[track_caller]
pub fn assert_golden(folder: &Path, rendered: &Rendered) {
    let mut wanted: BTreeMap<String, String> =
        rendered.files.iter().map(|file| (file.name.clone(), file.text.clone())).collect();
    let mut findings = String::new();
    for finding in &rendered.findings {
        // Writing to a string does not fail.
        let _ = writeln!(findings, "{:?} {}: {}", finding.severity, finding.code, finding.message);
    }
    wanted.insert("findings".to_owned(), findings);
    if std::env::var_os(RENEW).is_some() {
        if folder.exists() {
            fs::remove_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        }
        fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for (name, text) in &wanted {
            fs::write(folder.join(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        return;
    }
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}: write it with {RENEW}=1", folder.display()));
    let stored: BTreeMap<String, String> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((path.file_name()?.to_str()?.to_owned(), fs::read_to_string(&path).ok()?))
        })
        .collect();
    let (names, expected): (Vec<_>, Vec<_>) = (wanted.keys().collect(), stored.keys().collect());
    assert_eq!(names, expected, "{}: other files than expected; {RENEW}=1 writes them anew", folder.display());
    for (name, text) in &wanted {
        let path = folder.join(name);
        assert!(text == &stored[name], "{} differs; {RENEW}=1 writes it anew. It is now:\n{text}", path.display());
    }
}

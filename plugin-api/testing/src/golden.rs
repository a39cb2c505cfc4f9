//! What a plugin writes, held against files in its tree.

use std::collections::{BTreeMap, BTreeSet};
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
    if let Some(difference) = difference(folder, &wanted) {
        panic!("{difference}; {RENEW}=1 writes the folder anew");
    }
}

/// How a folder's files are others than wanted.
fn difference(folder: &Path, wanted: &BTreeMap<String, String>) -> Option<String> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return Some(format!("{}: {error}", folder.display())),
    };
    let names: BTreeSet<String> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    if !names.iter().eq(wanted.keys()) {
        return Some(format!("{} has {names:?}, and not {:?}", folder.display(), wanted.keys()));
    }
    let other = wanted.iter().find(|(name, text)| fs::read_to_string(folder.join(name)).ok().as_ref() != Some(text));
    other.map(|(name, text)| format!("{} differs. It is now:\n{text}", folder.join(name).display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_noticed() {
        let folder = std::env::temp_dir().join(format!("vmdk2kvm-golden-{}", std::process::id()));
        let wanted = |files: &[(&str, &str)]| {
            files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect::<BTreeMap<_, _>>()
        };
        assert!(difference(&folder, &wanted(&[])).unwrap().contains("No such file"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("web.xml"), "a").unwrap();
        let found = [&[("web.xml", "a")][..], &[("web.xml", "b")], &[("web.xml", "a"), ("web.sh", "")], &[]]
            .map(|files| difference(&folder, &wanted(files)).map(|text| text.replace(folder.to_str().unwrap(), "F")));
        fs::remove_dir_all(&folder).unwrap();
        let expected = [
            None,
            Some("F/web.xml differs. It is now:\nb".to_owned()),
            Some("F has {\"web.xml\"}, and not [\"web.sh\", \"web.xml\"]".to_owned()),
            Some("F has {\"web.xml\"}, and not []".to_owned()),
        ];
        assert_eq!(found, expected);
    }
}

//! A result that is there already: that of this very job, which is not made again, or that of another, and what sets it apart.
//!
//! `migrate`, `apply` and `fix` leave a report, and are recognised by it. `flatten` and `convert` leave images and nothing else: their report is
//! remembered among what this user's runs leave elsewhere. Where it is not, the images are somebody's, and are not replaced.

use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::keys::Keys;
use super::output::Output;
use crate::config::{Command, Job};
use crate::journal::{FINISHED, state_folder, write_file};
use crate::report::{ImageRecord, Report};

/// A report that is remembered, and the folder whose images it is about.
#[derive(Serialize, Deserialize)]
struct Remembered {
    folder: PathBuf,
    report: Report,
}

/// Remembers the report of a job that leaves none, and forgets those of folders that are gone. The result is the images: it stands without this.
pub(super) fn remember(job: &Job, output: &Output, report: &Report) {
    let Some(register) = state_folder(FINISHED) else { return };
    for entry in std::fs::read_dir(&register).into_iter().flatten().flatten() {
        if recall(&entry.path()).is_none_or(|known| !known.folder.is_dir()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    let remembered = Remembered { folder: output.dir.clone(), report: report.clone() };
    if let Ok(text) = serde_json::to_vec(&remembered) {
        let _ = write_file(&place(&register, job, output), &text);
    }
}

fn recall(path: &Path) -> Option<Remembered> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// One file for each machine's images of a format in a folder: those of another format lie beside them.
fn place(register: &Path, job: &Job, output: &Output) -> PathBuf {
    let mut digest = Sha256::new_with_prefix(output.dir.as_os_str().as_encoded_bytes());
    digest.update([0]);
    digest.update(&output.name);
    digest.update([0]);
    digest.update(job.settings.format.as_str());
    register.join(format!("{:x}.json", digest.finalize()))
}

/// The report of a former run that did exactly this, with its images in place.
pub(super) fn read(job: &Job, output: &Output, keys: &Keys, disks: usize) -> Option<Report> {
    let report = job.settings.from.is_none().then(|| former(job, output))??;
    let whole = report.images.len() == disks && report.images.iter().all(|image| is_whole(job, output, image));
    (whole && report.key.as_deref() == Some(keys.job.as_str())).then_some(report)
}

fn former(job: &Job, output: &Output) -> Option<Report> {
    match job.command {
        Command::Flatten | Command::Convert => {
            let known = recall(&place(&state_folder(FINISHED)?, job, output))?;
            (known.folder == output.dir).then_some(known.report)
        }
        _ => serde_json::from_slice(&std::fs::read(output.dir.join("report.json")).ok()?).ok(),
    }
}

/// Whether an image is as it was left. A machine that was started from it since has changed it, and is no reason to migrate again.
fn is_whole(job: &Job, output: &Output, image: &ImageRecord) -> bool {
    let Ok(found) = output.dir.join(&image.path).metadata() else { return false };
    if found.file_type().is_block_device() {
        return true;
    }
    let changes = !matches!(job.command, Command::Flatten | Command::Convert);
    found.is_file() && (changes || image.file_bytes.is_none_or(|bytes| bytes == found.len()))
}

/// How the result that has the name of this one came about, for a hint; `None`: nothing is known of it.
pub(super) fn difference(job: &Job, output: &Output, keys: &Keys, source: &str) -> Option<String> {
    let report = former(job, output)?;
    let parts = report.key_parts.as_ref()?;
    let words = words(parts, &keys.parts, report.source.uri == crate::config::secret::mask_uri(source));
    if !words.is_empty() {
        return Some(format!("it was made by a run that differs in {}", words.join(", ")));
    }
    let is_changed = |image: &&ImageRecord| !is_whole(job, output, image);
    report.images.iter().find(is_changed).map(|image| {
        let state = if output.dir.join(&image.path).exists() { "is not as it was made" } else { "is gone" };
        format!("it was made by this command, but {} {state}", crate::events::escape(&image.path))
    })
}

/// What differs between two jobs, the most telling first.
fn words(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>, same_uri: bool) -> Vec<String> {
    let other = |part: &str| before.get(part).filter(|value| now.get(part) != Some(value));
    let mut words = Vec::new();
    words.extend(other("command").map(|value| format!("the command ({value})")));
    match other("source") {
        // A disk that is made larger reads as another one, too.
        Some(_) if same_uri && other("machine").is_some() => {
            words.push("the machine, or the size of a disk".to_owned())
        }
        Some(_) if same_uri => words.push("the content of the source".to_owned()),
        Some(_) => words.push("the source".to_owned()),
        // It names the files of the source, too.
        None => words.extend(other("machine").map(|_| "the machine, or the size of a disk".to_owned())),
    }
    words.extend(other("format").map(|value| format!("the format ({value})")));
    words.extend(other("compression").map(|_| "the compression".to_owned()));
    words.extend(other("devices").map(|_| "the devices that take disks".to_owned()));
    words.extend(other("plan").map(|_| "the plan".to_owned()));
    words.extend(other("settings").map(|_| "the settings of plugins, keys or the root".to_owned()));
    words.extend(other("new machine").map(|_| "the settings of the new machine".to_owned()));
    words.extend(other("target").map(|_| "the targets".to_owned()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named() {
        let parts = |changes: &[(&str, &str)]| {
            let all =
                ["command", "source", "machine", "format", "compression", "plan", "settings", "new machine", "target"];
            let mut parts: BTreeMap<String, String> =
                all.iter().map(|part| ((*part).to_owned(), "same".to_owned())).collect();
            parts.extend(changes.iter().map(|(part, value)| ((*part).to_owned(), (*value).to_owned())));
            parts
        };
        for (changes, same_uri, expected) in [
            (vec![], true, ""),
            (vec![("format", "raw"), ("command", "convert")], true, "the command (convert), the format (raw)"),
            (vec![("source", "x")], true, "the content of the source"),
            (vec![("source", "x"), ("machine", "x")], true, "the machine, or the size of a disk"),
            (vec![("source", "x"), ("machine", "x")], false, "the source"),
            (vec![("machine", "x")], true, "the machine, or the size of a disk"),
            (
                vec![("compression", "x"), ("plan", "x"), ("settings", "x"), ("new machine", "x"), ("target", "x")],
                true,
                "the compression, the plan, the settings of plugins, keys or the root, the settings of the new machine, the targets",
            ),
        ] {
            assert_eq!(words(&parts(&changes), &parts(&[]), same_uri).join(", "), expected);
        }
        // The record of a later version may know of more.
        assert!(words(&parts(&[("weather", "rain")]), &parts(&[]), true).is_empty());
    }
}

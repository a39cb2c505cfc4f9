//! One archive for a report of a defect: what a run left, what this machine is, with names, addresses and secrets masked.
//!
//! Owns which files are taken and the archive; what is masked and how is in `mask`. Nothing is sent anywhere, and no image is read.

mod mask;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use vmdk2kvm_plugin_api::{PluginError, Result};

use self::mask::Mask;
use crate::config::secret;
use crate::journal::{output_error, write_file};

/// No file is taken longer than this, in bytes: of a longer one its end.
const LIMIT: u64 = 8 << 20;

/// What a run leaves beside its images that tells of it. A screenshot shows what nobody can mask.
const OF_RUN: [&str; 3] = ["report.json", "plan.json", "boot/console.log"];

/// The folder of an unfinished run.
const UNFINISHED: &str = ".vmdk2kvm-work";

/// What is in the archive.
#[derive(Debug, serde::Serialize)]
pub struct Collected {
    /// Where it is.
    pub archive: PathBuf,
    /// Its files.
    pub files: Vec<String>,
    /// What is not in it, each with the reason.
    pub left_out: Vec<String>,
    /// How many different values were masked.
    pub masked: usize,
}

/// Collects what a run left in `dir`, the files in `more` (events, logs), and `machine`, which `doctor` says, into a new archive.
pub fn collect(dir: &Path, more: &[PathBuf], machine: &Value, archive: &Path) -> Result<Collected> {
    if !dir.is_dir() {
        return Err(PluginError::unusable(format!("{} is not a folder", dir.display()))
            .hint("name the folder that a run was told with -o"));
    }
    if archive.symlink_metadata().is_ok() {
        return Err(PluginError::output(format!("{} exists already", archive.display()))
            .hint("move it away, or name another file with --to"));
    }
    let mut texts = Vec::new();
    let mut left_out = vec!["boot/screenshot.png: a picture cannot be masked".to_owned()];
    let of_run = OF_RUN.iter().map(|name| (PathBuf::from(name), dir.join(name)));
    let unfinished = records(&dir.join(UNFINISHED))
        .into_iter()
        .map(|path| (path.strip_prefix(dir).unwrap_or(&path).to_owned(), path));
    let given = more.iter().map(|path| (Path::new("given").join(path.file_name().unwrap_or_default()), path.clone()));
    for (name, path) in of_run.chain(unfinished).chain(given) {
        let is_given = more.contains(&path);
        match read(&path) {
            Ok(text) => texts.push((name.display().to_string(), text)),
            Err(error) if is_given => return Err(PluginError::from_io(path.display(), &error)),
            Err(error) => left_out.push(format!("{}: {error}", name.display())),
        }
    }
    texts.push(("doctor.json".to_owned(), pretty(machine)));
    let documents: Vec<Value> = texts.iter().filter_map(|(_, text)| serde_json::from_str(text).ok()).collect();
    let mut mask = Mask::new(dir);
    documents.iter().for_each(|document| mask.learn(document));
    let texts: Vec<(String, String)> =
        texts.into_iter().map(|(name, text)| (mask.text(&name), mask.text(&bare(&text)))).collect();
    let files: Vec<String> = texts.iter().map(|(name, _)| name.clone()).collect();
    let about = about(&files, &left_out, mask.count());
    let all = std::iter::once(("README.txt".to_owned(), about)).chain(texts);
    write_file(archive, &packed(all).map_err(|error| output_error(archive.display(), &error))?)?;
    Ok(Collected { archive: archive.to_owned(), files, left_out, masked: mask.count() })
}

/// The records of an unfinished run.
fn records(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut records: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect();
    records.sort();
    records
}

/// The end of a file, as text.
fn read(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    file.seek(SeekFrom::Start(metadata.len().saturating_sub(LIMIT)))?;
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A document without secrets and without the content of guests' files, which only its differences tell of.
fn bare(text: &str) -> String {
    let Ok(mut document) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    secret::mask(&mut document);
    drop_content(&mut document);
    pretty(&document)
}

fn drop_content(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|key, _| key != "content");
            members.values_mut().for_each(drop_content);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_content),
        _ => {}
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn about(files: &[String], left_out: &[String], masked: usize) -> String {
    format!(
        "What vmdk2kvm {} collected of a run. {masked} names, addresses and secrets were replaced by words such as address-1;\n\
         the same value has the same word in all files. Read the files before you give them to anybody.\n\n\
         In it:\n  {}\n\nNot in it:\n  {}\n",
        env!("CARGO_PKG_VERSION"),
        files.join("\n  "),
        left_out.join("\n  ")
    )
}

fn packed(files: impl Iterator<Item = (String, String)>) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, format!("vmdk2kvm-report/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()
}

//! A log of finished work: records appended one after the other, each synced, for a step that takes hours and can be continued.
//!
//! The file is a sequence of frames: the length of the content (u32, little endian), the first 8 bytes of its SHA-256, the content. The first frame holds
//! the key of the work. A frame that is cut, torn or changed ends the log: what follows it counts for nothing, and the next record is written in its
//! place. What a record claims is done must be synced before the record is appended; what records mean is for their writer.

use std::io::{self, BufReader, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::promote::{output_error, remove_file, sync_folder};
use super::record::StageKey;
use super::steps::DurableFile;

/// Length and digest.
const FRAME_HEAD: usize = 12;

/// The longest content of a frame, in bytes: bounds what a damaged length can make us allocate.
const LONGEST: usize = 32 << 20;

/// A log that is open for more records.
#[derive(Debug)]
pub struct Log {
    file: DurableFile,
    end: u64,
}

impl Log {
    /// Begins an empty log in place of one that may be there.
    pub fn create(path: &Path, key: &StageKey) -> Result<Self> {
        remove_file(path)?;
        let failed = |error: io::Error| failed(path, &error);
        let mut log = Self { file: DurableFile::create(path).map_err(failed)?, end: 0 };
        log.append(key.as_str().as_bytes())?;
        sync_folder(path.parent().unwrap_or(Path::new("/")))?;
        Ok(log)
    }

    /// Whether there is a log of this work.
    pub fn is_of(path: &Path, key: &StageKey) -> Result<bool> {
        let read = || -> io::Result<bool> {
            let mut content = Vec::new();
            let file = DurableFile::open(path)?;
            Ok(next(&mut BufReader::new(file.file()), &mut content)? && content == key.as_str().as_bytes())
        };
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            other => other.map_err(|error| failed(path, &error)),
        }
    }

    /// Opens the log of this work and shows its records in their order to `read`, until that returns false for one it cannot use. `None`
    /// when there is no log of this work.
    pub fn open(path: &Path, key: &StageKey, mut read: impl FnMut(&[u8]) -> bool) -> Result<Option<Self>> {
        let file = match DurableFile::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| failed(path, &error))?,
        };
        let mut reader = BufReader::new(file.file());
        let mut content = Vec::new();
        let mut end = 0;
        let mut first = true;
        while next(&mut reader, &mut content).map_err(|error| failed(path, &error))? {
            let usable = if first { content == key.as_str().as_bytes() } else { read(&content) };
            if !usable {
                break;
            }
            first = false;
            end += (FRAME_HEAD + content.len()) as u64;
        }
        if end == 0 {
            return Ok(None);
        }
        drop(reader);
        // Otherwise a record of before could follow a shorter one that was written in the place of a damaged one.
        file.set_length(end).map_err(|error| failed(path, &error))?;
        Ok(Some(Self { file, end }))
    }

    /// Appends a record and syncs it.
    pub fn append(&mut self, content: &[u8]) -> Result<()> {
        if content.len() > LONGEST {
            return Err(PluginError::defect(format!("a log record of {} bytes is too long", content.len())));
        }
        let mut frame = Vec::with_capacity(FRAME_HEAD + content.len());
        frame.extend((content.len() as u32).to_le_bytes());
        frame.extend(check(content));
        frame.extend(content);
        let written = self.file.write(&frame, self.end).and_then(|()| self.file.sync());
        written.map_err(|error| failed(self.file.path(), &error))?;
        self.end += frame.len() as u64;
        Ok(())
    }
}

fn failed(path: &Path, error: &io::Error) -> PluginError {
    output_error(path.display(), error)
}

fn check(content: &[u8]) -> [u8; 8] {
    let digest = Sha256::digest(content);
    std::array::from_fn(|at| digest[at])
}

/// Reads the next frame's content; false at the end of what counts.
fn next(reader: &mut impl Read, content: &mut Vec<u8>) -> io::Result<bool> {
    let mut head = [0; FRAME_HEAD];
    if !filled(reader.read_exact(&mut head))? {
        return Ok(false);
    }
    let [l0, l1, l2, l3, sum @ ..] = head;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if length > LONGEST {
        return Ok(false);
    }
    content.resize(length, 0);
    Ok(filled(reader.read_exact(content))? && sum == check(content))
}

fn filled(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        other => other.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(path: &Path, key: &StageKey) -> Option<Vec<Vec<u8>>> {
        let mut records = Vec::new();
        let log = Log::open(path, key, |record| {
            records.push(record.to_vec());
            true
        });
        log.unwrap().map(|_| records)
    }

    #[test]
    fn a_damaged_record_ends_the_log_and_the_next_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy.log");
        let (key, other) = (StageKey::new(&["a"]), StageKey::new(&["b"]));
        assert_eq!(records(&path, &key), None);
        let mut log = Log::create(&path, &key).unwrap();
        for record in [&b"one"[..], b"", b"three"] {
            log.append(record).unwrap();
        }
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(records(&path, &key).unwrap(), [&b"one"[..], b"", b"three"]);
        assert_eq!(records(&path, &other), None);
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let found = records(&path, &key).map_or(0, |records| records.len() + 1);
            // 76 bytes of key, then 15, 12 and 17.
            assert_eq!(found, [76, 91, 103].iter().filter(|end| **end <= cut).count(), "cut at {cut}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            std::fs::write(&path, &changed).unwrap();
            let found = records(&path, &key).map_or(0, |records| records.len() + 1);
            assert_eq!(found, [76, 91, 103].iter().filter(|end| **end <= at).count(), "changed at {at}");
        }
        let mut changed = whole.clone();
        changed[90] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let mut log = Log::open(&path, &key, |_| true).unwrap().unwrap();
        log.append(b"two").unwrap();
        assert_eq!(records(&path, &key).unwrap(), [b"two"]);
    }
}

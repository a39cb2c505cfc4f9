//! A log of finished work: records appended one after the other, each synced, for a step that takes hours and can be continued.
//!
//! The file is a sequence of frames: the length of the content (u32, little endian), the first 8 bytes of its SHA-256, the content. The first frame holds
//! the key of the work. A frame that is cut, torn or changed ends the log: what follows it counts for nothing. What a record claims is done must be
//! synced before the record is appended; what records mean is for their writer.
//!
//! Whoever continues a log does so in a new file, with what counts of the old one. A run that has lost its lock without knowing (see `fence`) may still
//! have the old one open, and what it writes there misleads nobody.

use std::io::{self, BufReader, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::fence::Fence;
use super::promote::{output_error, part_of, remove_file, sync_folder};
use super::record::StageKey;
use super::steps::{self, DurableFile};

/// Length and digest.
const FRAME_HEAD: usize = 12;

/// The longest content of a frame, in bytes: bounds what a damaged length can make us allocate.
const LONGEST: usize = 32 << 20;

/// A log that is open for more records.
#[derive(Debug)]
pub struct Log {
    file: DurableFile,
    end: u64,
    fence: Fence,
}

impl Log {
    /// Begins an empty log in place of one that may be there.
    pub fn create(path: &Path, key: &StageKey, fence: &Fence) -> Result<Self> {
        fence.check()?;
        remove_file(path)?;
        let failed = |error: io::Error| failed(path, &error);
        let mut log = Self { file: DurableFile::create(path).map_err(failed)?, end: 0, fence: fence.clone() };
        log.append(key.as_str().as_bytes())?;
        sync_folder(path.parent().unwrap_or(Path::new("/")))?;
        Ok(log)
    }

    /// Shows the records of the log of this work in their order to `read`, until that returns false for one it cannot use. False when there is no
    /// log of this work.
    pub fn read(path: &Path, key: &StageKey, mut read: impl FnMut(&[u8]) -> Result<bool>) -> Result<bool> {
        let file = match DurableFile::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other.map_err(|error| failed(path, &error))?,
        };
        let mut reader = BufReader::new(file.file());
        let mut next = |content: &mut Vec<u8>| next(&mut reader, content).map_err(|error| failed(path, &error));
        let mut content = Vec::new();
        if !next(&mut content)? || content != key.as_str().as_bytes() {
            return Ok(false);
        }
        while next(&mut content)? && read(&content)? {}
        Ok(true)
    }

    /// Continues the log of this work, and shows its records as [`Self::read`] does. `None` when there is no log of this work.
    pub fn open(
        path: &Path,
        key: &StageKey,
        fence: &Fence,
        mut read: impl FnMut(&[u8]) -> bool,
    ) -> Result<Option<Self>> {
        fence.check()?;
        let failed = |error: io::Error| failed(path, &error);
        let part = part_of(path);
        steps::remove(&part).map_err(failed)?;
        let mut log = Self { file: DurableFile::create(&part).map_err(failed)?, end: 0, fence: fence.clone() };
        log.write(key.as_str().as_bytes()).map_err(failed)?;
        let found = Self::read(path, key, |record| {
            let usable = read(record);
            if usable {
                log.write(record).map_err(failed)?;
            }
            Ok(usable)
        })?;
        if !found {
            steps::remove(&part).map_err(failed)?;
            return Ok(None);
        }
        log.file.sync().and_then(|()| steps::replace(&part, path)).map_err(failed)?;
        sync_folder(path.parent().unwrap_or(Path::new("/")))?;
        // By the name that it has now.
        Ok(Some(Self { file: DurableFile::open(path).map_err(failed)?, ..log }))
    }

    /// Appends a record and syncs it.
    pub fn append(&mut self, content: &[u8]) -> Result<()> {
        self.fence.check()?;
        if content.len() > LONGEST {
            return Err(PluginError::defect(format!("a log record of {} bytes is too long", content.len())));
        }
        let written = self.write(content).and_then(|()| self.file.sync());
        written.map_err(|error| failed(self.file.path(), &error))
    }

    fn write(&mut self, content: &[u8]) -> io::Result<()> {
        let mut frame = Vec::with_capacity(FRAME_HEAD + content.len());
        frame.extend((content.len() as u32).to_le_bytes());
        frame.extend(check(content));
        frame.extend(content);
        self.file.write(&frame, self.end)?;
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
    use vmdk2kvm_plugin_api::ErrorKind;

    use super::super::lock::Lock;
    use super::super::patience::Patience;
    use super::*;

    fn records(path: &Path, key: &StageKey) -> Option<Vec<Vec<u8>>> {
        let mut records = Vec::new();
        let found = Log::read(path, key, |record| {
            records.push(record.to_vec());
            Ok(true)
        });
        found.unwrap().then_some(records)
    }

    #[test]
    fn a_damaged_record_ends_the_log_and_it_goes_on_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy.log");
        let (key, other) = (StageKey::new(&["a"]), StageKey::new(&["b"]));
        assert_eq!(records(&path, &key), None);
        let mut log = Log::create(&path, &key, &Fence::default()).unwrap();
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
        let mut log = Log::open(&path, &key, &Fence::default(), |_| true).unwrap().unwrap();
        log.append(b"two").unwrap();
        assert_eq!(records(&path, &key).unwrap(), [b"two"]);
        assert!(Log::open(&path, &other, &Fence::default(), |_| true).unwrap().is_none());
        assert_eq!(records(&path, &key).unwrap(), [b"two"]);
    }

    #[test]
    fn a_run_without_its_lock_writes_to_no_log_that_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (path, key) = (folder.path().join("copy.log"), StageKey::new(&[]));
        let take = || Lock::work(folder.path(), &mut Patience::of_a_test()).unwrap().1;
        let stale = take();
        let mut log = Log::create(&path, &key, &stale).unwrap();
        log.append(b"one").unwrap();
        let fence = take();
        let taken_over = |result: Result<()>| assert_eq!(result.unwrap_err().kind, ErrorKind::Temporary);
        taken_over(log.append(b"late"));
        taken_over(Log::open(&path, &key, &stale, |_| true).map(drop));
        taken_over(Log::create(&path, &key, &stale).map(drop));
        Log::open(&path, &key, &fence, |_| true).unwrap().unwrap().append(b"two").unwrap();
        // It looked at its lock, slept, and writes.
        log.fence = Fence::default();
        log.append(b"late").unwrap();
        assert_eq!(records(&path, &key).unwrap(), [b"one", b"two"]);
    }
}

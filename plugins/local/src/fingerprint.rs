//! Fingerprints: a short text that changes when a file's content changes.
//!
//! Made of device, inode, size, times in nanoseconds, and the first and last MiB, so that it costs two small reads whatever
//! the size. It notices every ordinary change; it is not a digest of the content.

use std::os::unix::fs::MetadataExt;

use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result, read_exact_at};

use crate::digest::hexadecimal;
use crate::file_source::FileSource;

/// Bytes digested at each end.
const END: u64 = 1 << 20;

/// The fingerprint of an opened file: a SHA-256 in hexadecimal.
pub fn fingerprint(source: &FileSource) -> Result<String> {
    let meta = source.file().metadata().map_err(|error| PluginError::from_io(source.name(), &error))?;
    let mut digest = Sha256::new();
    for number in [meta.dev(), meta.ino(), meta.len()] {
        digest.update(number.to_le_bytes());
    }
    for number in [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()] {
        digest.update(number.to_le_bytes());
    }
    let size = source.size();
    let mut buffer = vec![0; size.min(END) as usize];
    read_exact_at(source, 0, &mut buffer)?;
    digest.update(&buffer);
    read_exact_at(source, size - buffer.len() as u64, &mut buffer)?;
    digest.update(&buffer);
    Ok(hexadecimal(&digest.finalize()))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn it_is_stable_and_changes_with_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(5 << 20).unwrap();
        let of = || {
            let opened = File::open(file.path()).unwrap();
            fingerprint(&FileSource::new(opened, "x".into()).unwrap()).unwrap()
        };
        let first = of();
        assert_eq!(first.len(), 64);
        assert_eq!(first, of());
        // The end's bytes count even when the times are put back.
        let times = std::fs::FileTimes::new().set_modified(file.as_file().metadata().unwrap().modified().unwrap());
        file.as_file().write_all_at(b"x", (5 << 20) - 1).unwrap();
        file.as_file().set_times(times).unwrap();
        assert_ne!(first, of());
    }

    #[test]
    fn an_empty_file_has_one_too() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = FileSource::new(File::open(file.path()).unwrap(), "x".into()).unwrap();
        assert_eq!(fingerprint(&source).unwrap().len(), 64);
    }
}

//! The plain SHA-256 of a file, as `sha256sum` prints it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::content_digest::hex;
use super::control::{Control, Progress};

/// How much is read between two looks at the cancel flag, in bytes.
const STEP: usize = 1 << 20;

/// SHA-256 of the file's bytes, or of the first `length` of them, in lower-case hexadecimal. Memory does not grow with the file.
pub fn file_sha256(path: &Path, length: Option<u64>, control: &Control<'_>) -> Result<String> {
    let name = path.display();
    let failed = |error: std::io::Error| PluginError::from_io(&name, &error);
    let file = File::open(path).map_err(failed)?;
    let capacity = length.map_or_else(|| file.metadata().map(|found| found.len()), Ok).map_err(failed)?;
    let mut file = file.take(length.unwrap_or(u64::MAX));
    let mut digest = Sha256::new();
    let mut buffer = vec![0; STEP];
    let mut done = 0;
    loop {
        if (control.cancelled)() {
            return Err(PluginError::interrupted());
        }
        let n = match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&digest.finalize())),
            Ok(n) => n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        digest.update(&buffer[..n]);
        done += n as u64;
        (control.progress)(Progress { done, data: capacity, position: done, capacity });
    }
}

#[cfg(test)]
mod tests {
    use vmdk2kvm_plugin_api::ErrorKind;

    use super::*;

    #[test]
    fn known_digests_a_missing_file_and_a_cancelled_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let unattended = Control::unattended();
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(file_sha256(&path, None, &unattended).unwrap(), expected);
        // "a" alone.
        let first = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
        assert_eq!(file_sha256(&path, Some(1), &unattended).unwrap(), first);
        let missing = file_sha256(&folder.path().join("missing"), None, &unattended).unwrap_err();
        assert_eq!(missing.kind, ErrorKind::Unusable);
        assert!(missing.message.ends_with("missing: No such file or directory (os error 2)"), "{missing}");
        let cancelled = Control { cancelled: &|| true, ..unattended };
        assert_eq!(file_sha256(&path, None, &cancelled).unwrap_err().kind, ErrorKind::Interrupted);
    }
}

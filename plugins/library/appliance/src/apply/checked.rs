//! What is checked about a change before it is carried out: digests.

use sha2::{Digest, Sha256};
use vmdk2kvm_plugin_api::{PluginError, Result};

/// SHA-256 in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses a file that is not the one the change was planned against.
pub fn same_content(path: &str, bytes: &[u8], planned: &str) -> Result<()> {
    if sha256(bytes).eq_ignore_ascii_case(planned) { Ok(()) } else { Err(changed(path, "has another content")) }
}

/// The guest is not the one that the plan was made for.
pub fn changed(path: &str, how: &str) -> PluginError {
    PluginError::unusable(format!("{path} {how} since the plan was made")).hint("make a new plan")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_content_is_refused_by_name() {
        let error = same_content("/etc/fstab", b"abc", &sha256(b"abd")).unwrap_err();
        assert_eq!(error.message, "/etc/fstab has another content since the plan was made");
        assert!(same_content("/etc/fstab", b"abc", &sha256(b"abc").to_uppercase()).is_ok());
    }
}

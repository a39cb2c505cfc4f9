//! What is checked about a change before it is carried out: digests, and words that become arguments.

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

/// A word of the guest (a package, a kernel release, a driver) that becomes an argument of a program: never an option, never
/// anything that a program would take apart.
pub fn word<'a>(what: &str, word: &'a str) -> Result<&'a str> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._+~:-@".contains(&byte);
    let first = word.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if first && word.len() <= 255 && word.bytes().all(fine) {
        Ok(word)
    } else {
        Err(PluginError::unusable(format!("\"{}\" is no name of a {what}", word.escape_debug())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_never_options_or_more_than_one() {
        for fine in ["open-vm-tools", "6.1.0-56-amd64", "virtio_blk", "libc6:amd64", "2.6.32-754.el6.x86_64+debug"] {
            assert_eq!(word("package", fine).unwrap(), fine);
        }
        for bad in ["", "-r", "--root=/", "a b", "a;b", "../x", "a/b", "a\nb", "$(x)"] {
            let error = word("package", bad).unwrap_err();
            assert!(error.message.ends_with("is no name of a package"), "{bad}");
        }
    }

    #[test]
    fn another_content_is_refused_by_name() {
        let error = same_content("/etc/fstab", b"abc", &sha256(b"abd")).unwrap_err();
        assert_eq!(error.message, "/etc/fstab has another content since the plan was made");
        assert!(same_content("/etc/fstab", b"abc", &sha256(b"abc").to_uppercase()).is_ok());
    }
}

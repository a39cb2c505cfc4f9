//! What a failed libguestfs call says, and which kind of error that is for the user.

use vmdk2kvm_plugin_api::{ErrorKind, PluginError};

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// Name of the call without `guestfs_`.
    pub call: &'static str,
    /// The appliance's `errno`; 0 when it gave none.
    pub errno: i32,
    /// The library's message, on one line.
    pub message: String,
}

impl CallError {
    /// There is nothing at the path of the call.
    pub fn not_found(&self) -> bool {
        matches!(self.errno, libc::ENOENT | libc::ENOTDIR)
    }

    /// The filesystem has no notion of what was asked (labels, owners on vfat).
    pub fn unsupported(&self) -> bool {
        matches!(self.errno, libc::ENOTSUP | libc::ENODATA | libc::ENOSYS | libc::EPERM | libc::EINVAL)
    }
}

impl From<CallError> for PluginError {
    fn from(error: CallError) -> Self {
        let kind = match error.errno {
            // No errno: the library itself or the appliance failed, not a file of the guest.
            0 | libc::EIO | libc::ETIMEDOUT | libc::EPIPE | libc::ECONNRESET | libc::EAGAIN => ErrorKind::Io,
            libc::EINTR => ErrorKind::Interrupted,
            _ => ErrorKind::Unusable,
        };
        // The library repeats the call, once for each side of its protocol.
        let message = error.message.trim_start_matches(&format!("{}: ", error.call));
        let made = PluginError::new(kind, format!("libguestfs {}: {message}", error.call));
        match error.errno {
            libc::EPERM => made.hint("look at the flags of the file and its folder in the guest (lsattr), and at who may write there"),
            libc::EROFS => made.hint(
                "its filesystem or subvolume is read-only: make it writable in the guest (btrfs property set -ts / ro false), or move the guest as it is with --skip fix",
            ),
            libc::ENOSPC | libc::EDQUOT => made.hint("free space in the guest's filesystem and run again"),
            _ => made,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_text_follow_the_errno() {
        let error = |errno| CallError { call: "write", errno, message: "open: /etc/x: it failed".into() };
        let full: PluginError = error(libc::ENOSPC).into();
        assert_eq!(full.message, "libguestfs write: open: /etc/x: it failed");
        assert_eq!((full.kind, full.hint.is_some()), (ErrorKind::Unusable, true));
        let twice =
            CallError { call: "rename", errno: libc::EROFS, message: "rename: rename: /etc/x: it failed".into() };
        let twice: PluginError = twice.into();
        assert_eq!((twice.message.as_str(), twice.hint.is_some()), ("libguestfs rename: /etc/x: it failed", true));
        assert_eq!(PluginError::from(error(0)).kind, ErrorKind::Io);
        assert_eq!(PluginError::from(error(libc::EINTR)).kind, ErrorKind::Interrupted);
        assert!(error(libc::ENOTDIR).not_found() && !error(libc::EIO).not_found());
    }
}

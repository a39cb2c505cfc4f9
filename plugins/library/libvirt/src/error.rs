//! What libvirt says went wrong, and the exit code that belongs to it.

use std::ffi::CStr;

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError};

use super::functions::Functions;

/// Numbers of `virErrorNumber`.
pub(crate) const NO_DOMAIN: i32 = 42;
pub(crate) const NO_NETWORK: i32 = 43;
pub(crate) const NO_POOL: i32 = 49;
pub(crate) const NO_VOLUME: i32 = 50;
pub(crate) const NO_METADATA: i32 = 80;
const DENIED: [i32; 5] = [29, 45, 79, 88, 94];

/// Longest message that is passed on, in letters: some hold whole documents.
const LONGEST: usize = 400;

/// An error of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Its number in `virErrorNumber`.
    pub code: i32,
    /// libvirt's own words, escaped and bounded.
    pub message: String,
}

impl Error {
    /// That of the last call of this thread.
    pub(crate) fn last(functions: &Functions) -> Self {
        // SAFETY: the text belongs to this thread and stays until its next call.
        let (code, message) = unsafe {
            let message = (functions.last_error_message)();
            let message =
                if message.is_null() { "".into() } else { CStr::from_ptr(message).to_string_lossy().into_owned() };
            ((functions.last_error_code)(), message)
        };
        let short: String = message.trim().chars().take(LONGEST).collect();
        Self { code, message: escape(&short).into_owned() }
    }

    /// As the failure of what was being done.
    pub fn during(&self, what: impl std::fmt::Display) -> PluginError {
        let kind = if DENIED.contains(&self.code) { ErrorKind::Auth } else { ErrorKind::Output };
        PluginError::new(kind, format!("{what}: libvirt says: {}", self.message))
    }

    /// As the failure of opening a connection.
    pub(crate) fn at_open(&self, uri: &str) -> PluginError {
        let message = format!("{}: no connection to libvirt: {}", escape(uri), self.message);
        let is_denied = DENIED.contains(&self.code) || self.message.contains("Permission denied");
        if is_denied {
            return PluginError::new(ErrorKind::Auth, message)
                .hint("become a member of the group libvirt, or name another daemon with its URI");
        }
        // A driver inside of this process, which root has, keeps what it knows of devices there.
        if self.message.contains("/run/libvirt") {
            return PluginError::missing(message).hint(
                "make the folder /run/libvirt, and open it to the run: --set containment.folders='[\"/run/libvirt\"]'",
            );
        }
        PluginError::missing(message).hint("install and start libvirt's daemon, or name another one with its URI")
    }
}

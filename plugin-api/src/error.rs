//! The one error type that crosses the boundary.
//!
//! A message is one sentence that says what is wrong with which thing; the hint says what to do about it. The kind decides
//! the exit code, so that a script can tell bad input from a missing program and from a failure that a retry may cure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A `Result` whose error is a [`PluginError`].
pub type Result<T, E = PluginError> = std::result::Result<T, E>;

/// What kind of thing went wrong. Each kind has one exit code of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The arguments make no sense together.
    Usage,
    /// The input is corrupt, unsafe, incomplete, or a guest that is not supported.
    Unusable,
    /// A program, a library, a plugin or a firmware image is missing on this machine.
    Missing,
    /// The output cannot be created: it exists, there is no space, or no permission.
    Output,
    /// An I/O error that a retry may cure.
    Io,
    /// This implementation cannot do that; another may. Not a failure of its own as long as there is another.
    Cannot,
    /// A passing failure: the same command can be run again.
    Temporary,
    /// Authentication or authorisation failed.
    Auth,
    /// The configuration is wrong.
    Config,
    /// The boot test says that the result does not boot.
    TestFailed,
    /// A finding of severity `block` forbids to go on.
    Blocked,
    /// The user interrupted the run.
    Interrupted,
    /// A defect in the program or in a plugin: a panic, a broken promise of the contract. A word of a newer contract is read as this one.
    #[serde(other)]
    Defect,
}

impl ErrorKind {
    /// The exit code of the command line for this kind; these numbers are published and stable.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Defect => 1,
            Self::Usage => 2,
            Self::Unusable => 65,
            Self::Missing | Self::Cannot => 69,
            Self::Output => 73,
            Self::Io => 74,
            Self::Temporary => 75,
            Self::Auth => 77,
            Self::Config => 78,
            Self::TestFailed => 80,
            Self::Blocked => 81,
            Self::Interrupted => 130,
        }
    }

    /// The word used for this kind in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Defect => "defect",
            Self::Usage => "usage",
            Self::Unusable => "unusable",
            Self::Missing => "missing",
            Self::Cannot => "cannot",
            Self::Output => "output",
            Self::Io => "io",
            Self::Temporary => "temporary",
            Self::Auth => "auth",
            Self::Config => "config",
            Self::TestFailed => "test_failed",
            Self::Blocked => "blocked",
            Self::Interrupted => "interrupted",
        }
    }
}

/// An error with its kind, a sentence, and a hint.
///
/// ```
/// use vmdk2kvm_plugin_api::{ErrorKind, PluginError};
/// let error = PluginError::unusable("web.vmdk: the grain table at sector 2048 lies outside the file")
///     .hint("copy the file again from the datastore");
/// assert_eq!(error.kind, ErrorKind::Unusable);
/// assert_eq!(error.kind.exit_code(), 65);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PluginError {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// One sentence: what is wrong with which thing. Lower case, no full stop, reads well after "failed: ".
    pub message: String,
    /// What the user can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// `name version` of the plugin that failed. Filled in by the boundary, not by authors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
}

impl PluginError {
    /// An error of `kind` with its sentence.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, plugin: None }
    }

    /// The input is corrupt, unsafe, incomplete or unsupported.
    pub fn unusable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unusable, message)
    }

    /// Something needed is missing on this machine.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Missing, message)
    }

    /// An I/O error that a retry may cure.
    pub fn io(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Io, message)
    }

    /// The output cannot be created.
    pub fn output(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Output, message)
    }

    /// The configuration is wrong.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// This implementation cannot do `what`; another may.
    pub fn cannot(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Cannot, format!("{what} is not something it can do"))
    }

    /// A defect: something that cannot happen did.
    pub fn defect(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Defect, message)
    }

    /// The run was asked to stop.
    pub fn interrupted() -> Self {
        Self::new(ErrorKind::Interrupted, "interrupted")
    }

    /// A `std::io::Error` about `what` (a file name, a socket). Keeps apart what a retry may cure and what it cannot.
    pub fn from_io(what: impl fmt::Display, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as E;
        let kind = match error.kind() {
            E::NotFound | E::IsADirectory | E::NotADirectory | E::InvalidData | E::UnexpectedEof => ErrorKind::Unusable,
            E::PermissionDenied => ErrorKind::Auth,
            E::StorageFull | E::AlreadyExists | E::ReadOnlyFilesystem | E::QuotaExceeded => ErrorKind::Output,
            _ => ErrorKind::Io,
        };
        let failed = Self::new(kind, format!("{what}: {error}"));
        match error.kind() {
            E::StorageFull | E::QuotaExceeded => failed.hint("free space there, and run the same command again"),
            _ => failed,
        }
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error as the fault of the plugin with this label (`name version`).
    #[must_use]
    pub fn blamed_on(mut self, plugin: impl Into<String>) -> Self {
        self.plugin = Some(plugin.into());
        self
    }

    /// The same error as another kind.
    #[must_use]
    pub fn of_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// Puts what was being done before the message: `web.vmdk: <message>`.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PluginError {}

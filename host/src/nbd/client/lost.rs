//! Why a connection is of no use any more, or why one request failed.

use std::io;
use std::time::Duration;

use vmdk2kvm_plugin_api::{ErrorKind, PluginError};

use crate::nbd::wire::{EPERM, ESHUTDOWN};

/// Why a connection ended. It ends for all of its requests at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lost {
    /// The server closed it, or the network did.
    Closed(String),
    /// Nothing came for so long, or not all.
    Late(Duration),
    /// The run was asked to stop.
    Cancelled,
    /// The server broke the protocol.
    Broken(String),
    /// The handshake came to an end that is not the connection's fault.
    Refused(PluginError),
}

impl Lost {
    pub(super) fn broken(why: impl Into<String>) -> Self {
        Self::Broken(why.into())
    }

    /// Whether the same request on a new connection may succeed.
    pub(super) fn may_be_retried(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    /// The error to report, about the disk of this name.
    pub(super) fn error(self, name: &str) -> PluginError {
        match self {
            Self::Closed(why) => PluginError::io(format!("{name}: the connection broke off: {why}"))
                .hint("look at the server and its log, and run the same command again: it continues"),
            Self::Late(limit) => PluginError::new(
                ErrorKind::Temporary,
                format!("{name}: the server has not answered for {} seconds", limit.as_secs_f64()),
            )
            .hint("look at the server, its storage and the network, and run the same command again: it continues"),
            Self::Cancelled => PluginError::interrupted(),
            Self::Broken(why) => PluginError::unusable(format!("{name}: the server breaks the protocol: {why}"))
                .hint("serve the disk with another NBD server"),
            Self::Refused(error) => error.context(name),
        }
    }
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed("the server closed it".to_owned()),
            _ => Self::Closed(error.to_string()),
        }
    }
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server says so; the connection goes on.
    Server {
        /// The protocol's number for it.
        number: u32,
        /// What the server says about it; may be empty.
        text: String,
    },
    /// The connection is gone.
    Lost(Lost),
}

impl<T: Into<Lost>> From<T> for Failure {
    fn from(lost: T) -> Self {
        Self::Lost(lost.into())
    }
}

/// The error for a request that the server refused.
pub(super) fn server_error(name: &str, task: &str, number: u32, text: &str) -> PluginError {
    let kind = match number {
        EPERM => ErrorKind::Auth,
        ESHUTDOWN => ErrorKind::Temporary,
        _ => ErrorKind::Io,
    };
    let said = if text.is_empty() { format!("error {number}") } else { text.to_owned() };
    PluginError::new(kind, format!("{name}: the server cannot {task}: {said}"))
        .hint("look at the server's log and its storage")
}

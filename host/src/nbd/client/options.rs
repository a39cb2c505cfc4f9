//! How a remote disk is read: how patiently, over how many connections, and who may stop it.

use std::sync::Arc;
use std::time::Duration;

/// How long a server may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// To take a connection, and for its whole handshake.
    pub handshake: Duration,
    /// Between two bytes, while an answer is due.
    pub silence: Duration,
    /// For a whole answer.
    pub answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        // All below the patience of the copy (`copy::PATIENCE`), which says less.
        Self { handshake: Duration::from_secs(20), silence: Duration::from_secs(60), answer: Duration::from_secs(240) }
    }
}

/// How a remote disk is read.
#[derive(Clone)]
pub struct Options {
    /// The most connections; a server that does not want several gets one.
    pub connections: usize,
    /// How often a request is sent again on a new connection, when the one that it was on broke off.
    pub retries: u32,
    /// How long the server may take.
    pub limits: Limits,
    /// Asked while an answer is waited for, at least ten times a second: `true` gives up.
    pub cancelled: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Default for Options {
    fn default() -> Self {
        Self { connections: 4, retries: 3, limits: Limits::default(), cancelled: Arc::new(|| false) }
    }
}

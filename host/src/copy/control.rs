//! How a caller watches and stops a copy.
//!
//! Owns the two callbacks and what progress means. Does not own events or bars: reporters are fed by the caller.

/// How far a copy is. All figures are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Data that has been read, and stored unless it was zero.
    pub done: u64,
    /// Data known so far: grows while the map of the source is still being read.
    pub data: u64,
    /// Everything before this offset of the disk is done.
    pub position: u64,
    /// Size of the disk.
    pub capacity: u64,
}

/// The caller's side of a long task. Both functions are called from several threads and must return at once.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    /// Whether to stop; asked at least once for each request to the source.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
    /// Told at most some twenty times a second, in ascending order, and once at the end.
    pub progress: &'a (dyn Fn(Progress) + Sync),
}

impl Control<'static> {
    /// Nobody watches and nobody stops it.
    pub const fn unattended() -> Self {
        Self { cancelled: &|| false, progress: &|_| () }
    }
}

//! A fault: a word with numbers, `FAKE_VDDK_FAULT=callback-fails:3:2`.
//!
//! `read-fails:N:COUNT`, `callback-fails:N:COUNT`: so many requests fail from the Nth on, at once or when they
//! end. `hang:N`: the Nth never ends. `panic:N`: at the Nth the library gives up. `slow:MS`: each takes so
//! long. `open-fails`: bare, without a warning. `version`: it opens, and no read works. `nfc`: the host has no
//! memory. `capacity`: another size. `sectors`: of 4096 bytes. `map`: a map that cannot be. `no-map`: none. `no-session`: sessions are
//! not taken.

use std::sync::LazyLock;

pub(crate) struct Fault {
    pub kind: String,
    pub first: u64,
    pub count: u64,
}

pub(crate) static FAULT: LazyLock<Fault> = LazyLock::new(|| {
    let text = std::env::var("FAKE_VDDK_FAULT").unwrap_or_default();
    let mut parts = text.split(':');
    let kind = parts.next().unwrap_or_default().to_owned();
    let mut number = |default| parts.next().map_or(default, |part| part.parse().unwrap());
    Fault { kind, first: number(0), count: number(1) }
});

impl Fault {
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.kind == kind
    }

    /// Whether it is this kind, and the number is among those that it is about.
    pub(crate) fn hits(&self, kind: &str, number: u64) -> bool {
        self.is(kind) && (self.first..self.first + self.count).contains(&number)
    }
}

//! The breadcrumb: which plugin's method a thread is inside of.
//!
//! Costs one thread-local store a call. The host reads it when the process is about to die (a signal handler, an exit handler), so
//! that a crash in a C library is reported with the plugin and the method that were running.

use std::cell::Cell;

/// A running call: the plugin (`name version`) and the method (`Fixer::plan`), or `loading` and `dropping`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// `name version` of the plugin.
    pub plugin: &'static str,
    /// Trait and method.
    pub method: &'static str,
}

thread_local! {
    // Const-initialised and without a destructor: safe to read from a signal handler.
    static CURRENT: Cell<Option<Call>> = const { Cell::new(None) };
}

/// The call this thread is inside of.
pub fn current() -> Option<Call> {
    CURRENT.get()
}

/// Marks the thread as being inside of a call until the guard is dropped.
#[must_use]
pub struct Entered(Option<Call>);

/// The thread is inside of this call until the returned guard is dropped.
pub fn enter(plugin: &'static str, method: &'static str) -> Entered {
    Entered(CURRENT.replace(Some(Call { plugin, method })))
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

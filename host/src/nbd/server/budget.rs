//! Bounds the memory of all requests that are being answered at once.

use std::sync::{Condvar, Mutex, PoisonError};

/// Bytes that may be lent.
pub(super) struct Budget {
    free: Mutex<usize>,
    returned: Condvar,
}

/// Bytes lent; given back on drop.
pub(super) struct Loan<'a> {
    budget: &'a Budget,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self { free: Mutex::new(bytes), returned: Condvar::new() }
    }

    /// Waits until `bytes` are free. A single request is never longer than the whole budget.
    pub(super) fn borrow(&self, bytes: usize) -> Loan<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.returned.wait_while(free, |free| *free < bytes).unwrap_or_else(PoisonError::into_inner);
        *free -= bytes;
        Loan { budget: self, bytes }
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        *self.budget.free.lock().unwrap_or_else(PoisonError::into_inner) += self.bytes;
        self.budget.returned.notify_all();
    }
}

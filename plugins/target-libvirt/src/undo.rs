//! What was done at a daemon, and how it is undone, so that a step that fails leaves nothing.

use vmdk2kvm_libvirt::Error;
use vmdk2kvm_plugin_api::PluginError;

/// One thing that was done.
struct Done<'a> {
    /// What it was, for a person who has to undo it by hand.
    what: String,
    undo: Box<dyn FnOnce() -> Result<(), Error> + 'a>,
}

/// Everything that was done so far.
#[derive(Default)]
pub(super) struct Undo<'a>(Vec<Done<'a>>);

impl<'a> Undo<'a> {
    /// Notes what was just done.
    pub fn note(&mut self, what: impl Into<String>, undo: impl FnOnce() -> Result<(), Error> + 'a) {
        self.0.push(Done { what: what.into(), undo: Box::new(undo) });
    }

    /// Undoes all of it, the last first; the error says what could not be.
    pub fn all(self, error: PluginError) -> PluginError {
        let mut left = Vec::new();
        for done in self.0.into_iter().rev() {
            if let Err(error) = (done.undo)() {
                left.push(format!("{} ({})", done.what, error.message));
            }
        }
        if left.is_empty() {
            return error;
        }
        let hint = error.hint.clone().map(|hint| format!("{hint}; ")).unwrap_or_default();
        error.hint(format!("{hint}this could not be taken back: {}", left.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_last_is_undone_first_and_what_stays_is_told() {
        let order = RefCell::new(Vec::new());
        let mut undo = Undo::default();
        for name in ["volume a", "volume b", "domain c"] {
            let order = &order;
            undo.note(name, move || {
                order.borrow_mut().push(name);
                let refused = Error { code: 1, message: "busy".to_owned() };
                if name == "volume b" { Err(refused) } else { Ok(()) }
            });
        }
        let error = undo.all(PluginError::output("no").hint("do"));
        assert_eq!(*order.borrow(), ["domain c", "volume b", "volume a"]);
        assert_eq!(error.hint.as_deref(), Some("do; this could not be taken back: volume b (busy)"));
        assert_eq!(Undo::default().all(PluginError::output("no")).hint, None);
    }
}

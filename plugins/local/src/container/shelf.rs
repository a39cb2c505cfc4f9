//! The archives that were opened, so that both faces of the fetcher read the same one and nothing is unpacked twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError, Result};

use super::Container;
use super::spool::Spooler;
use crate::magic::{self, Magic};
use crate::object::Object;

/// The most archives that are open at once: one for each chunked or compressed disk, and the package around them.
const MAX_OPEN: usize = 1024;

/// Opened archives by object and by the state of the file they lie in.
#[derive(Debug)]
pub struct Shelf {
    spooler: Spooler,
    open: Mutex<HashMap<(String, String), Slot>>,
}

/// An archive, once it is opened.
type Slot = Arc<Mutex<Option<Arc<Container>>>>;

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.members.keys()).finish()
    }
}

impl Default for Shelf {
    fn default() -> Self {
        Self::new(Spooler::new(None, None))
    }
}

impl Shelf {
    /// An empty shelf whose archives are unpacked by `spooler`.
    pub fn new(spooler: Spooler) -> Self {
        Self { spooler, open: Mutex::default() }
    }

    /// The archive that `open` gives; `object` and `state` tell it from others and from itself after a change.
    pub fn container(
        &self,
        object: &str,
        state: &str,
        open: impl FnOnce() -> Result<Object>,
    ) -> Result<Arc<Container>> {
        let slot = {
            let mut known = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MAX_OPEN {
                return Err(PluginError::new(
                    ErrorKind::Unusable,
                    format!("{}: more than {MAX_OPEN} archives and compressed files are open", escape(object)),
                )
                .hint("unpack the package into an empty folder, and give that folder"));
            }
            Arc::clone(known.entry((object.to_owned(), state.to_owned())).or_default())
        };
        // Held while unpacking, which others wait for; other archives are not kept waiting.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(container) = &*slot {
            return Ok(Arc::clone(container));
        }
        let object = open()?;
        let kind = match magic::of(&object)? {
            Magic::Archive(kind) => kind,
            _ => {
                return Err(PluginError::unusable(format!("{}: this is not a supported archive", object.name()))
                    .hint("tar, zip, and what gzip, xz, bzip2 and zstd compressed are read"));
            }
        };
        let container = Arc::new(Container::open(&object, kind, &self.spooler)?);
        *slot = Some(Arc::clone(&container));
        Ok(container)
    }
}

//! A running Linux guest: inspected, planned for, and, with the user's word, changed while it runs.
//!
//! [`address`] is where it is, `connection` the program `ssh` that runs, `refusal` what that says when it cannot, `shell` the one shell of root
//! behind it. `guest` reads files over the shell, `answer` being what the shell prints, `machine` what the guest sees around itself, `layout`
//! what its filesystems lie on, `state` what about it stands in the way. `change` carries out a plan.

pub mod address;
mod answer;
mod change;
mod connection;
mod guest;
mod layout;
mod machine;
mod refusal;
mod shell;
mod state;

use std::sync::{Arc, Mutex, PoisonError};

use vmdk2kvm_linux_guest::inspect;
use vmdk2kvm_plugin_api::model::{OpenGuest, RolledBack, SourceRef};
use vmdk2kvm_plugin_api::{Catalog, ErrorKind, Host, Opened, PluginError, Result};

use address::Address;
use guest::LiveGuest;
use layout::Layout;
use machine::LiveSource;
use shell::Shell;

/// Whether a source is a running guest.
pub(crate) fn is_one(uri: &str) -> bool {
    Address::is_one(uri)
}

/// Running guests: one connection for all stages of a run.
#[derive(Clone)]
pub(crate) struct Live {
    host: Host,
    config: Option<String>,
    open: Arc<Mutex<Option<Reached>>>,
}

/// A guest by its address, and the shell in it.
struct Reached {
    uri: String,
    shell: Arc<Shell>,
}

impl Live {
    /// `config` is the file that the program `ssh` reads in place of the user's.
    pub fn new(host: Host, config: Option<String>) -> Self {
        Self { host, config, open: Arc::default() }
    }

    /// The control plane.
    pub fn catalog(&self, source: &SourceRef) -> Result<Box<dyn Catalog>> {
        if !source.extra_disks.is_empty() {
            return Err(
                PluginError::new(ErrorKind::Usage, "a running guest takes no further disks").hint("leave --disk out")
            );
        }
        Ok(Box::new(LiveSource::new(self.shell(&source.uri)?, &source.uri)))
    }

    /// Opens the guest; it can be changed when the request says both that it may be written to and that it may run.
    pub fn open(&self, request: &OpenGuest) -> Result<Opened> {
        let shell = self.shell(&request.source.uri)?;
        if request.writable && request.live {
            change::settle_former(&shell, &self.host)?;
        }
        let layout = Layout::read(&shell)?;
        let disks = layout.disk_layout(request.vm.firmware, &shell)?;
        let guest = LiveGuest::new(shell, self.host.clone(), request.writable && request.live);
        let mut inspection = inspect(&guest, &disks)?;
        inspection.live = true;
        inspection.findings.extend(state::findings(&layout, &guest)?);
        Ok(Opened::new(guest, inspection))
    }

    /// Takes back what was done last.
    pub fn roll_back(&self, request: &OpenGuest) -> Result<RolledBack> {
        if !request.live {
            return Err(PluginError::defect("a running guest is to be changed without the user's word"));
        }
        change::roll_back(self.shell(&request.source.uri)?.as_ref(), &self.host)
    }

    fn shell(&self, uri: &str) -> Result<Arc<Shell>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reached) = open.as_ref().filter(|reached| reached.uri == uri) {
            return Ok(Arc::clone(&reached.shell));
        }
        let address = Address::parse(uri)?;
        let shell = Arc::new(Shell::open(&self.host, &address, self.config.as_deref())?);
        *open = Some(Reached { uri: uri.to_owned(), shell: Arc::clone(&shell) });
        Ok(shell)
    }
}

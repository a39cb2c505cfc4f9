//! A running Linux guest.

use vmdk2kvm_plugin_api::model::{OpenGuest, SourceRef};
use vmdk2kvm_plugin_api::{Catalog, Host, Opened, PluginError, Result};

/// Whether a source is a running guest.
pub(crate) fn is_one(uri: &str) -> bool {
    uri.starts_with("ssh://")
}

pub(crate) fn catalog(_: &Host, _: Option<&str>, _: &SourceRef) -> Result<Box<dyn Catalog>> {
    Err(PluginError::cannot("describing a running guest"))
}

pub(crate) fn open(_: &Host, _: Option<&str>, _: &OpenGuest) -> Result<Opened> {
    Err(PluginError::cannot("opening a running guest"))
}

//! Carrying out a plan in a running guest.

use vmdk2kvm_plugin_api::model::{Applied, Change, RolledBack};
use vmdk2kvm_plugin_api::{Host, PluginError, Result};

use super::guest::LiveGuest;
use super::shell::Shell;

pub(super) fn apply_all(_: &LiveGuest, _: &[Change]) -> Result<Vec<Applied>> {
    Err(PluginError::cannot("changing a running guest"))
}

pub(super) fn roll_back(_: &Shell, _: &Host) -> Result<RolledBack> {
    Err(PluginError::cannot("taking back changes of a running guest"))
}

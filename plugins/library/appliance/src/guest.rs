//! The `Guest` that fixers see.

use std::sync::Arc;

use vmdk2kvm_offline_guest::Opened;
use vmdk2kvm_plugin_api::model::{Applied, Change, Storage};
use vmdk2kvm_plugin_api::{Entry, FileKind, Guest, PluginError, Result, Stat};

use crate::apply;
use crate::devices::ApplianceDevices;
use crate::discard;
use crate::files::{Files, Place};
use crate::mounts::Mount;

/// A guest opened in an appliance.
pub struct ApplianceGuest {
    pub(crate) files: Arc<Files>,
    /// What is mounted where, the root first.
    pub(crate) mounts: Vec<Mount>,
    pub(crate) writable: bool,
    /// Sizes of the disks in bytes, in their order.
    pub(crate) disks: Vec<u64>,
    /// Encrypted devices that are open.
    pub(crate) opened: Vec<Opened>,
    pub(crate) has_volume_groups: bool,
    /// Whether the job wants unused blocks discarded.
    pub(crate) discards: bool,
}

impl Guest for ApplianceGuest {
    fn stat(&self, path: &str) -> Result<Option<Stat>> {
        Ok(match self.files.resolve(path, false)? {
            Place::Found { stat, .. } => Some(stat.stat),
            Place::Vacant { .. } | Place::Nowhere => None,
        })
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        match self.files.resolve(path, true)? {
            Place::Found { path: real, stat } => {
                self.files.content(&real, &stat, limit).map(|bytes| Some(bytes.as_ref().clone())).map_err(|error| {
                    // The caller knows the name it asked for.
                    if real == path { error } else { error.context(path) }
                })
            }
            Place::Vacant { .. } | Place::Nowhere => Ok(None),
        }
    }

    fn folds_case(&self) -> bool {
        self.files.folds_case()
    }

    fn list(&self, path: &str) -> Result<Option<Vec<Entry>>> {
        match self.files.resolve(path, true)? {
            Place::Found { path, stat } if stat.stat.kind == FileKind::Dir => {
                Ok(Some(self.files.entries(&path)?.as_ref().clone()))
            }
            _ => Ok(None),
        }
    }

    fn read_link(&self, path: &str) -> Result<String> {
        match self.files.resolve(path, false)? {
            Place::Found { path, stat } if stat.stat.kind == FileKind::Symlink => self.files.link_at(&path),
            _ => Err(PluginError::unusable(format!("{path}: not a symlink"))),
        }
    }

    fn storage(&self) -> Result<Storage> {
        let appliance = &self.files.appliance;
        let devices = ApplianceDevices { appliance, writable: self.writable };
        vmdk2kvm_offline_guest::storage(&devices, &self.disks, &self.opened, appliance.host())
    }

    fn apply(&self, change: &Change) -> Result<Applied> {
        if !self.writable {
            return Err(PluginError::defect(format!("{}: the guest was opened for reading only", change.target)));
        }
        self.files.appliance.host().check_cancelled()?;
        apply::apply(self, change)
    }

    fn discard_unused(&self) -> Result<()> {
        if self.writable && self.discards { discard::discard_unused(self) } else { Ok(()) }
    }

    fn close(&self) -> Result<()> {
        self.files.appliance.close()
    }
}

impl ApplianceGuest {
    /// The filesystem type at a resolved path.
    pub(crate) fn fstype_at(&self, path: &str) -> &str {
        self.mounts
            .iter()
            .filter(|mount| {
                mount.mountpoint == "/"
                    || path
                        .strip_prefix(mount.mountpoint.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .max_by_key(|mount| mount.mountpoint.len())
            .map_or("", |mount| mount.fstype.as_str())
    }
}

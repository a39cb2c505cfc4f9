//! The table `[target.openstack]`.

use serde::Deserialize;
use vmdk2kvm_target_words::Mapping;

/// What the job says of this target.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// From networks of the source to networks, by name or id.
    pub networks: Mapping<String>,
    /// From numbers of disks to volume types.
    pub storage: Mapping<String>,
    /// The flavor of the server.
    pub flavor: Option<String>,
}

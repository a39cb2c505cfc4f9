//! A package of a driver that was chosen for this Windows, as the concerns of a plan use it.

use crate::inf::{Inf, Model};
use crate::version::Windows;

/// A package.
pub struct Package<'a> {
    /// For which system it was chosen.
    pub windows: Windows,
    /// What it says.
    pub inf: &'a Inf,
    /// Name of its INF: `viostor.inf`.
    pub inf_name: String,
    /// Name of its catalogue.
    pub catalogue_name: String,
    /// The one who signed it.
    pub signer: String,
    /// Devices that it drives, with their rank among those of one line of the INF, from 1.
    pub ids: Vec<(u8, String)>,
    /// Its lines for devices.
    pub models: Vec<Model>,
    /// Sixteen hexadecimal digits that stand for its content.
    pub digest: String,
}

impl Package<'_> {
    /// The name that its INF gets among those of the system, where no name that Windows gives can collide.
    pub fn published(&self) -> String {
        format!("oem-vmdk2kvm-{}", self.inf_name)
    }

    /// The name of its folder in the driver store.
    pub fn stored_as(&self) -> String {
        format!("{}_{}_{}", self.inf_name, self.windows.architecture.word(), self.digest)
    }
}

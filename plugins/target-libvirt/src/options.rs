//! The table `[target.libvirt]` of a job.

use serde::Deserialize;
use vmdk2kvm_libvirt::domain::Hypervisor;
use vmdk2kvm_plugin_api::Result;
use vmdk2kvm_plugin_api::model::Render;
use vmdk2kvm_target_words::options as read;

/// Its members.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Options {
    accelerator: Accelerator,
}

/// Who runs the guest's instructions.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Accelerator {
    #[default]
    Kvm,
    Tcg,
}

impl Options {
    /// Those of a request.
    pub fn of(request: &Render) -> Result<Self> {
        read(request)
    }

    /// As a domain has it.
    pub fn hypervisor(self) -> Hypervisor {
        match self.accelerator {
            Accelerator::Kvm => Hypervisor::Kvm,
            Accelerator::Tcg => Hypervisor::Tcg,
        }
    }
}

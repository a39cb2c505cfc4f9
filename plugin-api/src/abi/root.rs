//! What a plugin's library exports: a header symbol that leads to this root module.

use abi_stable::StableAbi;
use abi_stable::library::{__call_root_module_loader, RootModule, RootModuleResult};
use abi_stable::package_version_strings;
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::RStr;

use super::consume::host_from_abi;
use super::provide::guard;
use super::stages::plugin_to_abi;
use super::traits::{HostObj, PluginObj};
use super::types::AbiResult;
use crate::{Host, Plugin, PluginError, plugin_runtime};

/// Name of the exported header symbol; its digit is the API's major version.
pub const ROOT_SYMBOL: &str = "VMDK2KVM_PLUGIN_1";

/// The root of a plugin's library.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginRootRef)))]
#[sabi(missing_field(panic))]
pub struct PluginRoot {
    /// The manifest, the same text as in the ELF section.
    pub manifest: extern "C" fn() -> RStr<'static>,
    /// Makes the plugin with the host's services and the plugin's settings as JSON.
    #[sabi(last_prefix_field)]
    pub create: extern "C" fn(HostObj, RStr<'_>) -> AbiResult<PluginObj>,
}

/// Makes a plugin.
pub type CreateFn = extern "C" fn(HostObj, RStr<'_>) -> AbiResult<PluginObj>;

impl RootModule for PluginRootRef {
    abi_stable::declare_root_module_statics! {PluginRootRef}
    const BASE_NAME: &'static str = "vmdk2kvm_plugin";
    const NAME: &'static str = "vmdk2kvm plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// Called by the export macro: the root of this library.
pub fn root_module(manifest: extern "C" fn() -> RStr<'static>, create: CreateFn) -> PluginRootRef {
    PluginRoot { manifest, create }.leak_into_prefix()
}

/// Called by the export macro: the constructor in the form that the header wants, panics caught.
pub fn root_result(make: fn() -> PluginRootRef) -> RootModuleResult {
    __call_root_module_loader(make)
}

/// Called by the export macro's create function: the plugin's own image gets its log and its panic hook here.
pub fn create_plugin<P: Plugin>(host: HostObj, settings: RStr<'_>) -> AbiResult<PluginObj> {
    guard("Plugin::new", || {
        let services = host_from_abi(host);
        plugin_runtime::install(&services);
        let settings = serde_json::from_str(settings.as_str())
            .map_err(|error| PluginError::defect(format!("the settings are not JSON: {error}")))?;
        Ok(plugin_to_abi(P::new(Host::new(services, settings))?))
    })
}

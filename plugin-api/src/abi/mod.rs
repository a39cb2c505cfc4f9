//! The stable binary interface below the native traits. Authors never see it.
//!
//! `types` are the values that cross, `traits` the objects, `provide` turns a native implementation into an object (and catches
//! its panics), `consume` turns an object back into a native implementation, `root` is what a plugin's library exports,
//! `layout` compares two versions of all this. Both directions are needed on both sides: a plugin receives the host's block
//! sources and guests, the host those of plugins.
//!
//! Rules for growth: nothing here changes within a major version. A method is added at the end of its trait, after the
//! `last_prefix_field`, with a default body, and then in the same minor version to the native trait with a default body.

// The macros of abi_stable raise these two lints on every compiler since 1.80.
#![allow(non_local_definitions, non_camel_case_types, missing_docs)]

pub mod calls;
mod consume;
mod layout;
mod provide;
mod root;
mod stages;
mod traits;
mod types;

pub use consume::{Label, RemotePlugin, create_plugin_remote};
pub use layout::{LoadError, load_root};
#[doc(hidden)]
pub use root::{CreateFn, create_plugin, root_module, root_result};
pub use root::{PluginRoot, PluginRootRef, ROOT_SYMBOL};

pub use abi_stable::library::AbiHeaderRef;
#[doc(hidden)]
pub use abi_stable::library::{CheckTypeLayout, LibHeader, RootModuleResult};
pub(crate) use provide::remember_panic;

/// Types that the export macro names.
#[doc(hidden)]
pub mod export_types {
    pub use super::traits::{HostObj, PluginObj};
    pub use super::types::AbiResult;
    pub use abi_stable::std_types::RStr;
}

//! What a Windows guest says about itself and what it needs on KVM, over the [`vmdk2kvm_plugin_api::Guest`] trait alone.
//!
//! Owns all Windows knowledge. Does no I/O of its own and knows no appliance: the plugins that open guests bring the files.
#![warn(missing_docs)]

pub mod hive;

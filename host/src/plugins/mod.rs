//! Plugins: where they are found, whether they are trusted, what they say of themselves, and how they are loaded.
//!
//! `discovery` looks into folders, `trust` decides who may have written a file, `lock` whether its digest is one that the user allowed, `elf` reads the manifest without running anything,
//! `gate` compares versions, `loader` opens the library, `own_process` does so in a process of its own, `registry` answers "who does this stage", `stock` knows what could be
//! installed, `packages` how that is said on this machine, `services` is what a plugin gets from us, `secrets` where its secrets are and `slots` how many of it may work at once,
//! `ability` says which commands work with what is there, `plugin_settings` compares a job's tables with the manifests, `check` holds one
//! plugin against the contract. Nothing here knows what any plugin is about.

mod ability;
mod check;
mod discovery;
mod elf;
mod gate;
mod loader;
mod lock;
mod needs;
mod own_process;
mod packages;
mod plugin_settings;
mod programs;
mod registry;
mod secrets;
mod services;
mod slots;
mod stock;
mod survey;
mod trust;
mod trusting;

pub use ability::abilities;
pub use check::{CheckRequest, Checked, check};
pub use discovery::{Candidate, SearchFolder, SearchKind, discover, search_folders};
pub use elf::SharedObject;
pub use loader::Loaded;
pub use lock::{Locked, lock_files};
pub use needs::{MissingNeed, missing_needs};
pub use own_process::{PLUGIN_COMMAND, serve as serve_plugin};
pub use packages::Packaging;
pub use plugin_settings::check_settings;
pub use registry::{Carriers, Chosen, Registry, leave_out};
pub use secrets::SecretStore;
pub use services::Services;
pub use slots::slots_folder;
pub use survey::{absent, containment, installed, manifest, needs, rows, setting_files};
pub use trusting::{trust_plugins, untrust_plugins};

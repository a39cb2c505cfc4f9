//! Layers (defaults, files, environment, flags) to one resolved, validated [`Job`].

mod check;
mod command;
mod disk_out;
mod job;
mod layer;
pub mod nearest;
pub mod option;
mod resize;
mod resolve;
pub mod secret;
mod settings;
mod values;
mod yaml;

pub use command::Command;
pub use disk_out::DiskOut;
pub use job::{Input, Job};
pub use layer::{Layer, VARIABLE_PREFIX, insert, parse_set, parse_value, read_tree};
pub use resize::{NewSize, Resize};
pub use resolve::{Layers, Request, Surroundings, job, resolve, settings, settings_folders};
pub use settings::{MachineOptions, PluginOptions, Settings};
pub use values::{ContainmentMode, GuestReader, KeySource, SecretSource, TargetFormat};

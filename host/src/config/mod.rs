//! Layers (defaults, files, environment, flags) to one resolved, validated [`Job`].

mod check;
mod job;
mod layer;
mod machine_options;
pub mod nearest;
mod resize;
mod resolve;
pub mod schema;
pub mod secret;
mod settings;
mod yaml;

pub use job::{
    Command, ContainmentMode, ContainmentOptions, HoldOptions, Input, Job, KeySource, PluginOptions, SecretSource,
    TargetFormat, TestOptions,
};
pub use layer::{VARIABLE_PREFIX, parse_set};
pub use machine_options::MachineOptions;
pub use resize::{NewSize, Resize};
pub use resolve::{Layers, Operand, Request, Surroundings, job, resolve, settings, settings_folders};
pub use settings::{LogSettings, Settings, SourceSettings, TestSettings};

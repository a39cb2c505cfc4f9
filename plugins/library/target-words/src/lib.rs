//! What every target that is written down as documents and scripts has in common: pure functions from a machine to parts of a text.
//!
//! [`quote`] is the one way from a value to a word of the shell, [`head`] what every script begins with, [`label`] a name that a platform
//! takes, [`Mapping`] a table of the job, [`losses`] what a platform has no word for. What the platform's own words are is the plugin's.
#![warn(missing_docs)]

mod losses;
mod mapping;
mod name;
mod order;
mod quote;
mod script;

pub use losses::{Feature, losses, lost};
pub use mapping::{Mapping, of_network, options, unmapped, without_storage};
pub use name::label;
pub use order::{boot_places, images};
pub use quote::quote;
pub use script::{Script, head};

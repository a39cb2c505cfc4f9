//! OVF: the description of virtual machines that comes with their disks. From bytes to a document ([`xml`]), to the [`envelope`] with its
//! files and disks, to each [`machine`] with its [`hardware`], [`cards`] and [`settings`]; [`choices`] of the user select among [`configurations`] and set
//! [`properties`]; [`package`] finds the [`files`], [`manifest`] holds them against their digests. Specification: DMTF DSP0243 2.1.1.

pub mod cards;
pub mod choices;
pub mod configurations;
pub mod envelope;
pub mod files;
pub mod hardware;
pub mod machine;
pub mod manifest;
pub mod package;
pub mod properties;
pub mod settings;
pub mod units;
pub mod xml;

pub use choices::Choices;
pub use machine::Described;
pub use package::Package;

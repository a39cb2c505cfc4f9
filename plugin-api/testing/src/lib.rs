//! What the tests of a plugin need, on the same release train as `vmdk2kvm-plugin-api`: no VMware, no appliance, no guest.
//!
//! [`MemoryGuest`], [`MemorySource`] and [`MemoryFiles`] are a guest, a disk and a source's files made of literals; [`FakeHost`] is a host
//! that records what it is told and can cancel; [`sample`] has machines and contexts to start from; [`Planned`] are assertions on
//! plans. Of a target, [`shapes`] are machines to write down, [`assert_golden`] holds the result against files, and [`Recorder`] runs a script with
//! programs that note what they are called with. [`conformance`] has for each kind of plugin the checks that `vmdk2kvm plugin check` runs as well: it is the crate
//! `vmdk2kvm-conformance`, which the host carries, and brings the guests, disks, files and samples with it.
//!
//! ```
//! use vmdk2kvm_plugin_api::model::{Action, Change, FixerPlan, OsFamily, PlanContext};
//! use vmdk2kvm_plugin_api::{Fixer, Guest, Result};
//! use vmdk2kvm_plugin_testing::{MemoryGuest, Planned, conformance, sample};
//!
//! struct Motd;
//! impl Fixer for Motd {
//!     fn name(&self) -> String {
//!         "motd".into()
//!     }
//!     fn guests(&self) -> Vec<OsFamily> {
//!         vec![OsFamily::Linux]
//!     }
//!     fn plan(&self, _: &PlanContext, guest: &dyn Guest) -> Result<FixerPlan> {
//!         let mut plan = FixerPlan::default();
//!         if let Some(text) = guest.read_text("/etc/motd")?.filter(|text| text.contains("VMware")) {
//!             let write = Action::write_file(Some(text.as_bytes()), text.replace("VMware", "KVM"));
//!             plan.changes.push(Change::new(write, "/etc/motd", "greet rightly", "this is no VMware guest"));
//!         }
//!         Ok(plan)
//!     }
//! }
//!
//! let guest = MemoryGuest::new(&[("/etc/motd", "on VMware\n")]);
//! let plan = Motd.plan(&sample::linux(), &guest).unwrap();
//! assert_eq!(plan.text("/etc/motd"), "on KVM\n");
//! conformance::fixer(&Motd, &sample::linux(), &guest).assert();
//! ```
#![warn(missing_docs)]

mod golden;
mod host;
mod machines;
mod planned;
mod recorder;

pub use golden::assert_golden;
pub use host::{FakeHost, Reported};
pub use machines::{hostile, shapes};
pub use planned::Planned;
pub use recorder::{Ran, Recorder, shellcheck};
pub use vmdk2kvm_conformance::{self as conformance, MemoryFiles, MemoryGuest, MemorySource, Node, sample};

/// Every block of Rust in the authors' manual is compiled, and run where it can be.
#[cfg(doctest)]
#[doc = include_str!("../../../PLUGINS.md")]
pub mod manual {}

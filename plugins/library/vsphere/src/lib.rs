//! A vCenter or an ESXi host as its API shows it: what the plugins of vSphere share.
//!
//! From the user's word to bytes on the wire: [`address`] reads a URI; [`trust`] decides whom to believe; [`door`] is an HTTPS client made of
//! both. The API on top: [`request`] and [`tree`] are its XML, [`fault`] its errors, [`session`] a login and its calls, [`collector`] reads
//! properties, [`task`] waits. What is found: [`inventory`] has the names and paths, [`machine`] makes a description of a configuration, with its
//! [`disks`] and [`cards`], and [`concerns`] and [`privileges`] say what stands in the way. [`datastore`] has the references to files that catalogs and transports agree
//! on, [`ways`] those to streams. [`catalog`] is the control plane made of these; it asks by an [`api`], which is a session here and may be a program in a plugin.

pub mod address;
pub mod api;
pub mod cards;
pub mod catalog;
pub mod collector;
pub mod concerns;
pub mod datastore;
pub mod disks;
pub mod door;
pub mod escape;
pub mod fault;
pub mod inventory;
pub mod machine;
pub mod privileges;
pub mod request;
pub mod session;
pub mod task;
pub mod tree;
pub mod trust;
pub mod ways;

pub use address::{Address, Wanted};
pub use catalog::VmCatalog;
pub use door::Door;
pub use session::Session;
pub use tree::Tree;

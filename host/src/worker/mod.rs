//! One worker process for a VM: the same program, run again, so that a crash inside a plugin's C library costs one VM and is reported.
//!
//! `again` starts it, `message` is what the two say to each other, `serve` the worker's side, `supervise` the other, which `watch`es that nothing of the worker
//! outlives it; `contain` shuts the worker in, to what `territory` lists; `private_folder` is what neither leaves behind, `crash` the breadcrumb that a dying worker leaves, `death` what is said of it.
//! The worker's standard output carries messages; whatever plugins and their libraries print goes to the log.

pub(crate) mod again;
mod contain;
pub(crate) mod crash;
mod death;
mod message;
mod private_folder;
mod serve;
pub(crate) mod signals;
mod supervise;
mod territory;
mod watch;

pub use contain::offered;
pub use message::{Answer, Failure};
pub use serve::serve;
pub use supervise::{check, run};

/// The hidden word on the command line that makes a process a worker.
pub const WORKER_COMMAND: &str = "worker-process";

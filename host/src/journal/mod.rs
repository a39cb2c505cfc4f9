//! The work folder: who holds it, what was finished in it, what its run holds at a source, and how results get their final names.
//!
//! A stage is finished when its record exists, written last and synced, under the key that its input and options have. Another key is
//! another stage: nothing of it is reused.

#[cfg(test)]
pub(crate) mod crash;
mod fence;
mod holds;
mod lock;
mod log;
mod patience;
mod process;
mod promote;
mod record;
mod state;
mod steps;

pub use fence::Fence;
pub use holds::{HoldNote, NotedHold, holds_left, holds_register};
pub use lock::{LOCK_FILE, Lock};
pub use log::Log;
pub use patience::Patience;
pub use process::Process;
pub use promote::{create_private_folder, output_error, promote, remove_file, sync_folder, write_file};
pub use record::{Records, StageKey};
pub use state::{FINISHED, state_folder};
pub use steps::DurableFile;

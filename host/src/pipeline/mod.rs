//! The stages in their order. Each stage is one file; `dispatch` decides which of them a command needs.
//!
//! `warm` is a room of its own: what is different when the disks are copied in rounds.
//!
//! `run` is what every stage is given, `disk` a disk on its way through. `copying` is the bulk copy, and `guest_stages` what goes on beside it;
//! `output` owns names in the output folder, `deliver` makes what lies beside the images. No file imports one that imports it.

mod attach;
mod chain;
mod conclude;
mod convert;
mod copying;
mod define;
mod deliver;
mod devices;
mod digests;
mod direct;
mod disk;
mod dispatch;
mod examine;
mod fetch;
mod finished;
mod first_look;
mod fix;
mod flatten;
mod format;
mod former;
mod guest_stages;
mod hold;
mod inspect;
mod inventory;
mod keys;
mod live_fix;
mod migrate;
mod output;
mod pairing;
mod paths;
mod plan;
mod release;
mod render;
mod resize;
mod retest;
mod run;
mod saved_plan;
mod source;
mod stated;
mod stream;
mod summary;
mod targets;
mod test;
mod warm;

pub use dispatch::run;
pub use saved_plan::job_source;
pub use warm::remembered;

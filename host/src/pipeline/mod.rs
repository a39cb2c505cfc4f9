//! The stages in their order. Each stage is one file; `run` decides which of them a command needs, `rivers` runs the bulk copy and
//! `guest_river` the stages beside it, `output` owns names in the output folder, `deliver` makes what lies beside the images.

mod attach;
mod convert;
mod deliver;
mod digests;
mod fetch;
mod fix;
mod flatten;
mod guest_river;
mod inspect;
mod keys;
mod look;
mod migrate;
mod output;
mod pairing;
mod plan;
mod planned_guest;
mod resize;
mod retest;
mod rivers;
mod run;
mod saved_plan;
mod stated;
mod summary;
mod targets;
mod test;
mod zero_source;

pub use run::run;
pub use saved_plan::job_source;

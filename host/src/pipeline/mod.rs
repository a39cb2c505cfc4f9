//! The stages in their order. Each stage is one file; `run` decides which of them a command needs, `rivers` runs the bulk copy beside
//! the appliance, `output` owns names in the output folder.

mod attach;
mod convert;
mod digests;
mod fetch;
mod fix;
mod flatten;
mod inspect;
mod look;
mod migrate;
mod output;
mod plan;
mod planned_guest;
mod private_folder;
mod retest;
mod rivers;
mod run;
mod saved_plan;
mod summary;
mod test;
mod zero_source;

pub use run::run;

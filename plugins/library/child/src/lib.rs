//! Programs of this machine, run as children that are bounded and do not outlive us.
//!
//! [`Child`] is a program that runs, in a process group of its own: dropped, it is killed with all that it started, and so does the
//! kernel when this process dies. [`run`] runs one to its end, within a time, and stops when it is asked to. No shell, and nothing known
//! of any program.
#![warn(missing_docs)]

mod child;
mod run;
mod tail;

pub use child::Child;
pub use run::{Ended, Failure, Limits, Stream, run};
pub use tail::Tail;

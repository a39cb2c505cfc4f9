//! Many VMs: a list is read and checked as a whole, then each VM of it is migrated by a child process of its own, as many at once as the
//! places of its source allow.
//!
//! `list` reads JOBS, `check` holds it against everything that can be known before a byte moves, `whereabouts` asks servers for what limits need
//! to know, `schedule` decides which VM is next (no
//! processes, no clock of its own), `children` and `child` are the two ends of a process, `run` brings them together, `record` is what is
//! known of each VM afterwards. `screen`, `events` and `report` only show; `status` only reads; `estimate` reckons; `export` writes the same
//! batch for a cluster. What a child does is the pipeline's business, and whether a VM is finished is decided by its own journal.

mod check;
mod child;
mod children;
mod estimate;
mod events;
mod export;
mod limits;
mod list;
mod places;
mod record;
mod report;
mod request;
mod rows;
mod run;
mod schedule;
mod screen;
mod select;
mod status;
mod summary;
mod whereabouts;

pub use child::{CHILD_COMMAND, serve as serve_child};
pub use estimate::Estimate;
pub use export::{ExportTo, Exported, export};
pub use limits::Limit;
pub use record::{Attempt, RoundsMade, State};
pub use request::{Around, Asked, Show, Task, Which};
pub use run::{Ran, run};
pub use status::{Status, status};
pub use summary::{BatchEnd, Job, Totals};

//! Migrations in rounds: while the machine runs its disks are copied, then what changed since, and again; then it is shut down, and the last changes and
//! every other stage follow.
//!
//! `state` is what is remembered from round to round, `remember` the settings among it; `areas` and `samples` are pure; `round` is one round, `rounds` the
//! command `migrate --warm`, `cutover` the one that ends it.

mod areas;
mod cutover;
mod power;
mod remember;
mod round;
mod rounds;
mod samples;
mod state;

pub(super) use cutover::cutover;
pub use remember::remembered;
pub(super) use rounds::migrate;

//! Changes values of a hive, all in one pass over its bytes, in Rust alone: so it works for every kind of guest, and for data of any length.
//!
//! The hive stays what it is byte for byte but for what the edits need: new cells go where room is free, then into new bins at the end. A
//! new key inherits the security descriptor of the one above it, and takes its time, so that the same edit gives the same bytes. Before,
//! the checker proves the hive sound; after, that it still is, and that it differs from the old one by the edits alone.

mod cells;
mod keys;
mod lists;
mod plan;
mod proof;
mod values;

use std::fmt;

use vmdk2kvm_plugin_api::PluginError;
use vmdk2kvm_plugin_api::model::RegistryEdit;

use super::base::{self, Base};
use super::error::printable;
use super::layout::BIG_DATA_SINCE;
use super::{Fault, Hive, HiveError};
use cells::Cells;
use plan::{Steps, ValueStep};

/// Why a hive was not edited, in one sentence without the file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EditError {
    /// The hive cannot be read.
    Hive(HiveError),
    /// The hive is not sound. One that was left in the midst of being written is replayed first.
    Unsound(Vec<Fault>),
    /// What is there is neither what the edit was planned against nor what it wants.
    Drift {
        /// The key.
        key: String,
        /// The value; `None`: the key as a whole.
        name: Option<String>,
    },
    /// An edit that makes no sense, or that no hive can hold.
    Unfit {
        /// The key.
        key: String,
        /// The value.
        name: String,
        /// Why.
        what: &'static str,
    },
    /// The hive would become longer than hives can be.
    Full,
    /// What was written is not what was wanted, so it was thrown away: a mistake of this library.
    Defect(String),
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hive(error) => error.fmt(f),
            Self::Unsound(faults) => {
                let first = faults.first().map(|fault| format!(" ({fault})")).unwrap_or_default();
                write!(f, "the registry hive is not sound{first}")
            }
            Self::Drift { key, name: Some(name) } => write!(
                f,
                "the value \"{}\" of {} is not what it was when the change was planned",
                printable(name),
                printable(key)
            ),
            Self::Drift { key, name: None } => {
                write!(f, "the key {} holds other values than when the change was planned", printable(key))
            }
            Self::Unfit { key, name, what } => {
                write!(f, "the value \"{}\" of {} cannot be changed: {what}", printable(name), printable(key))
            }
            Self::Full => f.write_str("the registry hive would become longer than a hive can be"),
            Self::Defect(what) => write!(f, "the edited registry hive is not what was planned: {}", printable(what)),
        }
    }
}

impl std::error::Error for EditError {}

impl From<HiveError> for EditError {
    fn from(error: HiveError) -> Self {
        Self::Hive(error)
    }
}

impl From<EditError> for PluginError {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Defect(_) => Self::defect(error.to_string()),
            EditError::Hive(error) => error.into(),
            EditError::Unsound(_) => Self::unusable(error.to_string()).hint(HiveError::REMEDY),
            EditError::Drift { .. } => Self::unusable(error.to_string()).hint("make a new plan"),
            EditError::Unfit { .. } | EditError::Full => Self::unusable(error.to_string()),
        }
    }
}

/// The hive with all edits, or none of them.
///
/// An edit of what already is as it is wanted counts as done; when all are, the same bytes come back. A hive whose logs were not
/// [replayed](super::replay) is refused.
pub fn edit(bytes: Vec<u8>, edits: &[RegistryEdit]) -> Result<Vec<u8>, EditError> {
    let base = Base::read(&bytes)?;
    let hive = Hive::open(bytes)?;
    let steps = plan::steps(&hive, base.minor >= BIG_DATA_SINCE, edits)?;
    let bytes = hive.into_bytes();
    if steps.values.is_empty() && steps.removals.is_empty() {
        super::check(&bytes).map_err(EditError::Unsound)?;
        return Ok(bytes);
    }
    proof::prove(&bytes, &steps, || write(bytes.clone(), base, &steps))
}

/// Writes all steps into a sound hive.
fn write(bytes: Vec<u8>, base: Base, steps: &Steps<'_>) -> Result<Vec<u8>, EditError> {
    let mut cells = Cells::open(bytes, base.bins);
    for key in steps.removals.values() {
        // One that lies below another one went with it.
        if let Some(at) = keys::find(&cells, base.root, key) {
            keys::remove(&mut cells, at, base.minor);
        }
    }
    for ValueStep { key, name, new } in steps.values.values() {
        let Some((type_number, data)) = new else {
            if let Some(at) = keys::find(&cells, base.root, key) {
                values::remove(&mut cells, at, name, base.minor);
            }
            continue;
        };
        let at = keys::find_or_make(&mut cells, base.root, key, base.minor)?;
        if values::has_none_ever(&cells, at) {
            let what = "its key stands for one that Windows makes up";
            return Err(EditError::Unfit { key: (*key).to_owned(), name: (*name).to_owned(), what });
        }
        values::set(&mut cells, at, name, *type_number, data, base.minor)?;
    }
    let (mut bytes, bins) = cells.into_bytes();
    base::seal(&mut bytes, bins, base.first.wrapping_add(1));
    Ok(bytes)
}

#[cfg(test)]
mod tests;

//! Proves that a hive is what was planned: by what the checker finds in the old and in the new one, of which the writer knows nothing.

use std::collections::BTreeSet;

use super::super::check::contents;
use super::super::differences::between;
use super::super::names::folded;
use super::super::{Difference, Differs, Fault};
use super::EditError;
use super::plan::{Steps, folded_path, is_within};

/// A value by its key and name, a key by none.
type Place = (Vec<u16>, Option<Vec<u16>>);

/// Refuses an unsound old hive; an unsound new one, or one that differs by anything but the plan, is a defect.
pub fn prove(
    old: &[u8],
    steps: &Steps<'_>,
    write: impl FnOnce() -> Result<Vec<u8>, EditError>,
) -> Result<Vec<u8>, EditError> {
    let (before, lost_before) = contents(old).map_err(EditError::Unsound)?;
    let new = write()?;
    let first = |faults: Vec<Fault>| faults.first().map(ToString::to_string).unwrap_or_default();
    let (after, lost) = contents(&new).map_err(|faults| EditError::Defect(first(faults)))?;
    if lost > lost_before {
        return Err(EditError::Defect(format!("{} cells were lost", lost - lost_before)));
    }
    let found = between(&before, &after);
    let mut missing: BTreeSet<Place> =
        steps.values.keys().map(|(key, name)| (key.clone(), Some(name.clone()))).collect();
    missing.extend(steps.removals.keys().map(|key| (key.clone(), None)));
    for difference in &found {
        let place =
            planned(difference, steps).ok_or_else(|| EditError::Defect(format!("{difference:?} was not planned")))?;
        missing.remove(&place);
    }
    if let Some((key, _)) = missing.first() {
        return Err(EditError::Defect(format!("{} is not as it was planned", String::from_utf16_lossy(key))));
    }
    Ok(new)
}

/// What was planned that makes this difference.
fn planned(difference: &Difference, steps: &Steps<'_>) -> Option<Place> {
    let key = folded_path(&difference.key);
    let is_removed = steps.removals.keys().any(|top| is_within(&key, top));
    match &difference.what {
        Differs::Value { old, new } => {
            let name = folded(&old.as_ref().or(new.as_ref())?.name);
            let step = steps.values.get(&(key.clone(), name.clone()));
            let wanted = match step {
                Some(step) => step.new.as_ref(),
                None if is_removed => None,
                None => return None,
            };
            let is = new.as_ref().map(|value| (value.type_number, &value.data));
            (is == wanted.map(|(type_number, data)| (*type_number, data))).then_some((key, Some(name)))
        }
        Differs::Removed => is_removed.then_some((key, None)),
        Differs::Added { .. } => {
            let makes = |(wanted, step): (&Vec<u16>, bool)| step && is_within(wanted, &key);
            steps.values.iter().any(|((wanted, _), step)| makes((wanted, step.new.is_some()))).then_some((key, None))
        }
        Differs::Security { .. } | Differs::Class => None,
    }
}

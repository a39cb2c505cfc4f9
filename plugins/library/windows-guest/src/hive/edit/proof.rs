//! Proves that a hive is what was planned: by what the checker finds in the old and in the new one, of which the writer knows nothing.

use std::collections::BTreeSet;

use super::super::check::contents;
use super::super::differences::between;
use super::super::names::folded;
use super::super::{Difference, Differs, Fault};
use super::EditError;
use super::plan::{Steps, folded_path, on_the_way};

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
    let made: BTreeSet<&[u16]> =
        steps.values.iter().filter(|(_, step)| step.new.is_some()).flat_map(|((key, _), _)| on_the_way(key)).collect();
    for difference in &found {
        let place = planned(difference, steps, &made)
            .ok_or_else(|| EditError::Defect(format!("{} was not to change", difference.key)))?;
        missing.remove(&place);
    }
    if let Some((key, _)) = missing.first() {
        return Err(EditError::Defect(format!("{} is not as it was planned", String::from_utf16_lossy(key))));
    }
    Ok(new)
}

/// What was planned that makes this difference.
fn planned(difference: &Difference, steps: &Steps<'_>, made: &BTreeSet<&[u16]>) -> Option<Place> {
    let key = folded_path(&difference.key);
    let is_removed = on_the_way(&key).any(|top| steps.removals.contains_key(top));
    match &difference.what {
        Differs::Value { old, new } => {
            let name = folded(&old.as_ref().or(new.as_ref())?.name);
            let place = (key, name);
            let wanted = match steps.values.get(&place) {
                Some(step) => step.new.as_ref(),
                None if is_removed => None,
                None => return None,
            };
            let is = new.as_ref().map(|value| (value.type_number, &value.data));
            (is == wanted.map(|(type_number, data)| (*type_number, data))).then_some((place.0, Some(place.1)))
        }
        Differs::Removed => is_removed.then_some((key, None)),
        Differs::Added { .. } => made.contains(key.as_slice()).then_some((key, None)),
        Differs::Security { .. } | Differs::Class => None,
    }
}

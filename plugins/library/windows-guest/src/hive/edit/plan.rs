//! What is to be done for edits, when all of them hold against the hive as it is: drift is refused before anything is written.

use std::collections::{BTreeMap, BTreeSet};

use vmdk2kvm_plugin_api::model::{RegistryEdit, RegistryValue};

use super::super::layout::DEEPEST;
use super::super::names::{folded, parts};
use super::super::{Hive, Key, Value};
use super::EditError;

/// A key's name has no more units, a value's neither.
const LONGEST_KEY_NAME: usize = 255;
const LONGEST_VALUE_NAME: usize = 16_383;
/// Where data is in one cell, Windows takes no longer one.
const LONGEST_PLAIN: usize = 1 << 20;
/// A number of segments has 16 bits.
const LONGEST_BIG: usize = 65_535 * super::super::layout::SEGMENT;

/// A value's type and data.
type Content = (u32, Vec<u8>);

/// What is to be written, by what it is written to: names in upper case.
#[derive(Debug, Default)]
pub struct Steps<'a> {
    /// By key and name.
    pub values: BTreeMap<(Vec<u16>, Vec<u16>), ValueStep<'a>>,
    /// Keys that go, with all below them.
    pub removals: BTreeMap<Vec<u16>, &'a str>,
}

/// A value that will be another one.
#[derive(Debug)]
pub struct ValueStep<'a> {
    pub key: &'a str,
    pub name: &'a str,
    /// `None`: it is removed.
    pub new: Option<Content>,
}

/// The path of a key in upper case, so that other names of one key are one.
pub fn folded_path(path: &str) -> Vec<u16> {
    folded(&parts(path).collect::<Vec<&str>>().join("\\"))
}

/// A folded path, after those of the keys on the way to it.
pub fn on_the_way(path: &[u16]) -> impl Iterator<Item = &[u16]> {
    let ends = path.iter().enumerate().filter(|(_, unit)| **unit == u16::from(b'\\')).map(|(at, _)| at);
    ends.chain([path.len()]).map(|end| &path[..end])
}

/// What has to be done so that all edits are; what is so already is left out.
pub fn steps<'a>(hive: &Hive, has_big_data: bool, edits: &'a [RegistryEdit]) -> Result<Steps<'a>, EditError> {
    let mut steps = Steps::default();
    let mut wanted = BTreeMap::new();
    for edit in edits {
        let path = folded_path(&edit.key);
        if let Some(digest) = &edit.old_key_sha256 {
            if let Some(key) = removal(hive, edit, digest, &path)? {
                steps.removals.insert(path, key);
            }
            continue;
        }
        let new = edit.new.as_ref().map(|value| data(edit, value)).transpose()?;
        fits(edit, new.as_ref().map_or(0, |(_, data)| data.len()), has_big_data)?;
        let place = (path, folded(&edit.name));
        if wanted.get(&place).is_some_and(|wanted| *wanted != new) {
            return Err(unfit(edit, "two edits want different things of it"));
        }
        if let Some(step) = step(hive, edit, new.as_ref())? {
            steps.values.insert(place.clone(), step);
        }
        wanted.insert(place, new);
    }
    let removed = edits.iter().filter(|edit| edit.old_key_sha256.is_some());
    let removed: BTreeSet<Vec<u16>> = removed.map(|edit| folded_path(&edit.key)).collect();
    for edit in edits.iter().filter(|edit| edit.new.is_some()) {
        if on_the_way(&folded_path(&edit.key)).any(|top| removed.contains(top)) {
            return Err(unfit(edit, "another edit removes its key"));
        }
    }
    Ok(steps)
}

/// The key that an edit removes; `None`: it has gone already.
fn removal<'a>(hive: &Hive, edit: &'a RegistryEdit, digest: &str, path: &[u16]) -> Result<Option<&'a str>, EditError> {
    if path.is_empty() || edit.new.is_some() || edit.old.is_some() {
        return Err(unfit(edit, "an edit changes a value, or removes a key that is not the root"));
    }
    let Some(key) = hive.key(&edit.key)? else { return Ok(None) };
    if !key.digest()?.eq_ignore_ascii_case(digest) {
        return Err(EditError::Drift { key: edit.key.clone(), name: None });
    }
    Ok(Some(&edit.key))
}

/// What has to be done of a value, so that it holds what the edit wants; `None`: it does already.
fn step<'a>(hive: &Hive, edit: &'a RegistryEdit, new: Option<&Content>) -> Result<Option<ValueStep<'a>>, EditError> {
    let value = |key: Key<'_>| key.value(&edit.name);
    let there = hive.key(&edit.key)?.map(value).transpose()?.flatten();
    let there = there.map(|Value { type_number, data, .. }| (type_number, data));
    if there.as_ref() == new {
        return Ok(None);
    }
    let old = edit.old.as_ref().map(|value| data(edit, value)).transpose()?;
    if there != old {
        return Err(EditError::Drift { key: edit.key.clone(), name: Some(edit.name.clone()) });
    }
    Ok(Some(ValueStep { key: &edit.key, name: &edit.name, new: new.cloned() }))
}

/// The type and the bytes of a value in an edit.
fn data(edit: &RegistryEdit, value: &RegistryValue) -> Result<Content, EditError> {
    let bytes = value.to_bytes().map_err(|_| unfit(edit, "its data is not in pairs of hexadecimal digits"))?;
    Ok((value.type_number, bytes))
}

/// Whether Windows allows such names, and such data.
fn fits(edit: &RegistryEdit, length: usize, has_big_data: bool) -> Result<(), EditError> {
    let units = |name: &str| name.encode_utf16().count();
    if parts(&edit.key).any(|part| units(part) > LONGEST_KEY_NAME || part.contains('\0')) {
        return Err(unfit(edit, "Windows does not allow this key name"));
    }
    if parts(&edit.key).count() > DEEPEST as usize {
        return Err(unfit(edit, "Windows does not allow keys this deep"));
    }
    if units(&edit.name) > LONGEST_VALUE_NAME {
        return Err(unfit(edit, "Windows does not allow this value name"));
    }
    if length > if has_big_data { LONGEST_BIG } else { LONGEST_PLAIN } {
        return Err(unfit(edit, "this kind of hive cannot hold that much data"));
    }
    Ok(())
}

fn unfit(edit: &RegistryEdit, what: &'static str) -> EditError {
    EditError::Unfit { key: edit.key.clone(), name: edit.name.clone(), what }
}

//! What one hive holds and another does not, by what the checker found in both: places in the file do not count, nor times.

use std::cmp::Ordering;

use super::check::{Contents, Node, Stored, contents};
use super::{Fault, Value};

/// Something in which two hives differ.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The key, from the root, parts joined by backslashes.
    pub key: String,
    /// In what.
    pub what: Differs,
}

/// In what a key differs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Differs {
    /// The new hive alone has it; its values, and what is below it, are differences of their own.
    Added {
        /// Its security descriptor.
        security: Vec<u8>,
    },
    /// The old hive alone has it; its values, and what is below it, are differences of their own.
    Removed,
    /// It has another security descriptor.
    Security {
        /// Before.
        old: Vec<u8>,
        /// After.
        new: Vec<u8>,
    },
    /// It has another class.
    Class,
    /// A value is new, gone, or another.
    Value {
        /// Before.
        old: Option<Value>,
        /// After.
        new: Option<Value>,
    },
}

/// In what two sound hives differ, in the order of their keys; the faults of the one that is not sound.
pub fn differences(old: &[u8], new: &[u8]) -> Result<Vec<Difference>, Vec<Fault>> {
    let (old, _) = contents(old)?;
    let (new, _) = contents(new)?;
    Ok(between(&old, &new))
}

/// In what two hives differ.
pub(super) fn between(old: &Contents<'_>, new: &Contents<'_>) -> Vec<Difference> {
    let mut found = Vec::new();
    keys(&Sides { old, new }, "", old.root(), new.root(), &mut found);
    found
}

struct Sides<'a, 'b> {
    old: &'b Contents<'a>,
    new: &'b Contents<'a>,
}

/// Compares what the sides have at a path, and all below it.
fn keys(
    sides: &Sides<'_, '_>,
    path: &str,
    old: Option<&Node<'_>>,
    new: Option<&Node<'_>>,
    found: &mut Vec<Difference>,
) {
    let mut add = |what| found.push(Difference { key: path.to_owned(), what });
    match (old, new) {
        (Some(old), Some(new)) if old.security != new.security => {
            add(Differs::Security { old: old.security.to_vec(), new: new.security.to_vec() });
        }
        (None, Some(new)) => add(Differs::Added { security: new.security.to_vec() }),
        (Some(_), None) => add(Differs::Removed),
        _ => {}
    }
    if old.zip(new).is_some_and(|(old, new)| old.class != new.class) {
        add(Differs::Class);
    }
    for (old, new) in pairs(&values(old), &values(new), |a, b| a.name.order(b.name)) {
        let same = old.zip(new).is_some_and(|(old, new)| same(old, new));
        if !same {
            add(Differs::Value { old: old.map(|value| read(value)), new: new.map(|value| read(value)) });
        }
    }
    let (old, new) = (below(sides.old, old), below(sides.new, new));
    for (old, new) in pairs(&old, &new, |a, b| a.name.order(b.name)) {
        let Some(name) = old.or(new).map(|node| node.name.text()) else { continue };
        let path = if path.is_empty() { name } else { format!("{path}\\{name}") };
        match (old, new) {
            (Some(old), Some(new)) if !old.name.units().eq(new.name.units()) => {
                keys(sides, &path, Some(old), None, found);
                keys(sides, &path, None, Some(new), found);
            }
            _ => keys(sides, &path, old.copied(), new.copied(), found),
        }
    }
}

fn below<'a, 'b>(contents: &'b Contents<'a>, node: Option<&Node<'a>>) -> Vec<&'b Node<'a>> {
    node.map_or_else(Vec::new, |node| contents.below(node).iter().collect())
}

fn values<'a, 'b>(node: Option<&'b Node<'a>>) -> Vec<&'b Stored<'a>> {
    let mut values: Vec<&Stored<'_>> = node.map_or_else(Vec::new, |node| node.values.iter().collect());
    values.sort_by(|a, b| a.name.order(b.name));
    values
}

/// What two sorted lists have of each name.
fn pairs<'b, T>(old: &'b [T], new: &'b [T], order: impl Fn(&T, &T) -> Ordering) -> Vec<(Option<&'b T>, Option<&'b T>)> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut pairs = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some(old), Some(new)) => order(old, new),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return pairs,
        };
        pairs.push((
            if order == Ordering::Greater { None } else { old.next() },
            if order == Ordering::Less { None } else { new.next() },
        ));
    }
}

fn same(old: &Stored<'_>, new: &Stored<'_>) -> bool {
    old.type_number == new.type_number
        && old.name.units().eq(new.name.units())
        && (old.data == new.data || old.data.bytes() == new.data.bytes())
}

fn read(stored: &Stored<'_>) -> Value {
    Value { name: stored.name.text(), type_number: stored.type_number, data: stored.data.bytes() }
}

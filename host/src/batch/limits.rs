//! Limits: how many VMs at once a place of the source takes.
//!
//! A place is a key `KIND:NAME`, such as a host or a datastore, and each has its own limit. `KIND:*` is the limit of each place of that kind
//! that has none; `total` that of all VMs together. `boot` is no place of a source: it is kept by the runs themselves (`test.at_once`).

use std::collections::BTreeMap;
use std::str::FromStr;

/// All VMs together.
pub(super) const TOTAL: &str = "total";
/// Guests that boot for their test.
pub(super) const BOOT: &str = "boot";
/// The kind of key that every source with a server has.
pub(super) const SERVER: &str = "server";
/// The kind of key of the host that a VM runs on.
pub(super) const HOST: &str = "esx";
/// The kind of key of the storage that its disks lie on.
pub(super) const STORE: &str = "datastore";
/// No limit is larger.
const LARGEST: u32 = 10_000;
/// No key is longer, in bytes.
const LONGEST: usize = 200;

/// `KEY=N`, as the command line has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The key.
    pub key: String,
    /// How many at once.
    pub places: u32,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, places) = text.rsplit_once('=').ok_or("there is no `=` between key and number")?;
        let places = places.parse().map_err(|_| format!("`{places}` is not a whole number"))?;
        let limit = Self { key: key.to_owned(), places };
        limit.check().map(|()| limit)
    }
}

impl Limit {
    /// Says in a few words what is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        let kind = self.key.strip_suffix(":*");
        if !kind.map_or_else(|| is_key(&self.key), |kind| !kind.contains(':') && is_key(&format!("{kind}:x"))) {
            return Err(format!("`{}` is not a key: KIND:NAME, KIND:*, total or boot", shown(&self.key)));
        }
        if !(1..=LARGEST).contains(&self.places) {
            return Err(format!("the limit of {} must be from 1 to {LARGEST}", shown(&self.key)));
        }
        Ok(())
    }
}

fn shown(text: &str) -> String {
    crate::events::escape(text).chars().take(LONGEST).collect()
}

/// Whether a text can be a key of a VM, or one of the two that all share.
fn is_key(text: &str) -> bool {
    text == TOTAL || text == BOOT || is_place(text)
}

/// Whether a text is a place of a source.
pub(super) fn is_place(text: &str) -> bool {
    let plain = |text: &str| !text.is_empty() && !text.chars().any(|c| c.is_control() || c == ',');
    text.len() <= LONGEST
        && text.split_once(':').is_some_and(|(kind, name)| {
            kind.starts_with(|first: char| first.is_ascii_lowercase())
                && kind.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
                && name != "*"
                && plain(name)
        })
}

/// All limits of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Limits(BTreeMap<String, u32>);

impl Limits {
    /// Sets one; a later one wins.
    pub fn set(&mut self, limit: Limit) {
        self.0.insert(limit.key, limit.places);
    }

    /// How many VMs at once a key takes; `None`: any number.
    pub fn of(&self, key: &str) -> Option<u32> {
        let rest = || self.0.get(&format!("{}:*", key.split_once(':')?.0));
        self.0.get(key).or_else(rest).copied()
    }

    /// Whether any is about places of this kind.
    pub fn are_about(&self, kind: &str) -> bool {
        self.0.keys().any(|key| key.split_once(':').is_some_and(|(of, _)| of == kind))
    }

    /// How many VMs run at once in all: half as many as there are processors unless told, since each has several busy threads.
    pub fn total(&self) -> u32 {
        let processors = || std::thread::available_parallelism().map_or(1, |count| count.get() / 2).max(1);
        self.of(TOTAL).unwrap_or_else(|| u32::try_from(processors()).unwrap_or(1))
    }

    /// The keys that are named and that are neither a place of one of these VMs nor the rest of a kind: misspelt ones do nothing.
    pub fn unused<'a>(&'a self, is_used: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = &'a str> {
        let special = |key: &str| key == TOTAL || key == BOOT || key.ends_with(":*");
        self.0.keys().map(String::as_str).filter(move |key| !special(key) && !is_used(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_own_limit_or_that_of_its_kind() {
        let mut limits = Limits::default();
        for text in ["host:a=2", "host:*=1", "total=8", "boot=3", "host:a=4"] {
            limits.set(text.parse().unwrap());
        }
        assert_eq!(["host:a", "host:b", "store:x", BOOT].map(|key| limits.of(key)), [Some(4), Some(1), None, Some(3)]);
        assert_eq!((limits.total(), limits.unused(|key| key == "host:b").collect::<Vec<_>>()), (8, vec!["host:a"]));
    }

    #[test]
    fn what_is_no_limit_is_refused_in_a_few_words() {
        for (text, said) in [
            ("host:a", "there is no `=` between key and number"),
            ("host:a=x", "`x` is not a whole number"),
            ("host:a=0", "the limit of host:a must be from 1 to 10000"),
            ("Host:a=1", "`Host:a` is not a key: KIND:NAME, KIND:*, total or boot"),
            ("host=1", "`host` is not a key: KIND:NAME, KIND:*, total or boot"),
            ("host:=1", "`host:` is not a key: KIND:NAME, KIND:*, total or boot"),
            ("a:b:*=1", "`a:b:*` is not a key: KIND:NAME, KIND:*, total or boot"),
            ("host:a\x1b=1", "`host:a\\x1b` is not a key: KIND:NAME, KIND:*, total or boot"),
        ] {
            assert_eq!(text.parse::<Limit>().unwrap_err(), said, "{text}");
        }
        assert!("host:[::1]=1".parse::<Limit>().is_ok());
    }
}

//! YAML as netplan reads it: texts, lists and maps, in which a key may stand twice and counts each time.
//!
//! Bounds what a hostile file can cost: the parser's time grows with the square of the nesting, and aliases make a small file large.

use std::cell::Cell;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Yaml {
    /// A scalar as text; nothing is the empty text.
    Text(String),
    List(Vec<Yaml>),
    /// In the file's order, a key as often as it stands there.
    Map(Vec<(String, Yaml)>),
}

/// No network configuration is larger, in bytes.
const LARGEST: usize = 256 << 10;
/// The most brackets of a file, and the most dashes before the text of a line.
const BRACKETS: usize = 8000;
const DASHES: usize = 16;
/// The most values that a file may have, those that aliases repeat counted again.
const VALUES: usize = 200_000;

impl Yaml {
    /// Reads a document. The message of an error is one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let brackets = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
        let dashes = |line: &str| {
            line.split(' ')
                .take_while(|word| matches!(*word, "-" | "?" | ":" | ""))
                .filter(|word| !word.is_empty())
                .count()
        };
        let lines = || text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']);
        if text.len() > LARGEST || brackets > BRACKETS || lines().any(|line| dashes(line) > DASHES) {
            return Err("it is too large or nested too deep to be network configuration".to_owned());
        }
        if lines().any(|line| line.trim_start_matches('\u{feff}').starts_with("%TAG")) {
            return Err("its tags have no meaning in network configuration".to_owned());
        }
        let left = Cell::new(VALUES);
        let read = Seed(&left).deserialize(serde_norway::Deserializer::from_str(text));
        read.map_err(|error| error.to_string().replace('\n', " "))
    }

    /// The values of a key, in their order.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Yaml> {
        self.members().filter(move |(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The last value of a key.
    pub fn get(&self, key: &str) -> Option<&Yaml> {
        self.members().filter(|(name, _)| *name == key).map(|(_, value)| value).last()
    }

    /// The text of a key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    /// The value as text, where it has any.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The members of a map.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Yaml)> {
        let members = if let Self::Map(members) = self { members.as_slice() } else { &[] };
        members.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The members of a list; a single value is a list of one.
    pub fn items(&self) -> &[Yaml] {
        match self {
            Self::List(items) => items,
            Self::Text(text) if text.is_empty() => &[],
            one => std::slice::from_ref(one),
        }
    }
}

/// Reads a value; what is left of the values is counted down.
#[derive(Clone, Copy)]
struct Seed<'a>(&'a Cell<usize>);

impl Seed<'_> {
    fn scalar<E: Error>(self, text: impl fmt::Display) -> Result<Yaml, E> {
        Ok(Yaml::Text(text.to_string()))
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Yaml;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Yaml, D::Error> {
        let left = self.0.get().checked_sub(1);
        self.0.set(left.ok_or_else(|| D::Error::custom("with its aliases it is too large"))?);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("network configuration")
    }

    fn visit_unit<E: Error>(self) -> Result<Yaml, E> {
        self.scalar("")
    }

    fn visit_none<E: Error>(self) -> Result<Yaml, E> {
        self.visit_unit()
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Yaml, E> {
        self.scalar(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Yaml, E> {
        self.scalar(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Yaml, E> {
        self.scalar(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Yaml, E> {
        self.scalar(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Yaml, E> {
        self.scalar(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Yaml, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Yaml::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Yaml, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = access.next_key_seed(self)? {
            let value = access.next_value_seed(self)?;
            if let Yaml::Text(name) = name {
                members.push((name, value));
            }
        }
        Ok(Yaml::Map(members))
    }

    /// A value with a tag is the value.
    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Yaml, A::Error> {
        let (_, value) = access.variant::<String>()?;
        value.newtype_variant_seed(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_as_often_as_it_stands_there() {
        let found = Yaml::parse("a: {x: 1}\na: {y: [true, 2.5, null, '7']}\nb: &l [p, q]\nc: *l\nd: !t z\n").unwrap();
        assert_eq!(found.all("a").count(), 2);
        let texts = |value: &Yaml| {
            value.items().iter().map(|item| item.as_text().unwrap_or("-").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(texts(found.get("a").unwrap().get("y").unwrap()), ["true", "2.5", "-", "7"]);
        assert_eq!(texts(found.get("c").unwrap()), ["p", "q"]);
        assert_eq!(found.text("d"), Some("z"));
        assert_eq!(found.text("none"), None);
        assert!(Yaml::parse("a: [").is_err());
        assert_eq!(Yaml::parse(""), Ok(Yaml::Text(String::new())));
    }

    #[test]
    fn hostile_files_cost_little() {
        let start = std::time::Instant::now();
        let bomb = format!(
            "a: &a [{}]\nb: &b [{}]\nc: &c [{}]\nd: [{}]\n",
            "x,".repeat(90),
            "*a,".repeat(90),
            "*b,".repeat(90),
            "*c,".repeat(90)
        );
        for text in [
            "[".repeat(100_000),
            "{".repeat(7000),
            "- ".repeat(100_000),
            "a:\n - - - - - - - - - - - - - - - - - - - - - -".to_owned(),
            bomb,
            "x".repeat(LARGEST + 1),
            "%TAG ! x\n".repeat(9),
        ] {
            assert!(Yaml::parse(&text).is_err(), "{}", &text[..9]);
        }
        assert!(start.elapsed().as_secs() < 10);
    }
}

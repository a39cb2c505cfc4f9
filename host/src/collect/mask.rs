//! Puts words in place of names, addresses and secrets: the same value gets the same word everywhere, so that a reader still sees what belongs
//! together.
//!
//! By their form: addresses, identifiers, and whatever follows a word for a secret. By what documents say of them: the names of machines,
//! hosts, users and networks. System paths, versions and codes stay.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::{Captures, Regex};
use serde_json::Value;

use crate::config::secret::MASK;

/// Keys whose values are names that somebody gave.
const NAMED: [&str; 8] = ["name", "hostname", "uri", "network", "old_network", "serial", "host", "user"];
/// Documents have such a key for what is no name of the user's: stages, plugins, fixers, targets.
const OUR_NAMES: [&str; 6] = ["stages", "targets", "needs", "abilities", "plugins", "tool"];
/// Shorter ones would tear other words apart.
const SHORTEST: usize = 3;

/// What is masked in one archive.
pub(super) struct Mask {
    names: BTreeSet<String>,
    known: BTreeMap<String, String>,
}

impl Mask {
    /// Knows the folder, this machine and its user.
    pub fn new(dir: &Path) -> Self {
        let mut mask = Self { names: BTreeSet::new(), known: BTreeMap::new() };
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        mask.add(&dir.to_string_lossy());
        for variable in ["USER", "LOGNAME", "SUDO_USER", "HOME"] {
            mask.add(&std::env::var(variable).unwrap_or_default());
        }
        mask.add(&rustix::system::uname().nodename().to_string_lossy());
        mask
    }

    /// Learns the names in a document.
    pub fn learn(&mut self, document: &Value) {
        match document {
            Value::Object(members) => {
                for (key, member) in members.iter().filter(|(key, _)| !OUR_NAMES.contains(&key.as_str())) {
                    match member {
                        Value::String(text) if NAMED.contains(&key.as_str()) => self.add(text),
                        _ => self.learn(member),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            _ => {}
        }
    }

    /// The words of a name, a path or a URI. Folders that every system has are no names.
    fn add(&mut self, text: &str) {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        for word in text.split(|c| !is_part(c)) {
            let word = word.trim_matches('.');
            let is_systems = Path::new("/").join(word).is_dir();
            if word.len() >= SHORTEST && !is_systems && !word.chars().all(|c| c.is_ascii_digit()) {
                self.names.insert(word.to_owned());
            }
        }
    }

    /// How many values have a word.
    pub fn count(&self) -> usize {
        self.known.len()
    }

    /// The text with the words.
    pub fn text(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (kind, form) in forms() {
            text = form.replace_all(&text, |found: &Captures<'_>| self.word(kind, &found[0])).into_owned();
        }
        text = secrets().replace_all(&text, format!("${{1}}{MASK}")).into_owned();
        let names: Vec<String> = self.names.iter().rev().map(|name| regex::escape(name)).collect();
        for some in names.chunks(200) {
            let Ok(form) = Regex::new(&format!(r"(?i)({})", some.join("|"))) else { continue };
            text = form
                .replace_all(&text, |found: &Captures<'_>| {
                    let whole = found.get(0).map_or(0..0, |found| found.range());
                    // A part of a longer word is another word.
                    let touches = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                    match touches(text[..whole.start].chars().next_back()) || touches(text[whole.end..].chars().next())
                    {
                        true => found[0].to_owned(),
                        false => self.known_word("name", &found[0].to_lowercase()),
                    }
                })
                .into_owned();
        }
        text
    }

    fn word(&mut self, kind: &str, value: &str) -> String {
        self.known_word(kind, &value.to_lowercase())
    }

    fn known_word(&mut self, kind: &str, value: &str) -> String {
        let number = self.known.values().filter(|word| word.starts_with(kind)).count() + 1;
        self.known.entry(value.to_owned()).or_insert_with(|| format!("{kind}-{number}")).clone()
    }
}

/// What is known by its form, the longer ones first.
fn forms() -> [(&'static str, Regex); 5] {
    let form = |text: &str| Regex::new(text).unwrap_or_else(|error| unreachable!("{error}"));
    [
        ("id", form(r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")),
        ("mac", form(r"(?i)\b[0-9a-f]{2}([:-][0-9a-f]{2}){5}\b")),
        ("address", form(r"(?i)\b[0-9a-f]{1,4}(:[0-9a-f]{0,4}){3,7}(:|\b)")),
        ("address", form(r"\b(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}\b")),
        ("mail", form(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")),
    ]
}

/// Whatever follows a word for a secret on its line.
fn secrets() -> Regex {
    let form = r#"(?i)((?:pass(?:word|wd|phrase)?|psk|secret|token|api[_-]?key|private[_-]?key)["']?\s*[=:]\s*["']?)[^\s"',]+"#;
    Regex::new(form).unwrap_or_else(|error| unreachable!("{error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_value_has_the_same_word_and_what_is_ours_stays() {
        let mut mask = Mask::new(Path::new("/srv/acme-payroll"));
        mask.learn(
            &json!({"vm": {"name": "Payroll DB", "nics": [{"network": "ACME-Prod"}]}, "stages": [{"name": "flatten"}]}),
        );
        let text = mask.text(
            "payroll-db01 Payroll at 10.1.2.3 and fd00:1:2:3::7, 00:50:56:aa:bb:cc, 10.1.2.3; net acme-prod\n\
             flatten done at 12:30:59 in /etc/fstab of 6.1.0-50-amd64, id 3f0c1e52-9a54-4a57-8f61-6e2c9a0d7701\n\
             psk=hunter2 and \"password\": \"hunter3\", root@acme.example",
        );
        for gone in ["Payroll at", "10.1.2.3", "fd00", "aa:bb", "acme", "3f0c", "hunter"] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
        for kept in ["flatten done at 12:30:59 in /etc/fstab of 6.1.0-50-amd64", "address-1", "mac-1", "id-1"] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
        assert_eq!(text.matches("address-2").count(), 2, "{text}");
    }
}

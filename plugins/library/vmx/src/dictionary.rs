//! A VMX's text as keys and values.
//!
//! Lines of `key = "value"`; keys without case; `#` begins a comment outside of quotes. VMware refuses a file in which a key
//! has two values or a line has no meaning, and so does this.

use std::collections::BTreeMap;

use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

use crate::text::{Text, unescape};

/// The most lines of a VMX; real ones have a few hundred.
const MAX_LINES: usize = 20_000;

/// Keys in lower case, and their values.
#[derive(Debug, Default)]
pub struct Dictionary {
    entries: BTreeMap<String, String>,
}

impl Dictionary {
    /// Parses the text; errors name the line.
    pub fn parse(text: &Text) -> Result<Self> {
        let mut entries = BTreeMap::new();
        for (index, line) in text.text.lines().enumerate() {
            let number = index + 1;
            let bad = |what: &str| {
                PluginError::unusable(format!("line {number} {what}"))
                    .hint("correct that line as VMware would write it: key = \"value\"")
            };
            if number > MAX_LINES {
                return Err(PluginError::unusable(format!("it has more than {MAX_LINES} lines"))
                    .hint("give the VMX as VMware wrote it"));
            }
            if line.contains('\0') {
                return Err(bad("holds a NUL character"));
            }
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once('=').ok_or_else(|| bad("has no '='"))?;
            let key = key.trim().to_lowercase();
            if key.is_empty() || key.contains(['"', '#']) {
                return Err(bad("has no key before its '='"));
            }
            let value = unescape(raw_value(value.trim()).map_err(bad)?, text.encoding);
            match entries.get(&key) {
                Some(earlier) if *earlier != value => {
                    return Err(PluginError::unusable(format!("line {number} gives {} a second value", escape(&key)))
                        .hint("remove the line that does not apply"));
                }
                Some(_) => {}
                None => {
                    entries.insert(key, value);
                }
            }
        }
        Ok(Self { entries })
    }

    /// The value of a key (in lower case), unless there is none or it is empty.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The value of a key as VMware reads switches; `None` when there is none.
    pub fn switch(&self, key: &str) -> Option<bool> {
        let value = self.text(key)?.to_lowercase();
        Some(matches!(value.as_str(), "true" | "t" | "yes" | "y" | "on" | "1"))
    }

    /// The value of a key as a whole number between `least` and `most`; another text is an error that names the key.
    pub fn number(&self, key: &str, least: u64, most: u64) -> Result<Option<u64>> {
        let Some(text) = self.text(key) else { return Ok(None) };
        match text.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(PluginError::unusable(format!(
                "{key} is '{}', not a number between {least} and {most}",
                escape(text)
            ))
            .hint(format!("correct {key} in the VMX"))),
        }
    }

    /// Every key with its value, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// What is between the quotes, or the bare word of a line without quotes.
fn raw_value(value: &str) -> Result<&str, &'static str> {
    let Some(quoted) = value.strip_prefix('"') else {
        return Ok(value.split('#').next().unwrap_or_default().trim_end());
    };
    let (value, rest) = quoted.split_once('"').ok_or("has no closing quote")?;
    let rest = rest.trim();
    if rest.is_empty() || rest.starts_with('#') { Ok(value) } else { Err("goes on behind the closing quote") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::decode;

    fn parse(text: &str) -> Result<Dictionary> {
        Dictionary::parse(&decode(text.as_bytes()))
    }

    #[test]
    fn lines_of_every_shape_are_read() {
        let text = "#!/usr/bin/vmware\r\n\r\n.encoding = \"UTF-8\"\r\n  MemSize=\"512\"   # comment\nbare = word # x\n\
                    displayName = \"a = |22b|22 # c\"\nempty = \"\"\nflag = \"TRUE\"\nmemsize = \"512\"\n";
        let dictionary = parse(text).unwrap();
        assert_eq!(dictionary.text("memsize"), Some("512"));
        assert_eq!(dictionary.text("bare"), Some("word"));
        assert_eq!(dictionary.text("displayname"), Some("a = \"b\" # c"));
        assert_eq!(dictionary.text("empty"), None);
        assert_eq!(dictionary.switch("flag"), Some(true));
        assert_eq!(dictionary.switch("memsize"), Some(false));
        assert_eq!(dictionary.switch("nothing"), None);
        assert_eq!(dictionary.number("memsize", 1, 1024).unwrap(), Some(512));
    }

    #[test]
    fn what_vmware_refuses_is_refused_by_line() {
        for (text, expected) in [
            ("a = \"1\"\nb\n", "line 2 has no '='"),
            ("a = \"1\n", "line 1 has no closing quote"),
            ("a = \"1\" b\n", "line 1 goes on behind the closing quote"),
            ("= \"1\"\n", "line 1 has no key before its '='"),
            ("a = \"1\"\nA = \"2\"\n", "line 2 gives a a second value"),
            ("a = \"\0\"\n", "line 1 holds a NUL character"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.message, expected);
            assert!(error.hint.is_some());
        }
        assert!(parse(&"a=1\n".repeat(20_001)).unwrap_err().message.contains("more than 20000 lines"));
        for value in ["0", "-1", "many", "1025", "99999999999999999999999"] {
            let error = parse(&format!("memsize = \"{value}\"")).unwrap().number("memsize", 1, 1024).unwrap_err();
            assert_eq!(error.message, format!("memsize is '{value}', not a number between 1 and 1024"));
        }
    }
}

//! `[Strings]` of an INF, and the replacement of `%tokens%`.

use std::collections::BTreeMap;

use super::sections::Sections;

/// Windows makes no longer string out of tokens; what would be longer keeps them.
const LONGEST: usize = 4096;

/// The strings by their keys in lower case.
#[derive(Debug, Default)]
pub(super) struct Strings(BTreeMap<String, String>);

impl Strings {
    /// The neutral section; what it lacks comes from the English ones, then from any other language.
    pub fn of(sections: &Sections) -> Self {
        let mut all: Vec<_> = sections.iter().filter_map(|(name, lines)| Some((rank(name)?, name, lines))).collect();
        all.sort_by_key(|(rank, name, _)| (*rank, *name));
        let mut strings = BTreeMap::new();
        for line in all.into_iter().flat_map(|(_, _, lines)| lines) {
            if let Some(key) = &line.key {
                strings.entry(key.to_lowercase()).or_insert_with(|| line.field(0).to_owned());
            }
        }
        Self(strings)
    }

    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// The text with its tokens replaced; `%%` is one percent sign. The number of a directory (`%12%`) and an unknown token stay as they are.
    pub fn expand(&self, text: &str) -> String {
        let (mut out, mut rest) = (String::new(), text);
        while let Some((before, (token, after))) = rest.split_once('%').and_then(|(a, b)| Some((a, b.split_once('%')?)))
        {
            out.push_str(before);
            rest = after;
            match self.0.get(&token.to_lowercase()) {
                _ if token.is_empty() => out.push('%'),
                Some(value) if !is_number(token) && out.len() + value.len() <= LONGEST => out.push_str(value),
                _ => out.extend(["%", token, "%"]),
            }
        }
        out.push_str(rest);
        out
    }
}

fn is_number(token: &str) -> bool {
    token.bytes().all(|byte| byte.is_ascii_digit())
}

fn rank(section: &str) -> Option<u32> {
    match section.strip_prefix("strings")? {
        "" => Some(0),
        ".0409" => Some(1),
        ".0009" => Some(2),
        other => other.starts_with('.').then_some(3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_replaced_and_directories_stay() {
        let text = "[Strings]\nVENDOR = \"Red Hat, Inc.\"\nTwo=a,b\n12=no\n[Strings.0407]\nvendor=\"Roter Hut\"\nneu=\"nur hier\"\n\
            [Strings.0409]\nNeu=\"only here\"\n[StringsOther]\nx=1";
        let strings = Strings::of(&Sections::parse(text).unwrap());
        for (text, expanded) in [
            ("%vendor%", "Red Hat, Inc."),
            ("a %VENDOR% b %neu%", "a Red Hat, Inc. b only here"),
            ("%%SystemRoot%%\\a", "%SystemRoot%\\a"),
            ("%12%\\a.sys", "%12%\\a.sys"),
            ("%x% %", "%x% %"),
            ("100%", "100%"),
            ("%two%", "a"),
        ] {
            assert_eq!(strings.expand(text), expanded, "{text}");
        }
    }

    #[test]
    fn replacement_cannot_grow_without_end() {
        let text = format!("[Strings]\na=\"{}\"", "x".repeat(4000));
        let strings = Strings::of(&Sections::parse(&text).unwrap());
        let expanded = strings.expand(&"%a%".repeat(1000));
        assert!(expanded.len() < 8000 && expanded.ends_with("%a%"), "{}", expanded.len());
    }
}

//! Variables of a script: who sets them, and those of which the value is certain.

use std::collections::BTreeMap;

use super::script::{Command, Piece, Word, visit};

/// Longer values are no paths and no titles.
const LONGEST: usize = 4096;

/// The variable that a command sets, and the word that says so (`set NAME=VALUE`, or `NAME=VALUE` alone).
pub(crate) fn assignment(command: &Command) -> Option<(String, &Word)> {
    let word = if command.name() == "set" { command.words.get(1)? } else { command.words.first()? };
    let Some(Piece::Text(first)) = word.pieces.first() else { return None };
    let (name, _) = first.split_once('=')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then(|| (name.to_owned(), word))
}

/// The variables that are set to one value only.
#[derive(Debug, Clone, Default)]
pub(crate) struct Constants(BTreeMap<String, Option<String>>);

impl Constants {
    /// Those of a script, with those that are known from elsewhere.
    pub fn of(commands: &[Command], known: &[(&str, &str)]) -> Self {
        let mut out = Self::default();
        for (name, value) in known {
            out.0.insert((*name).to_owned(), Some((*value).to_owned()));
        }
        visit(commands, &mut |command| {
            if let Some((name, word)) = assignment(command) {
                let value = out.value(word).and_then(|whole| whole.split_once('=').map(|(_, value)| value.to_owned()));
                let now = out.0.entry(name).or_insert_with(|| value.clone());
                if *now != value {
                    *now = None;
                }
            }
        });
        out
    }

    /// What a word says; `None` when that depends on what is not known here.
    pub fn value(&self, word: &Word) -> Option<String> {
        let mut out = String::new();
        for piece in &word.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Variable(name) => out.push_str(self.get(name)?),
            }
        }
        (out.len() <= LONGEST).then_some(out)
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::read;
    use super::*;

    #[test]
    fn only_what_is_certain_has_a_value() {
        let text = "set a=/x\nb=\"$a/y\"\nset c=1\nif z; then set c=2; fi\nset d=$unknown\nset e=$d\nset prefix=/own\necho f=1";
        let constants = Constants::of(&read(text), &[("known", "/k"), ("prefix", "/boot/grub")]);
        for (name, value) in [
            ("a", Some("/x")),
            ("b", Some("/x/y")),
            ("c", None),
            ("d", None),
            ("e", None),
            ("f", None),
            ("known", Some("/k")),
            ("prefix", None),
        ] {
            assert_eq!(constants.get(name), value, "{name}");
        }
    }

    #[test]
    fn a_value_that_doubles_stays_short() {
        let text = (0..64).map(|n| format!("set v{}=$v{n}$v{n}\n", n + 1)).collect::<String>();
        let constants = Constants::of(&read(&format!("set v0=xxxxxxxx\n{text}")), &[]);
        assert_eq!(constants.get("v64"), None);
        assert_eq!(constants.get("v2").map(str::len), Some(32));
    }
}

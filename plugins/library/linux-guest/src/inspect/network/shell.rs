//! Shell text that is read for its assignments (ifcfg, netctl, netifrc): quotes, comments, arrays, and variables that the text itself sets.
//!
//! Runs nothing: a value that a command gives is not known, and is said to be so.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::Chars;

/// The variables that a text sets.
#[derive(Debug, Default)]
pub(super) struct Variables {
    values: BTreeMap<String, Vec<String>>,
    /// Variables whose value only running the text would tell.
    pub unknown: BTreeSet<String>,
}

impl Variables {
    /// Reads a text.
    pub fn parse(text: &str) -> Self {
        let mut reader = Reader { letters: text.chars().peekable(), known: Self::default() };
        reader.read();
        reader.known
    }

    /// The value; `None` where it is empty too.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.first().map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The words of a value or of an array's members.
    pub fn words<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.values.get(name).into_iter().flatten().flat_map(|value| value.split_whitespace())
    }

    /// The variables that begin so, without their beginning.
    pub fn beginning<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a [String])> {
        self.values.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_slice())))
    }
}

/// The most that variables may add to a value, in bytes.
const LONGEST: usize = 4096;

struct Reader<'a> {
    letters: Peekable<Chars<'a>>,
    known: Variables,
}

/// What a word is, as far as it was read.
#[derive(Default)]
struct Word {
    text: String,
    /// Running the text would tell it.
    unknown: bool,
    /// It is there, be it as empty quotes.
    is_there: bool,
}

impl Reader<'_> {
    fn read(&mut self) {
        // An assignment stands before a command, or behind a word that leaves it one.
        let mut may_assign = true;
        while let Some(letter) = self.letters.peek().copied() {
            match letter {
                '\n' | ';' | '&' | '|' | '{' | '}' | '(' | ')' => {
                    self.letters.next();
                    may_assign = true;
                }
                _ if letter.is_whitespace() => {
                    self.letters.next();
                }
                '#' => self.comment(),
                _ => {
                    let name = self.name();
                    if may_assign && !name.is_empty() && self.takes_assignment() {
                        self.assign(name);
                    } else {
                        let rest = self.word();
                        let is_plain = rest.text.is_empty() && !rest.unknown;
                        may_assign = may_assign
                            && is_plain
                            && matches!(name.as_str(), "export" | "readonly" | "declare" | "then" | "else" | "do");
                    }
                }
            }
        }
    }

    fn comment(&mut self) {
        while self.letters.next_if(|letter| *letter != '\n').is_some() {}
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(letter) = self.letters.next_if(|letter| letter.is_ascii_alphanumeric() || *letter == '_') {
            name.push(letter);
        }
        name
    }

    /// Goes over `=`, `+=` or `[index]=`, and says whether it was there.
    fn takes_assignment(&mut self) -> bool {
        let mut ahead = self.letters.clone();
        if ahead.peek() == Some(&'[') {
            ahead.find(|letter| *letter == ']');
        }
        ahead.next_if_eq(&'+');
        let found = ahead.next() == Some('=');
        if found {
            self.letters = ahead;
        }
        found
    }

    fn assign(&mut self, name: String) {
        let mut words = Vec::new();
        if self.letters.next_if_eq(&'(').is_some() {
            while let Some(letter) = self.letters.peek().copied() {
                match letter {
                    ')' => {
                        self.letters.next();
                        break;
                    }
                    '#' => self.comment(),
                    _ if letter.is_whitespace() => {
                        self.letters.next();
                    }
                    _ => words.push(self.array_word()),
                }
            }
        } else {
            words.push(self.word());
        }
        if words.iter().any(|word| word.unknown) {
            self.known.unknown.insert(name);
        } else {
            self.known.values.insert(name, words.into_iter().map(|word| word.text).collect());
        }
    }

    /// A word of an array; what ends a command has no meaning there.
    fn array_word(&mut self) -> Word {
        let word = self.word();
        if !word.is_there {
            self.letters.next();
        }
        word
    }

    /// A word up to white space or to what ends a command.
    fn word(&mut self) -> Word {
        let mut word = Word::default();
        while let Some(letter) = self.letters.peek().copied() {
            match letter {
                _ if letter.is_whitespace() => break,
                ';' | '&' | '|' | '(' | ')' => break,
                '\'' => {
                    self.letters.next();
                    word.text.extend(self.letters.by_ref().take_while(|letter| *letter != '\''));
                }
                '"' => {
                    self.letters.next();
                    self.quoted(&mut word);
                }
                '\\' => {
                    self.letters.next();
                    word.text.extend(self.letters.next().filter(|letter| *letter != '\n'));
                }
                '$' | '`' => self.expansion(&mut word),
                _ => word.text.extend(self.letters.next()),
            }
            word.is_there = true;
        }
        word
    }

    fn quoted(&mut self, word: &mut Word) {
        while let Some(letter) = self.letters.peek().copied() {
            match letter {
                '"' => {
                    self.letters.next();
                    return;
                }
                '\\' => {
                    self.letters.next();
                    match self.letters.next() {
                        Some('\n') | None => {}
                        Some(letter @ ('"' | '\\' | '$' | '`')) => word.text.push(letter),
                        Some(letter) => word.text.extend(['\\', letter]),
                    }
                }
                '$' | '`' => self.expansion(word),
                _ => word.text.extend(self.letters.next()),
            }
        }
    }

    /// `$NAME` and `${NAME}` of what the text has set; everything else is not known.
    fn expansion(&mut self, word: &mut Word) {
        let is_command = self.letters.next() == Some('`');
        if is_command {
            self.letters.by_ref().find(|letter| *letter == '`');
            word.unknown = true;
            return;
        }
        let braced = self.letters.next_if_eq(&'{').is_some();
        let name = self.name();
        if braced {
            let rest: String = self.letters.by_ref().take_while(|letter| *letter != '}').collect();
            word.unknown |= !rest.is_empty();
        } else if self.letters.next_if_eq(&'(').is_some() {
            let mut depth = 1;
            while let Some(letter) = self.letters.next().filter(|_| depth > 0) {
                depth += i32::from(letter == '(') - i32::from(letter == ')');
                if depth == 0 {
                    break;
                }
            }
            word.unknown = true;
        }
        if name.is_empty() || self.known.unknown.contains(&name) {
            word.unknown |= !name.is_empty();
            return;
        }
        // A variable that nobody set is empty. One that holds itself several times grows fast.
        let value = self.known.get(&name).unwrap_or_default();
        if word.text.len() + value.len() > LONGEST {
            word.unknown = true;
        } else {
            word.text.push_str(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_shell() {
        for (text, value) in [
            ("X=ens192   # LAN", Some("ens192")),
            ("X=\"ens192\" # LAN", Some("ens192")),
            ("X='ens192'", Some("ens192")),
            ("X=ens\"19\"'2'", Some("ens192")),
            ("X=a#b", Some("a#b")),
            ("X=a\\ b", Some("a b")),
            ("# X=a\nX=b", Some("b")),
            ("X=a\nX=b", Some("b")),
            ("export X=a", Some("a")),
            ("N=19\nX=ens${N}2", Some("ens192")),
            ("N=192\nX=\"ens$N\"", Some("ens192")),
            ("X=\"a \\\"b\\\" c\"", Some("a \"b\" c")),
            ("X=\"two\nlines\"", Some("two\nlines")),
            ("X=a;Y=b", Some("a")),
            ("Y=b; X=a", Some("a")),
            ("if true; then X=a; fi", Some("a")),
            ("echo X=a", None),
            (" \tX=a\r\n", Some("a")),
            ("X=", None),
            ("X=\"\"", None),
            ("X=$(hostname)", None),
            ("X=`hostname`", None),
            ("X=${Y:-a}", None),
            ("X", None),
            ("X='open", Some("open")),
        ] {
            let found = Variables::parse(text);
            assert_eq!(found.get("X"), value, "{text}");
            assert_eq!(found.unknown.is_empty(), !text.contains(['`']) && !text.contains("$(") && !text.contains(":-"));
        }
    }

    #[test]
    fn a_value_that_grows_by_itself_is_not_known() {
        let bomb = format!("A=xx\n{}", "A=$A$A\n".repeat(60));
        assert_eq!(Variables::parse(&bomb).unknown.len(), 1);
    }

    #[test]
    fn arrays_are_their_words() {
        let found = Variables::parse("X=('a b' \"c\" # no\n d)\nY[0]=e\nZ=( | )\nW=(open");
        assert_eq!(found.words("X").collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!(found.get("Y"), Some("e"));
        assert_eq!(found.words("W").collect::<Vec<_>>(), ["open"]);
        let mut names = found.beginning("").map(|(name, _)| name);
        assert!(names.all(|name| ["X", "Y", "Z", "W"].contains(&name)));
    }
}

//! Patterns of interface names, as systemd, NetworkManager and netplan have them (glob(7)).

/// A list of names and patterns of which one has to fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// Any of these.
    pub any: Vec<String>,
    /// None of these.
    pub none: Vec<String>,
}

impl Pattern {
    /// A list of its words; one with `!` before it excludes.
    pub fn of_words<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut pattern = Self::default();
        for word in words {
            match word.strip_prefix('!') {
                Some(word) => pattern.none.push(word.to_owned()),
                None => pattern.any.push(word.to_owned()),
            }
        }
        pattern
    }

    /// Whether it fits this name.
    pub fn fits(&self, name: &str) -> bool {
        self.any.iter().any(|glob| matches(glob, name)) && !self.none.iter().any(|glob| matches(glob, name))
    }
}

/// Whether a name is a pattern of names.
pub(crate) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// Whether the glob fits the name: `*`, `?`, `[a-z]`, `[!a-z]`. Takes time of the product of both lengths; what is far too long for a name or a
/// file's name fits nothing.
pub(crate) fn matches(glob: &str, name: &str) -> bool {
    const LONGEST: usize = 4096;
    if glob.len().max(name.len()) > LONGEST {
        return false;
    }
    let (glob, name) = (pieces(glob), name.chars().collect::<Vec<_>>());
    // Which beginnings of the name the pieces so far can have taken.
    let mut ends = vec![false; name.len() + 1];
    ends[0] = true;
    for piece in &glob {
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            next[at] = match piece {
                Piece::Any => ends[at] || (at > 0 && next[at - 1]),
                one => at > 0 && ends[at - 1] && one.takes(name[at - 1]),
            };
        }
        ends = next;
    }
    ends[name.len()]
}

enum Piece {
    Any,
    One,
    Letter(char),
    Set { not: bool, ranges: Vec<(char, char)> },
}

impl Piece {
    fn takes(&self, letter: char) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Letter(own) => *own == letter,
            Self::Set { not, ranges } => ranges.iter().any(|(from, to)| (*from..=*to).contains(&letter)) != *not,
        }
    }
}

fn pieces(glob: &str) -> Vec<Piece> {
    let letters: Vec<char> = glob.chars().collect();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < letters.len() {
        let close = letters.iter().skip(at + 2).position(|letter| *letter == ']').map(|found| at + 2 + found);
        match (letters[at], close) {
            ('*', _) => out.push(Piece::Any),
            ('?', _) => out.push(Piece::One),
            ('[', Some(close)) => {
                let not = matches!(letters[at + 1], '!' | '^') && close > at + 2;
                out.push(Piece::Set { not, ranges: ranges(&letters[at + 1 + usize::from(not)..close]) });
                at = close;
            }
            (letter, _) => out.push(Piece::Letter(letter)),
        }
        at += 1;
    }
    out
}

fn ranges(letters: &[char]) -> Vec<(char, char)> {
    match letters {
        [] => Vec::new(),
        [from, '-', to, rest @ ..] => [vec![(*from, *to)], ranges(rest)].concat(),
        [one, rest @ ..] => [vec![(*one, *one)], ranges(rest)].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_of_names() {
        for (glob, name, expected) in [
            ("en*", "ens192", true),
            ("en*", "eth0", false),
            ("ens?92", "ens192", true),
            ("ens[12]*", "ens224", true),
            ("ens[!12]*", "ens224", false),
            ("ens[0-9]", "ens3", true),
            ("[e", "[e", true),
            ("*", "", true),
            ("", "a", false),
            ("*a*b", "xaxb", true),
            ("[]", "[]", true),
        ] {
            assert_eq!(matches(glob, name), expected, "{glob} {name}");
        }
        let long = "*a".repeat(2000);
        assert!(!matches(&long, &"a".repeat(100)));
    }

    #[test]
    fn lists_of_names() {
        let list = Pattern::of_words("ens* !ens224".split(' '));
        assert!(list.fits("ens192") && !list.fits("ens224") && !list.fits("eth0"));
    }
}

//! LVM's filters: where they stand in a configuration, and which devices they take.
//!
//! Formats: lvm.conf(5), "CONFIGURATION FILE SYNTAX"; `devices/filter` in the commented lvm.conf: patterns are regular expressions between
//! delimiters behind `a` (accept) or `r` (reject), the first that fits a name decides, and what none fits is taken.

use std::ops::Range;

use regex::Regex;

/// A filter of a configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter<'a> {
    /// Where its value stands: the list without its brackets, or its only pattern with its quotes.
    pub value: Range<usize>,
    /// The value is a list.
    pub is_list: bool,
    /// Its patterns as they stand.
    pub patterns: Vec<&'a str>,
}

/// The filters of a configuration, in their order.
pub(super) fn filters(text: &str) -> Vec<Filter<'_>> {
    let tokens: Vec<Range<usize>> = Tokens { text, at: 0 }.collect();
    let word = |at: usize| tokens.get(at).map_or("", |range| &text[range.clone()]);
    let mut out = Vec::new();
    for at in 0..tokens.len() {
        let key = word(at).rsplit('/').next().unwrap_or_default();
        if !matches!(key, "filter" | "global_filter") || word(at + 1) != "=" {
            continue;
        }
        let first = tokens.get(at + 2).cloned().unwrap_or(text.len()..text.len());
        if word(at + 2) != "[" {
            out.extend(unquoted(word(at + 2)).map(|pattern| Filter {
                value: first,
                is_list: false,
                patterns: vec![pattern],
            }));
            continue;
        }
        let inside: Vec<Range<usize>> =
            tokens[at + 3..].iter().take_while(|range| &text[(*range).clone()] != "]").cloned().collect();
        let Some(end) = tokens.get(at + 3 + inside.len()) else { continue };
        let patterns = inside.iter().filter_map(|range| unquoted(&text[range.clone()])).collect();
        out.push(Filter { value: first.end..end.start, is_list: true, patterns });
    }
    out
}

fn unquoted(token: &str) -> Option<&str> {
    token.strip_prefix('"')?.strip_suffix('"')
}

/// Strings with their quotes, words, and single signs; comments and white space are left out.
struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl Iterator for Tokens<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        loop {
            let rest = &self.text[self.at..];
            let first = rest.chars().next()?;
            let is_word =
                |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '/' | '-' | '.' | '+' | '@' | ':');
            let length = match first {
                '#' => rest.find('\n').unwrap_or(rest.len()),
                '"' => {
                    let mut escaped = false;
                    let closing = rest[1..].find(|letter: char| {
                        let closes = letter == '"' && !escaped;
                        escaped = letter == '\\' && !escaped;
                        closes
                    });
                    closing.map_or(rest.len(), |at| at + 2)
                }
                letter if is_word(letter) => rest.find(|letter: char| !is_word(letter)).unwrap_or(rest.len()),
                letter => letter.len_utf8(),
            };
            let token = self.at..self.at + length;
            self.at = token.end;
            if first != '#' && !first.is_whitespace() {
                return Some(token);
            }
        }
    }
}

/// What a filter does, as far as that can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It takes the disks under their new names, too, or never took one.
    Open,
    /// It takes a disk under its old name and refuses it under the new one.
    Shut,
    /// One of its patterns is none.
    Unknown,
}

/// What the filter with these patterns does to the disks.
pub(super) fn judge(patterns: &[&str]) -> Judgement {
    let Some(rules) = patterns.iter().map(|pattern| Rule::parse(pattern)).collect::<Option<Vec<_>>>() else {
        return Judgement::Unknown;
    };
    // A disk's names by its serial number and by its place are not known here; these links VMware's disks have, and KVM's have not.
    let by_old_link = patterns.iter().any(|pattern| {
        pattern.starts_with('a')
            && ["by-path", "by-id/scsi", "by-id/wwn", "by-id/ata", "by-id/nvme", "mpath", "mapper/36000"]
                .iter()
                .any(|old| pattern.contains(old))
    });
    let takes = |name: &str| rules.iter().find(|rule| rule.pattern.is_match(name)).is_none_or(|rule| rule.accepts);
    let shut = disks().any(|(old, new)| (by_old_link || old.iter().any(|name| takes(name))) && !takes(&new));
    if shut { Judgement::Shut } else { Judgement::Open }
}

/// The names of disks and their partitions under VMware, and under KVM.
fn disks() -> impl Iterator<Item = ([String; 3], String)> {
    (0..26u8).flat_map(|index| {
        (0..16u8).map(move |partition| {
            let letter = char::from(b'a' + index);
            let (part, nvme) = if partition == 0 {
                (String::new(), String::new())
            } else {
                (partition.to_string(), format!("p{partition}"))
            };
            let old = [
                format!("/dev/sd{letter}{part}"),
                format!("/dev/hd{letter}{part}"),
                format!("/dev/nvme0n{}{nvme}", index + 1),
            ];
            (old, format!("/dev/vd{letter}{part}"))
        })
    })
}

struct Rule {
    accepts: bool,
    pattern: Regex,
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let accepts = match text.as_bytes().first()? {
            b'a' => true,
            b'r' => false,
            _ => return None,
        };
        let rest = &text[1..];
        let open = rest.chars().next()?;
        let close = match open {
            '(' => ')',
            '[' => ']',
            '{' => '}',
            other => other,
        };
        let inner = rest[open.len_utf8()..].strip_suffix(close)?;
        Some(Self { accepts, pattern: Regex::new(&translated(inner)).ok()? })
    }
}

/// LVM's regular expression in the words of the library: braces and what is special inside of classes there are plain letters here.
fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut letters = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                // In the configuration a backslash may itself be escaped.
                letters.next_if_eq(&'\\');
                out.push_str(&regex::escape(&letters.next().unwrap_or('\\').to_string()));
            }
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if letters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                if letters.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '[' | '&' | '~' if in_class => out.extend(['\\', letter]),
            '{' | '}' => out.extend(['\\', letter]),
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_wherever_they_stand() {
        for (text, want) in [
            ("devices { filter = [ \"a|x|\", \"r|.*|\" ] }", &[(true, &["a|x|", "r|.*|"][..])][..]),
            (
                "devices/filter=[\"a|x|\"]\ndevices {\n global_filter=\"a|y|\"\n}",
                &[(true, &["a|x|"]), (false, &["a|y|"])],
            ),
            ("filter = [\n # \"a|old|\" ]\n \"a|\\\"]x|\" # ]\n]", &[(true, &["a|\\\"]x|"])]),
            ("# filter = [ \"a|x|\" ]\nfilter_x = [\"a|x|\"]\npreferred_names = [\"x\"]\nx=\"filter = [\"", &[]),
            ("filter = [ \"a|x|\"", &[]),
            ("filter =", &[]),
        ] {
            let found: Vec<_> = filters(text).into_iter().map(|filter| (filter.is_list, filter.patterns)).collect();
            let found: Vec<_> = found.iter().map(|(is_list, patterns)| (*is_list, &patterns[..])).collect();
            assert_eq!(found, want, "{text}");
        }
        let text = "filter = [ \"a|x|\" ]";
        assert_eq!(&text[filters(text)[0].value.clone()], " \"a|x|\" ");
    }

    #[test]
    fn filters_take_what_their_expressions_say() {
        use Judgement::{Open, Shut, Unknown};
        for (patterns, want) in [
            (&["a|sd.*|", "a|drbd.*|", "r|.*|"][..], Shut),
            (&["a|^/dev/sda2$|", "r|.*|"], Shut),
            (&["a/sda[1-9]/", "r|.*|"], Shut),
            (&["a|/dev/[sh]d[a-z]|", "r|.*|"], Shut),
            (&["a|/dev/[shv]d[a-z]|", "r|.*|"], Open),
            (&["a|/dev/.d[a-z][0-9]*$|", "r|.*|"], Open),
            (&["a|(sd|vd).*|", "r|.*|"], Open),
            (&["a|nvme0n1p3|", "r|.*|"], Shut),
            (&["a(sd[b-c])", "r{.*}"], Shut),
            (&["a|/dev/disk/by-id/scsi-36000c29|", "r|.*|"], Shut),
            (&["a|/dev/mapper/mpath.*|", "r|.*|"], Shut),
            (&["a|/dev/disk/by-id/lvm-pv-uuid-x|", "r|.*|"], Open),
            (&["a|/dev/md.*|", "r|.*|"], Open),
            (&["a|/dev/drbd[0-9]|", "r|.*|"], Open),
            (&["r|/dev/sdb|", "a|.*|"], Open),
            (&["r|/dev/vd|"], Shut),
            (&["r|/dev/cdrom|"], Open),
            (&["a|.*/|"], Open),
            (&["r|.*|"], Open),
            (&["a|/dev/sd\\.x|", "r|.*|"], Open),
            (&["a|/dev/sd[]a]|", "r|.*|"], Shut),
            (&["a|/dev/sd(|", "r|.*|"], Unknown),
            (&["x|y|"], Unknown),
            (&["a"], Unknown),
            (&[], Open),
        ] {
            assert_eq!(judge(patterns), want, "{patterns:?}");
        }
    }
}

//! The order of kernel releases: by their numbers, not by their letters.

use std::cmp::Ordering;

/// Compares two releases: runs of digits as numbers, everything else as text; `6.1.0-9` comes before `6.1.0-10`, and a release
/// candidate (`6.1-rc1`, `6.1~rc1`) before its release.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (parts(a), parts(b));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(part)) => return if part.is_candidate() { Ordering::Greater } else { Ordering::Less },
            (Some(part), None) => return if part.is_candidate() { Ordering::Less } else { Ordering::Greater },
            (Some(x), Some(y)) if x == y => {}
            (Some(x), Some(y)) => return x.cmp(&y),
        }
    }
}

/// A text sorts before a number: `5.4-rc` before `5.4.1`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Text(&'a str),
    /// Digits without leading zeros, by length first.
    Number(usize, &'a str),
}

impl Part<'_> {
    fn is_candidate(&self) -> bool {
        matches!(self, Self::Text("rc" | "pre" | "alpha" | "beta"))
    }
}

fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric())
        .flat_map(split_digits)
        .filter(|part| !part.is_empty())
        .map(|part| {
            if part.as_bytes()[0].is_ascii_digit() {
                let digits = part.trim_start_matches('0');
                Part::Number(digits.len(), digits)
            } else {
                Part::Text(part)
            }
        })
}

fn split_digits(mut text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    while let Some(first) = text.bytes().next() {
        let end = text.bytes().position(|byte| byte.is_ascii_digit() != first.is_ascii_digit()).unwrap_or(text.len());
        out.push(&text[..end]);
        text = &text[end..];
    }
    out
}

/// The leading `major.minor` of a release.
pub(crate) fn major_minor(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_as_versions() {
        let mut releases = vec![
            "6.1.0-10-amd64",
            "5.10.0-28-amd64",
            "6.1.0-9-amd64",
            "6.1.0-37-amd64",
            "6.12.0-rc3",
            "6.12.0",
            "4.18.0-553.el8_10.x86_64",
            "4.18.0-80.el8.x86_64",
            "6.2.0",
            "6.12.1",
        ];
        releases.sort_by(|a, b| compare(a, b));
        assert_eq!(
            releases,
            [
                "4.18.0-80.el8.x86_64",
                "4.18.0-553.el8_10.x86_64",
                "5.10.0-28-amd64",
                "6.1.0-9-amd64",
                "6.1.0-10-amd64",
                "6.1.0-37-amd64",
                "6.2.0",
                "6.12.0-rc3",
                "6.12.0",
                "6.12.1",
            ]
        );
        assert_eq!(major_minor("5.4.0-150-generic"), Some((5, 4)));
        assert_eq!(major_minor("rescue"), None);
    }
}

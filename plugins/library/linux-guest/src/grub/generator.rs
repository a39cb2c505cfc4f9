//! The parts of a file of `/etc/grub.d` that it copies into `grub.cfg`: what stands behind `tail -n +N $0`, and here-documents.

use std::ops::Range;

use crate::textfile::lines;

/// Where these parts are, in order.
pub(crate) fn copied(text: &str) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut at = 0;
    // The end of the here-document that is being read, and where it began.
    let mut open: Option<(String, bool, usize)> = None;
    let starts: Vec<usize> = lines(text)
        .scan(0, |from, line| Some(std::mem::replace(from, *from + line.body.len() + line.ending.len())))
        .collect();
    for line in lines(text) {
        let end = at + line.body.len() + line.ending.len();
        match &open {
            Some((word, tabs, from)) => {
                let own = if *tabs { line.body.trim_start_matches('\t') } else { line.body };
                if own == word {
                    out.push(*from..at);
                    open = None;
                }
            }
            None if line.body.trim_start().starts_with('#') => {}
            None => {
                if let Some(first) = behind_tail(line.body).and_then(|number| starts.get(number.checked_sub(1)?)) {
                    // The shell reads nothing behind what it was told to copy with `exec`.
                    out.push((*first).max(end)..text.len());
                    return out;
                }
                open = here_document(line.body).map(|(word, tabs)| (word, tabs, end));
            }
        }
        at = end;
    }
    out
}

/// The number of the first line that `tail` copies of the file itself.
fn behind_tail(line: &str) -> Option<usize> {
    let (_, rest) = line.split_once("tail ")?;
    let mut words = rest.split_whitespace();
    let number = words.find_map(|word| word.trim_start_matches("-n").strip_prefix('+'))?.parse().ok()?;
    words
        .next()
        .is_some_and(|file| file.trim_matches('"').starts_with("$0") || file.trim_matches('"') == "${0}")
        .then_some(number)
}

/// The word that ends the here-document which a line begins, and whether tabs before it do not count.
fn here_document(line: &str) -> Option<(String, bool)> {
    let (_, rest) = line.split_once("<<")?;
    let (rest, tabs) = rest.strip_prefix('-').map_or((rest, false), |rest| (rest, true));
    let word = rest
        .trim_start()
        .split(|letter: char| letter.is_whitespace() || matches!(letter, ';' | '|' | '>' | ')'))
        .next()?;
    let word = word.replace(['"', '\'', '\\'], "");
    // `<<<` is another thing.
    (!word.is_empty() && !word.starts_with('<')).then_some((word, tabs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_are_copied() {
        for (text, want) in [
            ("#!/bin/sh\nexec tail -n +3 $0\n# comment\nmenuentry x {\n}\n", &["# comment\nmenuentry x {\n}\n"][..]),
            ("#!/bin/sh\ntail -n+4 \"$0\"\nexit\nX\nY", &["X\nY"]),
            ("#!/bin/sh\ntail +2 $0\nX", &["X"]),
            ("#!/bin/sh\ntail -n +9 $0\nX", &[]),
            ("tail -n +2 /etc/other\nX", &[]),
            ("cat <<EOF\na\nEOF\nroot=x\ncat << 'A' >y\nb\nc\nA\n", &["a\n", "b\nc\n"]),
            ("  cat <<-\"E\"\n\tq\n\tE\nz", &["\tq\n"]),
            ("# cat <<EOF\nx\nEOF\ny <<< z\ncat <<OPEN\nx", &[]),
        ] {
            let parts: Vec<&str> = copied(text).into_iter().map(|range| &text[range]).collect();
            assert_eq!(parts, want, "{text}");
        }
    }
}

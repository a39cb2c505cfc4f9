//! Hostile text becomes safe to show: the one place that knows which letters are not.
//!
//! Names and messages come from disks, descriptors and guests. On a terminal a control character can rewrite what was
//! printed before, and a bidirectional override can make a path read as another.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with control characters (C0, DEL, C1), bidirectional controls, and line and paragraph separators written as
/// escapes like `\n`, `\x1b` and `\u{202e}`. A backslash stays as it is.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        // Writing to a string does not fail.
        let _ = match letter {
            '\n' => shown.write_str("\\n"),
            '\r' => shown.write_str("\\r"),
            '\t' => shown.write_str("\\t"),
            letter if !is_unsafe(letter) => shown.write_char(letter),
            letter if letter.is_ascii() => write!(shown, "\\x{:02x}", letter as u32),
            letter => write!(shown, "\\u{{{:x}}}", letter as u32),
        };
    }
    Cow::Owned(shown)
}

/// Like [`escape`], for text of several lines: line feeds and tabs stay.
pub fn escape_lines(text: &str) -> String {
    let lines = text.split('\n').map(|line| line.split('\t').map(escape).collect::<Vec<_>>().join("\t"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a letter can change how other letters are shown.
pub fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}'
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_rewrite_a_terminal_is_escaped() {
        for (given, shown) in [
            ("web server ä 日本 \\n", "web server ä 日本 \\n"),
            ("a\x1b[2Jb", "a\\x1b[2Jb"),
            ("a\nb\rc\td\0", "a\\nb\\rc\\td\\x00"),
            ("del\x7f c1\u{9b}31m", "del\\x7f c1\\u{9b}31m"),
            ("gpj\u{202e}exe.\u{2066}x\u{2028}", "gpj\\u{202e}exe.\\u{2066}x\\u{2028}"),
        ] {
            assert_eq!(escape(given), shown);
        }
        assert!(matches!(escape("plain"), Cow::Borrowed(_)));
        assert_eq!(escape_lines("a\tb\n\x1bc"), "a\tb\n\\x1bc");
    }
}

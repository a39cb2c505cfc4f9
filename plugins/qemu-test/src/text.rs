//! Makes a guest's text safe to show.

/// The longest piece of a guest's text that goes into a verdict, in characters.
const LONGEST: usize = 200;

/// A line for a verdict: escaped, and cut when it is too long.
pub fn shown(text: &str) -> String {
    escape(&text.trim_end().chars().take(LONGEST).collect::<String>())
}

/// Escapes control characters and those that turn the reading direction.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if letter.is_control() || turns {
            out.extend(letter.escape_unicode());
        } else {
            out.push(letter);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(super::shown("a\u{1b}[2J\u{9b}\u{202e}b \n"), "a\\u{1b}[2J\\u{9b}\\u{202e}b");
        assert_eq!(super::shown(&"x".repeat(1000)).len(), 200);
    }
}

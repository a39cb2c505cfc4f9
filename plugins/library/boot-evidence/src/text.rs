//! A guest's text in a verdict.

use vmdk2kvm_plugin_api::text::escape;

/// The longest piece of a guest's text that goes into a verdict, in characters.
const LONGEST: usize = 200;

/// A line for a verdict: escaped, and cut when it is too long.
pub fn shown(text: &str) -> String {
    let cut = text.trim_end().char_indices().nth(LONGEST).map_or(text.trim_end(), |(end, _)| &text[..end]);
    escape(cut).into_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(super::shown("a\u{1b}[2J\u{9b}\u{202e}b \n"), "a\\x1b[2J\\u{9b}\\u{202e}b");
        assert_eq!(super::shown(&"x".repeat(1000)).len(), 200);
    }
}

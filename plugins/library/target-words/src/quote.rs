//! The one way from a value to a word of the shell. Everything that a source or a guest may have chosen goes through it.

use vmdk2kvm_plugin_api::text::is_unsafe;

/// A word that is this text to bash, whatever is in it. What could hide text from a reader is written as its bytes.
///
/// A zero byte cannot be in a word; callers refuse it.
pub fn quote(text: &str) -> String {
    if !text.chars().any(is_unsafe) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut word = String::from("$'");
    for letter in text.chars() {
        match letter {
            '\'' | '\\' => word.extend(['\\', letter]),
            letter if is_unsafe(letter) => {
                let mut bytes = [0; 4];
                letter.encode_utf8(&mut bytes).bytes().for_each(|byte| word.push_str(&format!("\\x{byte:02x}")));
            }
            letter => word.push(letter),
        }
    }
    word.push('\'');
    word
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_word_is_the_text_to_bash() {
        for text in [
            "web",
            "",
            "it's",
            "$(touch x) `id` ${HOME} \\ \" ! * ~ # ; & |",
            "-rf",
            "two\nlines\ttab\x1b[2J",
            "bidi \u{202e}gpj.sh ä 日本",
            "\\x41' \u{7f}1",
        ] {
            let script = format!("printf %s {}", quote(text));
            let output = Command::new("bash").args(["-c", &script]).output().expect("bash is installed");
            assert_eq!(String::from_utf8_lossy(&output.stdout), text, "{script}");
            assert!(!quote(text).chars().any(is_unsafe));
        }
    }
}

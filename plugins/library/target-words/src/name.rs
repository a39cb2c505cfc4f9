//! Names that a platform takes.

/// A name of lower case letters, digits and dashes that begins with a letter and ends with none of its dashes: a label as DNS knows it.
/// Different names can become the same.
pub fn label(name: &str, longest: usize) -> String {
    let mut label = String::new();
    for letter in name.chars() {
        let letter = if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
        // A run of what had to be replaced is one dash.
        if letter != '-' || !(label.is_empty() || label.ends_with('-')) {
            label.push(letter);
        }
    }
    if !label.starts_with(|letter: char| letter.is_ascii_lowercase()) {
        label.insert_str(0, if label.is_empty() { "vm" } else { "vm-" });
    }
    label.truncate(longest);
    label.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_becomes_a_label() {
        for (name, expected) in [
            ("web", "web"),
            ("Web Server (old)", "web-server-old"),
            ("-rf", "rf"),
            ("2nd", "vm-2nd"),
            ("日本", "vm"),
            ("", "vm"),
            ("$(touch x)\n'\"", "touch-x"),
        ] {
            assert_eq!(label(name, 63), expected, "{name}");
        }
        assert_eq!(label("abcdefgh-ij", 9), "abcdefgh");
        assert_eq!(label(&"a".repeat(200), 63).len(), 63);
    }
}

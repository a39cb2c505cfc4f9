//! The one function that turns the name of a virtual machine into the name of a file.

/// The longest name in bytes: room is left for what is put behind it, below the 255 bytes of most filesystems.
const LONGEST: usize = 128;

/// A file name made of letters, digits and `-_.+@`, never empty, never beginning with a dash or a dot. Blanks become
/// dashes, everything else an underscore. Different names can become the same: whoever makes files for several machines
/// keeps them apart.
pub fn safe_name(name: &str) -> String {
    let mut safe = String::with_capacity(name.len().min(LONGEST));
    for letter in name.trim().chars() {
        let letter = match letter {
            letter if letter.is_alphanumeric() || "-_.+@".contains(letter) => letter,
            letter if letter.is_whitespace() => '-',
            _ => '_',
        };
        if safe.len() + letter.len_utf8() > LONGEST {
            break;
        }
        // A run of what had to be replaced is one mark.
        if !(matches!(letter, '-' | '_') && safe.ends_with(letter)) {
            safe.push(letter);
        }
    }
    let safe = safe.trim_start_matches(['-', '.']).trim_end_matches('.');
    if safe.is_empty() { "vm".to_owned() } else { safe.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_become_file_names() {
        for (given, safe) in [
            ("web", "web"),
            ("Web Server (old)", "Web-Server-_old_"),
            ("Büro-PC", "Büro-PC"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("-rf", "rf"),
            (".hidden", "hidden"),
            ("..", "vm"),
            ("", "vm"),
            ("a\0b\n\x1b[2Jc", "a_b-_2Jc"),
            ("a/b\\c:d", "a_b_c_d"),
        ] {
            assert_eq!(safe_name(given), safe, "{given:?}");
        }
        assert_eq!(safe_name(&"ä".repeat(500)).len(), LONGEST);
    }

    proptest! {
        #[test]
        fn every_name_is_safe(name in "\\PC*|.*") {
            let safe = safe_name(&name);
            prop_assert!(!safe.is_empty() && safe.len() <= LONGEST);
            prop_assert!(!safe.starts_with(['-', '.']) && !safe.contains('/'));
            prop_assert!(!safe.chars().any(|letter| letter.is_control() || letter.is_whitespace()));
            prop_assert_eq!(safe_name(&safe), safe);
        }
    }
}

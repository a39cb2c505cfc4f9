//! A command line as plain words: quoted by `'...'`, `\'` between them, and `&&` between commands. Everything else that a shell has a meaning for is refused.

/// The words; `None`: it is more than words.
pub fn split(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '\'' => break,
                        inside => word.push(inside),
                    }
                }
            }
            '\\' => {
                if letters.next()? != '\'' {
                    return None;
                }
                word.get_or_insert_default().push('\'');
            }
            '&' if word.is_none() && letters.next() == Some('&') => words.push("&&".to_owned()),
            letter if letter.is_ascii_alphanumeric() || "/-_.=%+:,".contains(letter) => {
                word.get_or_insert_default().push(letter);
            }
            _ => return None,
        }
    }
    words.extend(word);
    Some(words)
}

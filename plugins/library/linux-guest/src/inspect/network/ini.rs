//! Files of sections and keys, as systemd and NetworkManager write them (systemd.syntax(7)).

/// Section, key and value of each assignment. A backslash at the end of a line joins it with the next.
pub(super) fn parse(text: &str) -> Vec<(String, String, String)> {
    let (mut section, mut out) = (String::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut line = line.trim().to_owned();
        if line.starts_with(['#', ';']) {
            continue;
        }
        while line.ends_with('\\') {
            line.pop();
            // Comments may stand between the lines that are joined.
            let Some(next) = lines.by_ref().map(str::trim).find(|next| !next.starts_with(['#', ';'])) else { break };
            line.push(' ');
            line.push_str(next);
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once('=') {
            out.push((section.clone(), key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    out
}

/// Whether a switch is on, by the words that systemd and NetworkManager take.
pub(super) fn is_on(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "yes" | "true" | "1" | "on" | "y" | "t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_comments_and_joined_lines() {
        let text = "x=0\n[Match]\n# Name=no\nName = a \\\n; between\n b\n[Network\n[Link]\r\nName=c\r\nbroken";
        let expected = [("", "x", "0"), ("Match", "Name", "a  b"), ("Link", "Name", "c")];
        let found = parse(text);
        let found: Vec<_> = found.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
        assert_eq!(found, expected);
    }
}

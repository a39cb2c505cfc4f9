//! Files of sections and keys, as systemd and NetworkManager write them (systemd.syntax(7)).

/// Section, key and value of each assignment.
pub(super) fn parse(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let mut section = "";
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
            return None;
        }
        let (key, value) = line.split_once('=').filter(|_| !line.starts_with(['#', ';']))?;
        Some((section, key.trim(), value.trim()))
    })
}

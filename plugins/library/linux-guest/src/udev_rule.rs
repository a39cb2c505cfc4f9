//! The grammar of udev's rules: `KEY{attribute}OPERATOR"value"`, with commas between (udev(7)).

/// A match or an assignment of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key<'a> {
    /// All of it, as it stands in the rule.
    pub text: &'a str,
    /// Its key with the attribute in braces.
    pub name: &'a str,
    /// `==`, `!=`, `=`, `+=`, `-=` or `:=`.
    pub operator: &'a str,
    /// The value, quotes off.
    pub value: &'a str,
}

/// The rules of a file, each with all of its keys; a backslash at its end goes on with the next line.
pub(crate) fn rules(text: &str) -> Vec<Vec<Key<'_>>> {
    let mut out = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if !goes_on && trimmed.starts_with('#') {
            continue;
        }
        if !goes_on {
            out.push(Vec::new());
        }
        if let Some(rule) = out.last_mut() {
            rule.extend(keys(trimmed));
        }
        goes_on = trimmed.ends_with('\\');
    }
    out.retain(|rule| !rule.is_empty());
    out
}

/// The keys of one line.
pub(crate) fn keys(line: &str) -> Vec<Key<'_>> {
    let mut out = Vec::new();
    let mut rest = line;
    while let Some(open) = rest.find('"') {
        let Some(length) = rest[open + 1..].find('"') else { break };
        let end = open + 1 + length;
        let text = rest[..=end].trim_start_matches([',', ' ', '\t']);
        let head = rest[..open].trim_start_matches([',', ' ', '\t']);
        let name = head.trim_end_matches([' ', '\t', '=', '!', '+', '-', ':']);
        // An `e"..."` has escapes; none of them is in a name.
        out.push(Key { text, name, operator: head[name.len()..].trim(), value: &rest[open + 1..end] });
        rest = &rest[end + 1..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_and_their_keys() {
        let text = "# KERNEL==\"x\"\nKERNEL==\"sd?1\", ENV{A}!=\"b, c\" ,SYMLINK+=\"x y\"\nACTION==\"add\", \\\n  NAME := \"z\"\nLABEL\n open=\"x\n";
        let shown: Vec<String> = rules(text)
            .iter()
            .map(|rule| {
                rule.iter()
                    .map(|key| format!("{}{}{}", key.name, key.operator, key.value))
                    .collect::<Vec<_>>()
                    .join("|")
            })
            .collect();
        assert_eq!(shown, ["KERNEL==sd?1|ENV{A}!=b, c|SYMLINK+=x y", "ACTION==add|NAME:=z"]);
    }
}

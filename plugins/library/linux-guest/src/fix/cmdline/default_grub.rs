//! `/etc/default/grub` and its kin: a shell file of assignments, from which `grub-mkconfig` makes `grub.cfg`.

use std::ops::Range;

use super::arguments::Arguments;

/// The file with the arguments in `GRUB_CMDLINE_*` made stable, and `GRUB_DISABLE_LINUX_UUID=true` turned off so that the next
/// `grub.cfg` has UUIDs too.
pub(super) fn fix(text: &str, arguments: &mut Arguments<'_>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (key, value) in assignments(text) {
        let old = &text[value.clone()];
        let new = if key.starts_with("GRUB_CMDLINE_") {
            arguments.rewrite(old)
        } else if key == "GRUB_DISABLE_LINUX_UUID" && matches!(old.trim_end(), "true" | "\"true\"" | "'true'") {
            old.replacen("true", "false", 1)
        } else {
            continue;
        };
        out.push_str(&text[done..value.start]);
        out.push_str(&new);
        done = value.end;
    }
    out.push_str(&text[done..]);
    out
}

/// Keys and where their values are, quotes included; a value goes on over lines inside quotes and behind a backslash.
fn assignments(text: &str) -> Vec<(&str, Range<usize>)> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let line = &text[at..];
        let trimmed = line.trim_start_matches([' ', '\t']);
        let trimmed = trimmed.strip_prefix("export ").unwrap_or(trimmed).trim_start_matches([' ', '\t']);
        let start = text.len() - trimmed.len();
        let key =
            trimmed.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')).unwrap_or(trimmed.len());
        let rest = trimmed[key..].strip_prefix("+=").or_else(|| trimmed[key..].strip_prefix('='));
        match rest.filter(|_| key > 0) {
            Some(rest) => {
                let from = text.len() - rest.len();
                let to = from + value_length(rest);
                out.push((&text[start..start + key], from..to));
                at = to;
                at += text[at..].find('\n').map_or(text.len() - at, |end| end + 1);
            }
            None => at += line.find('\n').map_or(line.len(), |end| end + 1),
        }
    }
    out
}

fn value_length(text: &str) -> usize {
    let mut quote = None;
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (None, '\n') => return at,
            (None | Some('"'), '\\') => {
                letters.next();
            }
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            _ => {}
        }
    }
    // An unclosed quote: the shell would refuse the file. Only the first line counts.
    if quote.is_some() { text.find('\n').unwrap_or(text.len()) } else { text.len() }
}

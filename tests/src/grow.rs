//! A file of the contract's model as a later release might have it: one more member in every struct, one more word in every descriptive enum.

use std::collections::BTreeSet;
use std::fmt::Write;

/// Grows a file. A new member is missing in older documents, and an older reader has no such word.
pub fn grown_model(text: &str) -> String {
    let structs: BTreeSet<&str> = text.lines().filter_map(struct_name).collect();
    // An enum whose last variant stands for what is not known may get further ones.
    let has_other = |lines: &mut std::iter::Peekable<std::str::Lines<'_>>| {
        let body: Vec<&str> = lines.clone().take_while(|line| *line != "}").collect();
        body.iter().any(|line| ["#[serde(other)]", "#[serde(untagged)]"].contains(&line.trim()))
    };
    let (mut grown, mut lines, mut of_struct) = (String::new(), text.lines().peekable(), None);
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            break;
        }
        if let Some(rest) = line.strip_prefix("impl ") {
            let name = rest.trim_end_matches(" {").rsplit(' ').next().unwrap_or_default();
            of_struct = structs.get(name).copied();
        }
        let line = match of_struct {
            Some(name) if !line.contains("-> Self {") && !line.starts_with("impl") => {
                line.replace("Self {", &format!("Self {{ {}: 0,", member(name)))
            }
            _ => line.to_owned(),
        };
        writeln!(grown, "{line}").unwrap();
        if let Some(name) = struct_name(&line) {
            writeln!(grown, "    /// Came later.\n    #[serde(default)]\n    pub {}: u32,", member(name)).unwrap();
        } else if line.starts_with("pub enum ") && has_other(&mut lines) {
            writeln!(grown, "    /// Came later.\n    CameLater,").unwrap();
        }
    }
    grown
}

fn struct_name(line: &str) -> Option<&str> {
    line.strip_prefix("pub struct ")?.strip_suffix(" {")
}

/// A name of its own for each: some documents are written into others.
fn member(name: &str) -> String {
    format!("grown_{}", name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_and_enums_grow() {
        let text = "pub struct A {\n    pub a: u32,\n}\n\nimpl A {\n    fn new() -> Self {\n        Self { a: 1 }\n    }\n}\n\n\
            pub enum B {\n    X,\n    #[serde(other)]\n    Unknown,\n}\n";
        let grown = grown_model(text);
        assert!(
            grown.contains("pub struct A {\n    /// Came later.\n    #[serde(default)]\n    pub grown_a: u32,\n"),
            "{grown}"
        );
        assert!(grown.contains("-> Self {\n        Self { grown_a: 0, a: 1 }"), "{grown}");
        assert!(grown.contains("pub enum B {\n    /// Came later.\n    CameLater,\n    X,"), "{grown}");
    }
}

//! Examples of every command: they end its `--help`, and stand in the manual before its options. They are of the stock bundle, so they lie with it.

use std::sync::LazyLock;

use clap::{Command as Grammar, CommandFactory};
use serde::Deserialize;

use super::arguments::Arguments;

const TABLE: &str = include_str!("../../../plugins/examples.toml");

/// What is in the table.
#[derive(Debug, Default, Deserialize)]
struct Table {
    first: String,
    command: Vec<OfCommand>,
}

#[derive(Debug, Deserialize)]
struct OfCommand {
    /// The words of the command.
    name: String,
    /// Command lines, each with what it does.
    examples: Vec<(String, String)>,
}

/// A table that cannot be read is found by a test, not by a user.
static ALL: LazyLock<Table> = LazyLock::new(|| toml::from_str(TABLE).unwrap_or_default());

/// What somebody reads who gives no command.
pub(super) fn first() -> &'static str {
    &ALL.first
}

/// Those of a command, each with what it does; none for one that has others below it.
pub(super) fn of(command: &str) -> &'static [(String, String)] {
    ALL.command.iter().find(|of| of.name == command).map_or(&[], |of| &of.examples)
}

/// The grammar with the examples at the end of each command's help.
pub(super) fn added(grammar: Grammar) -> Grammar {
    add("", grammar)
}

fn add(path: &str, command: Grammar) -> Grammar {
    // Each goes to the end when it is changed: all of them in their first order bring that back.
    let first = if path.is_empty() { Arguments::command() } else { command.clone() };
    let names: Vec<String> = first.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    let command = names.into_iter().fold(command, |command, name| {
        let path = format!("{path} {name}").trim_start().to_owned();
        command.mut_subcommand(name, |inner| add(&path, inner))
    });
    match of(path) {
        [] => command,
        examples => {
            let lines = examples.iter().map(|(line, about)| format!("  {line}\n      {about}\n"));
            command.after_help(format!("Examples:\n{}", lines.collect::<String>().trim_end()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::grammar;
    use super::*;

    /// The commands that have no others below them.
    fn leaves(path: &str, command: &Grammar) -> Vec<String> {
        if !command.has_subcommands() {
            return vec![path.to_owned()];
        }
        let below = |inner: &Grammar| leaves(format!("{path} {}", inner.get_name()).trim_start(), inner);
        command.get_subcommands().filter(|inner| inner.get_name() != "help").flat_map(below).collect()
    }

    #[test]
    fn every_command_has_examples_that_are_command_lines_of_its_own() {
        let leaves = leaves("", &grammar());
        for leaf in leaves.iter().filter(|leaf| *leaf != "plugin list") {
            assert!(!of(leaf).is_empty(), "{leaf} has no example");
        }
        for OfCommand { name: command, examples } in &ALL.command {
            assert!(leaves.contains(command), "{command}");
            for (line, _) in examples {
                let begin = format!("vmdk2kvm {command}");
                assert!(*line == begin || line.starts_with(&format!("{begin} ")), "{line}");
                // What a plugin adds is its own.
                let words: Vec<String> = words(line).into_iter().filter(|word| !word.contains("virtio-win")).collect();
                grammar().try_get_matches_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
            }
        }
    }

    /// The words of a line, as a shell takes it: single quotes alone.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                _ => words.last_mut().unwrap().push(c),
            }
        }
        words
    }
}

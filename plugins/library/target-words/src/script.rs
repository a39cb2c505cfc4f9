//! A script for bash, line by line.

use std::fmt::Display;

use vmdk2kvm_plugin_api::text::escape;

use super::quote;

/// What every script has: its own place, a way to speak, a way to find an image.
const HEAD: &str = include_str!("head.sh");

/// What a script begins with: a comment with its purpose, the machine's name and notes for people, and the functions `say`, `need NAME` and
/// `find_image PATH`, which sets `image`.
pub fn head(purpose: &str, machine: &str, file_name: &str, notes: &str) -> Script {
    let mut script = Script::default();
    script.line("#!/usr/bin/env bash");
    script.line(format_args!("# {purpose}: {}", escape(machine)));
    script.line("#");
    for note in notes.lines() {
        script.line(format_args!("# {note}").to_string().trim_end());
    }
    script.line(HEAD.trim_end().replace("@FILE@", &quote(file_name)));
    script.line("");
    script
}

/// The text of a script.
#[derive(Debug, Default)]
pub struct Script(String);

impl Script {
    /// Adds a line as it is.
    pub fn line(&mut self, line: impl Display) {
        self.0.push_str(&line.to_string());
        self.0.push('\n');
    }

    /// Adds a command: words that the plugin wrote itself, and behind them values, each of which is quoted.
    pub fn command<'a>(&mut self, words: &str, values: impl IntoIterator<Item = &'a str>) {
        let quoted = values.into_iter().map(|value| format!(" {}", quote(value)));
        let line = format!("{words}{}", quoted.collect::<String>());
        self.line(line);
    }

    /// The whole.
    pub fn text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn an_image_is_found_where_the_script_is() {
        let mut script = head("Tries", "a\nrm -rf x", "it's", "Note.\n\nMore.");
        script.command("find_image", ["/nowhere/it's\n$(x)"]);
        let text = script.text();
        assert!(text.starts_with("#!/usr/bin/env bash\n# Tries: a\\nrm -rf x\n#\n# Note.\n#\n# More.\n"), "{text}");
        let folder = tempfile::Builder::new().prefix("it's $(a)\n").tempdir().unwrap();
        std::fs::write(folder.path().join("try.sh"), format!("{text}printf %s \"$image\"\n")).unwrap();
        let run = || Command::new("bash").arg(folder.path().join("try.sh")).output().expect("bash is installed");
        let output = run();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.as_str()), (Some(65), "it's: /nowhere/it's\n$(x) is missing\n"));
        let image = folder.path().join("it's\n$(x)");
        std::fs::write(&image, "").unwrap();
        assert_eq!(String::from_utf8(run().stdout).unwrap(), image.to_str().unwrap());
    }
}

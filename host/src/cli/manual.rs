//! The manual page and the completion scripts, both made from the grammar.

use std::io::Write;

use clap_complete::Shell;
use clap_mangen::Man;
use vmdk2kvm_plugin_api::PluginError;

use super::arguments::EXIT_CODES;
use super::examples;
use super::options::grammar;
use crate::config::option::paths;
use crate::config::{Settings, VARIABLE_PREFIX};

/// The commands whose examples begin the manual.
const FIRST: [&str; 3] = ["doctor", "plan", "migrate"];

const PLUGINS: &str = "Every stage is done by plugins. `vmdk2kvm plugin list` shows those that are installed. Each has a page with its \
                       settings: `vmdk2kvm man NAME | man -l -`, and vmdk2kvm-NAME(7) where its package is installed.";

/// Writes a completion script.
pub fn completions(shell: Shell, out: &mut dyn Write) -> Result<(), PluginError> {
    // The generator panics when its writer fails, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut grammar(), "vmdk2kvm", &mut script);
    out.write_all(&script).map_err(|error| PluginError::from_io("the completion script", &error))
}

/// Writes the manual page, all commands on one page.
pub fn manual(out: &mut dyn Write) -> Result<(), PluginError> {
    write_manual(out).map_err(|error| PluginError::from_io("the manual page", &error))
}

fn write_manual(out: &mut dyn Write) -> std::io::Result<()> {
    let command = grammar();
    let page = Man::new(command.clone()).manual("User Commands");
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    writeln!(out, ".SH EXAMPLES")?;
    for command in FIRST {
        examples_of(command, out)?;
    }
    page.render_options_section(out)?;
    writeln!(out, ".SH COMMANDS")?;
    for verb in command.get_subcommands() {
        command_sections("vmdk2kvm", verb, out)?;
    }
    settings_section(out)?;
    writeln!(out, ".SH PLUGINS\n{}", roff(PLUGINS))?;
    writeln!(out, ".SH EXIT STATUS")?;
    for (code, meaning) in EXIT_CODES {
        writeln!(out, ".TP\n\\fB{code}\\fR\n{}", roff(meaning))?;
    }
    files_section(out)
}

/// A command, or those below it.
fn command_sections(prefix: &str, command: &clap::Command, out: &mut dyn Write) -> std::io::Result<()> {
    if !command.has_subcommands() {
        return command_section(prefix, command, out);
    }
    let prefix = format!("{prefix} {}", command.get_name());
    command.get_subcommands().try_for_each(|inner| command_sections(&prefix, inner, out))
}

/// One command as a subsection: its own sections go one level down.
fn command_section(prefix: &str, command: &clap::Command, out: &mut dyn Write) -> std::io::Result<()> {
    let name = format!("{prefix} {}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    writeln!(out, ".SS \"{}\"\n{}", roff(&name), roff(&about))?;
    let mut section = Vec::new();
    let page = Man::new(command.clone().bin_name(name.clone()).disable_help_flag(true).after_help(""));
    page.render_synopsis_section(&mut section)?;
    let command = name.trim_start_matches("vmdk2kvm ");
    if !examples::of(command).is_empty() {
        writeln!(section, ".SH EXAMPLES")?;
        examples_of(command, &mut section)?;
    }
    page.render_options_section(&mut section)?;
    for line in String::from_utf8_lossy(&section).lines() {
        match line.strip_prefix(".SH ") {
            Some("SYNOPSIS") => writeln!(out, ".PP")?,
            Some(heading) => writeln!(out, ".PP\n\\fI{heading}\\fR\n.PP")?,
            None if line == ".ie \\n(.g .ds Aq \\(aq" || line == ".el .ds Aq '" => {}
            None => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}

/// The examples of a command, each below what it does.
fn examples_of(command: &str, out: &mut dyn Write) -> std::io::Result<()> {
    let mut all = examples::of(command).iter();
    all.try_for_each(|(line, about)| {
        writeln!(out, ".PP\n{}:\n.RS 4\n.nf\n\\fB{}\\fR\n.fi\n.RE", roff(about), roff(line))
    })
}

fn settings_section(out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, ".SH SETTINGS")?;
    let about = "Settings come from layers: defaults, /etc/vmdk2kvm/config.toml, $XDG_CONFIG_HOME/vmdk2kvm/config.toml, \
                 each -c FILE, the environment, --set, and options. A later layer wins over the ones before; tables are \
                 merged deeply, lists are replaced. Unknown settings are refused. Paths in a file are relative to the \
                 file's folder.";
    writeln!(out, "{}", roff(about))?;
    for (path, key) in paths(Settings::KEYS) {
        let about = format!("{} ({})", key.doc(), key.kind.wanted());
        writeln!(out, ".TP\n\\fB{}\\fR\n{}", roff(&path), roff(&about))?;
    }
    Ok(())
}

fn files_section(out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, ".SH ENVIRONMENT")?;
    let about = format!(
        "Sets a setting: {VARIABLE_PREFIX}TEST__TIMEOUT_SECONDS=900 is test.timeout_seconds. Two underscores part the \
         sections, case does not matter; in a plugin's name an underscore stands for a dash."
    );
    writeln!(out, ".TP\n\\fB{}KEY\\fR\n{}", roff(VARIABLE_PREFIX), roff(&about))?;
    let about = "Further folders with plugins, absolute, separated by colons; searched after --plugin-dir.";
    writeln!(out, ".TP\n\\fBVMDK2KVM_PLUGIN_PATH\\fR\n{}", roff(about))?;
    writeln!(out, ".SH FILES")?;
    for (path, what) in [
        ("/etc/vmdk2kvm/config.toml", "settings of the machine"),
        ("$XDG_CONFIG_HOME/vmdk2kvm/config.toml", "settings of the user"),
        ("$XDG_DATA_HOME/vmdk2kvm/plugins", "plugins of the user"),
        ("/usr/local/lib/vmdk2kvm/plugins, /usr/lib/vmdk2kvm/plugins", "plugins of the machine"),
    ] {
        writeln!(out, ".TP\n\\fI{}\\fR\n{}", roff(path), roff(what))?;
    }
    Ok(())
}

/// Escapes text for roff: backslashes, dashes that are not hyphens, and what would be a request at a line's begin.
pub(super) fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> String {
        let mut page = Vec::new();
        manual(&mut page).unwrap();
        String::from_utf8(page).unwrap()
    }

    #[test]
    fn the_manual_has_every_command_setting_and_exit_code() {
        let page = page();
        for command in [
            "migrate",
            "inspect",
            "plan",
            "apply",
            "plugin list",
            "plugin new",
            "config show",
            "doctor",
            "batch run",
            "batch cutover",
            "batch export slurm",
        ] {
            assert!(page.contains(&format!(".SS \"vmdk2kvm {command}\"")), "{command}");
        }
        for (path, _) in paths(Settings::KEYS) {
            assert!(page.contains(&format!("\\fB{}\\fR", roff(&path))), "{path}");
        }
        for (code, _) in EXIT_CODES {
            assert!(page.contains(&format!("\\fB{code}\\fR")), "{code}");
        }
        let (line, _) = &examples::of("migrate")[0];
        let (example, option) = (page.find(&roff(line)).unwrap(), page.find("\\fB\\-o\\fR, ").unwrap());
        assert!(example < option, "examples stand before the options");
    }

    #[test]
    fn the_manual_begins_with_examples() {
        let page = page();
        let place = |heading: &str| page.find(heading).unwrap_or_else(|| panic!("{heading}"));
        assert!(place(".SH DESCRIPTION") < place(".SH EXAMPLES") && place(".SH EXAMPLES") < place(".SH OPTIONS"));
        let of_migrate = &page[place(".SS \"vmdk2kvm migrate\"")..];
        assert!(of_migrate.find("\\fIEXAMPLES\\fR").unwrap() < of_migrate.find("\\fIOPTIONS\\fR").unwrap());
    }

    #[test]
    fn every_shell_gets_a_script() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let mut script = Vec::new();
            completions(shell, &mut script).unwrap();
            assert!(String::from_utf8(script).unwrap().contains("inventory"), "{shell}");
        }
    }
}

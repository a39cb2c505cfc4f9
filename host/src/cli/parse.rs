//! Runs clap over the arguments.

use std::ffi::{OsStr, OsString};

use clap::error::ErrorKind;
use clap::{ArgMatches, FromArgMatches};
use serde_json::{Map, Value};
use vmdk2kvm_plugin_api::PluginError;

use super::Invocation;
use super::arguments::Arguments;
use super::examples;
use super::options::{self, grammar};
use super::plugin_flags::{self, PluginFlag};
use super::request;
use crate::config::Command;

/// Why there is nothing to do: a usage error, or `--help` and `--version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Text to print, with its line feed: to stdout when the exit code is 0, else to stderr.
    pub text: String,
    /// The same with the terminal's colours.
    pub coloured: String,
    /// 0 or 2.
    pub exit_code: u8,
    /// The error as one sentence, for `--json`.
    pub message: String,
    /// Why the plugins' flags are not known, which may be all that is wrong with the line.
    pub cause: Option<Box<PluginError>>,
}

/// Reads a command line. The first argument is the program's own name. `flags` tells the installed plugins' flags: it is asked only when
/// the host's own grammar does not do, since it has to look at every plugin.
pub fn parse(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    flags: impl FnOnce() -> Result<Vec<PluginFlag>, PluginError>,
) -> Result<Invocation, Stop> {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    if arguments.len() < 2 {
        let (text, message) = (examples::first().to_owned(), "no command is given".to_owned());
        return Err(Stop { coloured: text.clone(), text, exit_code: 2, message, cause: None });
    }
    let error = match grammar().try_get_matches_from(&arguments) {
        Ok(found) => return invocation_of(&found, Map::new()),
        Err(error) => error,
    };
    let is_command = |word: &OsString| Command::ALL.iter().any(|command| word == command.as_str());
    let flags = match error.kind() {
        ErrorKind::UnknownArgument => match flags() {
            Ok(flags) => flags,
            Err(cause) => return Err(Stop { cause: Some(Box::new(cause)), ..error.into() }),
        },
        // No other help has such flags.
        ErrorKind::DisplayHelp if arguments.iter().any(is_command) => flags().unwrap_or_default(),
        _ => Vec::new(),
    };
    if flags.is_empty() {
        return Err(error.into());
    }
    let found = plugin_flags::with_flags(grammar(), &flags).try_get_matches_from(&arguments)?;
    invocation_of(&found, plugin_flags::given(&found, &flags))
}

fn invocation_of(found: &ArgMatches, tables: Map<String, Value>) -> Result<Invocation, Stop> {
    let mut settings = options::given(found);
    if !tables.is_empty() {
        settings.insert("plugin".to_owned(), Value::Object(tables));
    }
    Ok(request::invocation(Arguments::from_arg_matches(found)?, settings))
}

impl From<clap::Error> for Stop {
    fn from(error: clap::Error) -> Self {
        let styled = error.render();
        let text = styled.to_string();
        // clap lists what is missing on lines of its own; usage and tips come after an empty one.
        let lines = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
        let sentence = lines.collect::<Vec<_>>().join(" ");
        Self {
            message: sentence.strip_prefix("error: ").unwrap_or(&sentence).to_owned(),
            coloured: styled.ansi().to_string(),
            text,
            // clap has 0 for help and version and 2 for everything else.
            exit_code: if error.exit_code() == 0 { 0 } else { 2 },
            cause: None,
        }
    }
}

/// Refuses a name that is not UTF-8. Settings, events and reports are text: in them it would become the name of another file, or of none.
pub fn check_name(name: &OsStr) -> Result<(), PluginError> {
    if name.to_str().is_some() {
        return Ok(());
    }
    let shown = name.as_encoded_bytes().escape_ascii();
    Err(PluginError::unusable(format!("{shown}: the name is not UTF-8")).hint("rename it, or reach it through a link"))
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;

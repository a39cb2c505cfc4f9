//! The table `[plugin.exec]`: which programs there are. A job that names one that must not be run fails before anything is copied.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use vmdk2kvm_plugin_api::model::OsFamily;
use vmdk2kvm_plugin_api::{Host, PluginError, Result};

use crate::trust;

/// No call may take longer, in seconds: a day.
const LONGEST: u64 = 86_400;

/// A program that may be run.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// What messages and reports call it.
    pub name: String,
    /// Absolute, without symbolic links.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// A program that is a fixer.
#[derive(Debug, Clone)]
pub(crate) struct Fixer {
    pub program: Program,
    pub guests: Vec<OsFamily>,
    pub order: u32,
    /// How long one call may take, without the time that the guest takes to answer it.
    pub timeout: Duration,
}

/// The programs of a job.
#[derive(Debug)]
pub(crate) struct Programs {
    pub fixers: Vec<Fixer>,
    pub tester: Option<Program>,
}

/// As it stands in the job.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Table {
    fixers: BTreeMap<String, FixerTable>,
    tester: Option<TesterTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FixerTable {
    program: PathBuf,
    #[serde(default)]
    arguments: Vec<String>,
    #[serde(default = "linux")]
    guests: Vec<OsFamily>,
    #[serde(default = "some_order")]
    order: u32,
    #[serde(default = "five_minutes")]
    timeout_seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TesterTable {
    program: PathBuf,
    #[serde(default)]
    arguments: Vec<String>,
}

fn linux() -> Vec<OsFamily> {
    vec![OsFamily::Linux]
}

fn some_order() -> u32 {
    500
}

fn five_minutes() -> u64 {
    300
}

impl Programs {
    /// Reads the settings and looks at each program.
    pub fn read(host: &Host) -> Result<Self> {
        let table: Table = host.settings()?;
        let fixers = table.fixers.into_iter().map(|(name, fixer)| {
            if !is_plain(&name) {
                let message = format!("`plugin.exec.fixers.{}` is no name for a fixer", name.escape_default());
                return Err(
                    PluginError::config(message).hint("use lower case letters, digits and dashes, e.g. acme-agent")
                );
            }
            let program = program(&format!("fixers.{name}"), &name, fixer.program, fixer.arguments)?;
            if !(1..=LONGEST).contains(&fixer.timeout_seconds) {
                let message = format!("`plugin.exec.fixers.{name}.timeout_seconds` must be from 1 to {LONGEST}");
                return Err(PluginError::config(message));
            }
            let timeout = Duration::from_secs(fixer.timeout_seconds);
            Ok(Fixer { program, guests: fixer.guests, order: fixer.order, timeout })
        });
        let tester = table.tester.map(|tester| program("tester", "tester", tester.program, tester.arguments));
        Ok(Self { fixers: fixers.collect::<Result<_>>()?, tester: tester.transpose()? })
    }
}

/// As plugins are named.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= 64 && name.chars().all(plain)
}

fn program(key: &str, name: &str, path: PathBuf, arguments: Vec<String>) -> Result<Program> {
    let path = trust::check(&path).map_err(|error| error.context(format_args!("`plugin.exec.{key}`")))?;
    Ok(Program { name: name.to_owned(), path, arguments })
}

//! `plugin list`, `plugin show` and `doctor`: what is there, what it can be told, and what is missing.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vmdk2kvm_conformance::Outcome;
use vmdk2kvm_plugin_api::{Manifest, Need as Wanted};

use super::table::{Table, facts, heading};
use crate::events::escape;
use crate::plugins::{Checked, Locked, Packaging};
use crate::scaffold::Scaffold;

/// A plugin as `plugin list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginRow {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Version of the contract it was built for.
    pub api: String,
    /// Stages it serves.
    pub kinds: Vec<String>,
    /// One line.
    pub summary: String,
    /// Its file.
    pub path: String,
    /// Whether it can be used.
    pub state: PluginState,
    /// Why it cannot be used; `None`: it can.
    pub problem: Option<String>,
}

/// Whether a plugin can be used. None is loaded for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginState {
    /// It is loaded when a stage needs it.
    Available,
    /// The machine lacks a program or a library that it needs.
    Missing,
    /// The configuration disables it.
    Disabled,
    /// It is never loaded: its file is not trusted, not whole, or does not fit.
    Refused,
}

/// Something that a plugin, or the host, needs of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// `program`, `library`, `plugin`, `setting`, `firmware`, `device`.
    pub kind: String,
    /// What it is called.
    pub name: String,
    /// Who needs it.
    pub needed_by: Vec<String>,
    /// Whether it is there.
    pub present: bool,
    /// The package to install, when it is not.
    pub package: Option<String>,
    /// What is known about it: a path, a version, a reason.
    pub detail: String,
}

/// Whether a command works on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ability {
    /// The command, or the part of one.
    pub command: String,
    /// Whether it can be done here.
    pub works: bool,
    /// The plugins that do it, or the reason why it cannot be done.
    pub detail: String,
}

/// The plugins that were found, and the stock plugins that were not.
pub fn plugins(rows: &[PluginRow], absent: &[Need]) -> String {
    let mut table = Table::new(&["PLUGIN", "VERSION", "API", "KINDS", "STATE", "SUMMARY"]);
    for row in rows {
        let state = row.problem.clone().unwrap_or_else(|| "available".to_owned());
        let kinds = row.kinds.join(",");
        table.row([row.name.clone(), row.version.clone(), row.api.clone(), kinds, state, row.summary.clone()]);
    }
    let mut text = table.render("");
    if text.is_empty() {
        text.push_str("no plugin was found\n");
    }
    let mut table = Table::new(&["NOT INSTALLED", "KINDS", "FOR", "PACKAGE"]);
    for need in absent {
        let package = need.package.clone().unwrap_or_default();
        table.row([need.name.clone(), need.needed_by.join(","), need.detail.clone(), package]);
    }
    let absent = table.render("");
    if !absent.is_empty() {
        text.push_str(&heading(absent.trim_end()));
    }
    text
}

/// All that a plugin says of itself, with its needs' packages as they are called here.
pub fn manifest(manifest: &Manifest, packaging: Packaging) -> String {
    let with_package = |need: &Wanted| match packaging.package(need) {
        Some(package) => format!("{} (package {package})", need.name),
        None => need.name.clone(),
    };
    let wanted = |needs: &[Wanted]| needs.iter().map(with_package).collect::<Vec<_>>().join(", ");
    let mut text = facts(&[
        ("name", manifest.name.clone()),
        ("summary", manifest.summary.clone()),
        ("version", manifest.version.to_string()),
        ("plugin API", manifest.api.to_string()),
        ("licence", manifest.license.clone()),
        ("kinds", manifest.kinds.join(", ")),
        ("guests", manifest.guests.join(", ")),
        ("capabilities", manifest.capabilities.join(", ")),
        ("programs", wanted(&manifest.programs)),
        ("libraries", wanted(&manifest.libraries)),
    ]);
    let mut settings = Table::new(&["SETTING", "TYPE", "DEFAULT", "MEANING"]);
    for setting in &manifest.settings {
        let (key, kind) = (setting.key.clone(), setting.type_name.clone());
        settings.row([key, kind, setting.default.clone(), setting.doc.clone()]);
    }
    let rows = settings.render("");
    if !rows.is_empty() {
        text.push_str(&heading(rows.trim_end()));
    }
    text
}

/// What a check found: how many promises are kept, and which are broken or could not be checked.
pub fn checked(checked: &Checked) -> String {
    let of = |outcome| checked.report.checks.iter().filter(move |check| check.outcome == outcome);
    let (kept, broken, skipped) =
        (of(Outcome::Passed).count(), of(Outcome::Failed).count(), of(Outcome::Skipped).count());
    let mut text = format!("{} {}: {kept} promises are kept", checked.manifest.name, checked.manifest.version);
    if broken > 0 {
        text.push_str(&format!(", {broken} broken"));
    }
    if skipped > 0 {
        text.push_str(&format!(", {skipped} not checked"));
    }
    text.push('\n');
    for check in of(Outcome::Failed).chain(of(Outcome::Skipped)) {
        text.push_str(&format!("  {}\n", escape(&check.to_string())));
    }
    text
}

/// A crate that was made, and what to do with it.
pub fn scaffold(made: &Scaffold) -> String {
    let folder = escape(&made.folder.to_string_lossy()).into_owned();
    let kind = made.kind.as_str();
    format!(
        "{folder} is a {kind} that builds and has tests that pass\n\n\
         cd {folder} && cargo test && cargo build\n\
         mkdir plugins && cp target/debug/{library} plugins/\n\
         vmdk2kvm plugin check plugins/{library}\n",
        library = made.file_name
    )
}

/// Plugins that are allowed now.
pub fn trusted(lock: &Path, added: &[Locked]) -> String {
    format!("{}only plugins in {} are used\n", locked("trusted", added), escape(&lock.to_string_lossy()))
}

/// Plugins that are not allowed any more.
pub fn untrusted(lock: &Path, removed: &[Locked]) -> String {
    let lock = lock.to_string_lossy();
    format!("{}remove {} to use plugins whatever their digest is\n", locked("untrusted", removed), escape(&lock))
}

fn locked(word: &str, plugins: &[Locked]) -> String {
    plugins.iter().map(|locked| format!("{word} {}\n", escape(&locked.path.to_string_lossy()))).collect()
}

/// What this machine has and lacks, what can be done with it, and the command that would install the rest.
pub fn doctor(needs: &[Need], abilities: &[Ability], packaging: Packaging) -> String {
    let mut table = Table::new(&["STATE", "KIND", "NAME", "NEEDED BY", "DETAIL"]);
    for need in needs {
        let state = if need.present { "ok" } else { "missing" };
        table.row([
            state.to_owned(),
            need.kind.clone(),
            need.name.clone(),
            need.needed_by.join(","),
            need.detail.clone(),
        ]);
    }
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.present).collect();
    let packages: BTreeSet<&str> = missing.iter().filter_map(|need| need.package.as_deref()).collect();
    let mut text = table.render("");
    let mut table = Table::new(&["COMMAND", "HERE", "BY, OR WHY NOT"]);
    for ability in abilities {
        let works = if ability.works { "works" } else { "does not" };
        table.row([ability.command.clone(), works.to_owned(), ability.detail.clone()]);
    }
    text.push_str(&format!("\n{}", table.render("")));
    if missing.is_empty() {
        text.push_str("\nnothing is missing\n");
    } else if !packages.is_empty() {
        let packages: Vec<_> = packages.into_iter().map(escape).collect();
        text.push_str(&match packaging.install(&packages) {
            Some(command) => format!("\ninstall what is missing: {command}\n"),
            None => format!("\ninstall what is missing, as this system calls it: {}\n", packages.join("; ")),
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_listed_with_their_state() {
        let row = |name: &str, problem: Option<&str>| PluginRow {
            name: name.into(),
            version: "0.1.0".into(),
            api: "1.0.0".into(),
            kinds: vec!["fetcher".into()],
            summary: "Files".into(),
            path: "/p".into(),
            state: if problem.is_some() { PluginState::Missing } else { PluginState::Available },
            problem: problem.map(str::to_owned),
        };
        let absent = Need {
            kind: "plugin".into(),
            name: "vhd-flatten".into(),
            needed_by: vec!["flattener".into()],
            present: false,
            package: Some("vmdk2kvm-plugin-formats".into()),
            detail: "vhd".into(),
        };
        assert_eq!(
            plugins(&[row("local", None), row("vddk", Some("libvixDiskLib.so.8 is missing"))], &[absent]),
            "\
PLUGIN  VERSION  API    KINDS    STATE                          SUMMARY
local   0.1.0    1.0.0  fetcher  available                      Files
vddk    0.1.0    1.0.0  fetcher  libvixDiskLib.so.8 is missing  Files

NOT INSTALLED  KINDS      FOR  PACKAGE
vhd-flatten    flattener  vhd  vmdk2kvm-plugin-formats
"
        );
        assert_eq!(plugins(&[], &[]), "no plugin was found\n");
    }

    #[test]
    fn a_plugin_is_shown_with_its_settings() {
        let shown: Manifest = serde_json::from_value(serde_json::json!({
            "schema": 1, "name": "vddk", "version": "0.1.0", "api": "1.0.0", "summary": "Disks\u{9b}", "license": "MIT",
            "kinds": ["fetcher"], "libraries": [{"name": "libvix.so.8", "packages": {"deb": "vddk", "rpm": "vddk-libs"}}],
            "settings": [{"key": "threads", "type": "integer", "default": "4", "doc": "requests at once"}]
        }))
        .unwrap();
        assert_eq!(
            manifest(&shown, Packaging::Deb),
            "\
name        vddk
summary     Disks\\u{9b}
version     0.1.0
plugin API  1.0.0
licence     MIT
kinds       fetcher
libraries   libvix.so.8 (package vddk)

SETTING  TYPE     DEFAULT  MEANING
threads  integer  4        requests at once
"
        );
    }

    #[test]
    fn the_doctor_names_packages_once() {
        let need = |name: &str, present| Need {
            kind: "program".into(),
            name: name.into(),
            needed_by: vec!["qemu-img".into()],
            present,
            package: Some("qemu-utils".into()),
            detail: String::new(),
        };
        let lacks = [need("qemu-img", false), need("qemu-nbd", false), need("sh", true)];
        for (packaging, said) in [
            (Packaging::Deb, ": apt-get install qemu-utils"),
            (Packaging::Rpm("dnf"), ": dnf install qemu-utils"),
            (Packaging::Other, ", as this system calls it: qemu-utils"),
        ] {
            let text = doctor(&lacks, &[], packaging);
            assert!(text.ends_with(&format!("\ninstall what is missing{said}\n")), "{text}");
        }
        assert!(doctor(&[need("sh", true)], &[], Packaging::Deb).ends_with("\nnothing is missing\n"));
    }
}

//! `plugin list` and `doctor`: what is there, and what is missing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::table::Table;

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
    /// Why it cannot be used; `None`: it can.
    pub problem: Option<String>,
}

/// Something that a plugin, or the host, needs of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// `program`, `library`, `plugin`, `firmware`, `device`.
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

/// The plugins that were found.
pub fn plugins(rows: &[PluginRow]) -> String {
    let mut table = Table::new(&["PLUGIN", "VERSION", "KINDS", "STATE", "SUMMARY"]);
    for row in rows {
        let state = row.problem.clone().unwrap_or_else(|| "ready".to_owned());
        table.row([row.name.clone(), row.version.clone(), row.kinds.join(","), state, row.summary.clone()]);
    }
    let text = table.render("");
    if text.is_empty() { "no plugin was found\n".to_owned() } else { text }
}

/// What this machine has and lacks, and the command that would install the rest.
pub fn doctor(needs: &[Need]) -> String {
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
    if missing.is_empty() {
        text.push_str("\nnothing is missing\n");
    } else if !packages.is_empty() {
        let packages: Vec<_> = packages.into_iter().map(crate::events::escape).collect();
        text.push_str(&format!("\ninstall what is missing: apt-get install {}\n", packages.join(" ")));
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
            problem: problem.map(str::to_owned),
        };
        assert_eq!(
            plugins(&[row("local", None), row("vddk", Some("libvixDiskLib.so.8 is missing"))]),
            "\
PLUGIN  VERSION  KINDS    STATE                          SUMMARY
local   0.1.0    fetcher  ready                          Files
vddk    0.1.0    fetcher  libvixDiskLib.so.8 is missing  Files
"
        );
        assert_eq!(plugins(&[]), "no plugin was found\n");
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
        let text = doctor(&[need("qemu-img", false), need("qemu-nbd", false), need("sh", true)]);
        assert!(text.ends_with("\ninstall what is missing: apt-get install qemu-utils\n"), "{text}");
        assert!(doctor(&[need("sh", true)]).ends_with("\nnothing is missing\n"));
    }
}

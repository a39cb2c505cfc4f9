//! The rules of the house, held against the tree as it is: who may import whom, which words the host may not know, that no file of a room
//! imports one that imports it, and how long a file may be.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The libraries, each of which may import those before it.
const LIBRARIES: [&str; 14] = [
    "boot-evidence",
    "child",
    "image-layout",
    "private-folder",
    "kvm",
    "libvirt",
    "linux-guest",
    "offline-guest",
    "windows-guest",
    "appliance",
    "qemu-words",
    "target-words",
    "vmx",
    "vsphere",
];

/// No file of the host outside of its tests has one of these words: if the host has to know, the contract lacks a word for it.
const WORDS: [&str; 14] = [
    "windows",
    "linux",
    "libvirt",
    "qemu",
    "vmware",
    "vsphere",
    "esxi",
    "kubevirt",
    "proxmox",
    "openstack",
    "incus",
    "hyperv",
    "virtualbox",
    "xen",
];

/// The longest a source file may be, in lines.
const LONGEST: usize = 500;
/// Half of the source files are no longer than this.
const MEDIAN: usize = 200;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All Rust files below a folder that are the project's own, by their path from the root.
fn sources(below: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let inside = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.insert(inside, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// The names of the project's own crates that a crate needs, tests and builds left out.
fn own_dependencies(folder: &Path) -> (String, Vec<String>) {
    let text = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    let name = manifest["package"]["name"].as_str().unwrap().to_owned();
    let needed = manifest.get("dependencies").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    (name, needed.keys().filter(|name| name.starts_with("vmdk2kvm")).cloned().collect())
}

#[track_caller]
fn assert_imports(folder: &Path, allowed: &dyn Fn(&str) -> bool) {
    let (name, needed) = own_dependencies(folder);
    let wrong: Vec<&String> = needed.iter().filter(|needed| !allowed(needed)).collect();
    assert!(wrong.is_empty(), "{name} may not import {wrong:?}");
}

const API: &str = "vmdk2kvm-plugin-api";
const CONFORMANCE: &str = "vmdk2kvm-conformance";

#[test]
fn crates_import_only_what_the_house_allows() {
    let root = root();
    assert_imports(&root.join("plugin-api"), &|_| false);
    assert_imports(&root.join("plugin-api/conformance"), &|name| name == API);
    assert_imports(&root.join("plugin-api/testing"), &|name| name == API || name == CONFORMANCE);
    assert_imports(&root.join("host"), &|name| name == API || name == CONFORMANCE);
    let crate_of = |library: &&str| format!("vmdk2kvm-{library}");
    let libraries: Vec<String> = LIBRARIES.iter().map(crate_of).collect();
    for (index, library) in LIBRARIES.iter().enumerate() {
        let above = &libraries[..index];
        let allowed = |name: &str| name == API || above.iter().any(|known| known == name);
        assert_imports(&root.join("plugins/library").join(library), &allowed);
    }
    let entries = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let listed: BTreeSet<String> = entries(&root.join("plugins/library"))
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, LIBRARIES.iter().map(|name| (*name).to_owned()).collect(), "a library is in no list");
    let is_plugin = |path: &PathBuf| path.join("Cargo.toml").is_file();
    let plugins: Vec<PathBuf> = entries(&root.join("plugins")).into_iter().filter(is_plugin).collect();
    assert!(plugins.len() >= 10, "only {} plugins were found", plugins.len());
    for plugin in plugins {
        assert_imports(&plugin, &|name| name == API || libraries.iter().any(|known| known == name));
    }
}

/// The file without its module of tests, and without comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("_tests.rs") || path.ends_with("/tests.rs")
}

#[test]
fn the_host_names_no_guest_and_no_hypervisor() {
    let mut found = Vec::new();
    // What `plugin new` writes is an author's code, which is about some guest.
    let host = sources("host/src").into_iter().filter(|(path, _)| !is_test(path) && !path.contains("/templates/"));
    for (path, text) in host {
        let code = code(&text).to_lowercase();
        let words: BTreeSet<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        found.extend(WORDS.iter().filter(|word| words.contains(**word)).map(|word| format!("{path}: {word}")));
    }
    assert!(found.is_empty(), "the contract lacks a word for these:\n{}", found.join("\n"));
}

/// Which of its neighbours a file of a room imports.
fn imports<'a>(room: &str, text: &str, neighbours: &[&'a str]) -> BTreeSet<&'a str> {
    let code = code(text);
    let own = format!("crate::{}::", room.replace('/', "::"));
    let mut found = BTreeSet::new();
    for statement in code.split("use ").skip(1).filter_map(|rest| rest.split(';').next()) {
        let Some(path) = statement.strip_prefix("super::").or_else(|| statement.strip_prefix(&own)) else { continue };
        // `super::{a, b::{c, d}}`: the first word of each part at the outermost level.
        let inside = path.strip_prefix('{').map_or(path, |inside| inside.trim_end_matches('}'));
        let (mut depth, mut part) = (0, String::new());
        let mut parts = Vec::new();
        for letter in inside.chars() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 && path.starts_with('{') => parts.push(std::mem::take(&mut part)),
                _ => {}
            }
            part.push(letter);
        }
        parts.push(part);
        for part in parts {
            let first = part.trim_matches([',', ' ', '\n']).split("::").next().unwrap_or_default().trim().to_owned();
            found.extend(neighbours.iter().filter(|name| **name == first));
        }
    }
    found
}

#[test]
fn no_file_of_a_room_imports_one_that_imports_it() {
    let mut rooms: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (path, text) in sources("host/src").into_iter().filter(|(path, _)| !is_test(path)) {
        let (room, file) = path.strip_prefix("host/src/").unwrap().rsplit_once('/').unwrap_or(("", &path));
        let file = file.strip_suffix(".rs").unwrap().to_owned();
        if !["mod", "lib", "main"].contains(&file.as_str()) && !room.is_empty() {
            rooms.entry(room.to_owned()).or_default().insert(file, text);
        }
    }
    assert!(rooms.len() > 8, "only {} rooms were found", rooms.len());
    for (room, files) in &rooms {
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        let mut graph: BTreeMap<&str, BTreeSet<&str>> =
            files.iter().map(|(name, text)| (name.as_str(), imports(room, text, &names))).collect();
        // Files that import nothing of what is left are taken away, until none can be: what stays is a circle.
        while let Some(free) = graph.iter().find(|(_, needs)| needs.is_empty()).map(|(name, _)| *name) {
            graph.remove(free);
            graph.values_mut().for_each(|needs| _ = needs.remove(free));
        }
        assert!(graph.is_empty(), "in host/src/{room} these import each other in a circle: {graph:#?}");
    }
}

#[test]
fn files_are_short() {
    let of = ["host", "plugin-api", "plugins", "tests", "examples"];
    let mut lengths: Vec<(usize, String)> =
        of.iter().flat_map(|below| sources(below)).map(|(path, text)| (text.lines().count(), path)).collect();
    lengths.sort();
    let too_long: Vec<_> = lengths.iter().filter(|(lines, _)| *lines > LONGEST).collect();
    assert!(too_long.is_empty(), "split where a second responsibility shows: {too_long:#?}");
    let (median, _) = lengths[lengths.len() / 2];
    assert!(median <= MEDIAN, "half of the files are longer than {median} lines");
}

#[test]
fn the_rules_would_notice() {
    let text = "use super::run::Run;\nuse super::{fetch, plan::{self, Fixers}};\nuse crate::pipeline::test;\n#[cfg(test)]\nuse super::copy;";
    let names = ["copy", "fetch", "plan", "run", "test", "other"];
    assert_eq!(imports("pipeline", text, &names), BTreeSet::from(["fetch", "plan", "run", "test"]));
    assert_eq!(code("// linux\nlet a = 1;\n#[cfg(test)]\nmod tests { /* qemu */ }"), "let a = 1;");
}

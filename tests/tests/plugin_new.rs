//! Somebody who has never seen the host writes a plugin: `plugin new`, `cargo test`, `cargo build`, copy the library, `plugin check`, and a
//! run that uses it, in an empty folder outside of this tree.
//!
//! Needs cargo, and the dependencies of the workspace already fetched.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use vmdk2kvm_tests::{
    Outcome, binary, command, lone_program, outcome, private_folder, run, run_with, tested_and_built,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// A new plugin, built and checked.
struct New {
    folder: TempDir,
    name: String,
    checked: Outcome,
}

impl New {
    /// The five commands, the last with something that the plugin is for.
    fn of(kind: &str, sample: impl FnOnce(&Path) -> Option<PathBuf>) -> Self {
        let (folder, name) = (private_folder(), format!("acme-{kind}"));
        let api = root().join("plugin-api");
        let arguments = ["plugin", "new", &name, "--kind", kind, "--api", api.to_str().unwrap()];
        let made = outcome(&command(&binary(), &arguments).current_dir(folder.path()).output().unwrap()).expect(0).json;
        let krate = folder.path().join(made["folder"].as_str().unwrap());
        let (plugins, library) = (folder.path().join("plugins"), made["file_name"].as_str().unwrap().to_owned());
        fs::create_dir(&plugins).unwrap();
        fs::copy(tested_and_built(&krate, &library), plugins.join(&library)).unwrap();
        let library = plugins.join(library);
        let mut arguments = vec!["plugin", "check", library.to_str().unwrap()];
        let sample = sample(folder.path()).map(|sample| sample.to_str().unwrap().to_owned());
        arguments.extend(sample.iter().flat_map(|sample| ["--sample", sample]));
        let checked = run(&arguments).expect(0);
        Self { folder, name, checked }
    }

    fn plugins(&self) -> String {
        self.folder.path().join("plugins").to_str().unwrap().to_owned()
    }

    /// How the checks ended, e.g. `passed`.
    fn outcomes(&self) -> Vec<&str> {
        let checks: &Vec<Value> = self.checked.json["checks"].as_array().unwrap();
        checks.iter().map(|check| check["outcome"].as_str().unwrap()).collect()
    }

    #[track_caller]
    fn assert_all_passed(&self) {
        assert_eq!(self.checked.json["name"], self.name.as_str());
        let outcomes = self.outcomes();
        assert!(!outcomes.is_empty() && outcomes.iter().all(|word| *word == "passed"), "{:#}", self.checked.json);
    }
}

fn write(path: PathBuf, content: &[u8]) -> Option<PathBuf> {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    Some(path)
}

/// The host knows nothing of this fixer, and its plan has the fixer's change.
#[test]
fn a_new_fixer_is_used_by_a_plan() {
    let new = New::of("fixer", |folder| {
        write(folder.join("guest/etc/os-release"), b"ID=debian\nVERSION_ID=\"12\"\n");
        write(folder.join("guest/etc/acme-fixer.conf"), b"platform=vmware\n");
        Some(folder.join("guest"))
    });
    new.assert_all_passed();
    let guest = format!("dir:{}", new.folder.path().canonicalize().unwrap().join("guest").display());
    let plan = run(&["plan", &guest, "--plugin-dir", &new.plugins()]).expect(0).json;
    let changes = plan["changes"].as_array().unwrap();
    let change = changes.iter().find(|change| change["fixer"] == "acme-fixer").unwrap_or_else(|| panic!("{plan:#}"));
    assert_eq!((&change["target"], &change["kind"]), (&"/etc/acme-fixer.conf".into(), &"write_file".into()));
    assert!(change["diff"].as_str().unwrap().contains("+platform=kvm"), "{change:#}");
}

/// And it is fetched from a made-up source that nobody else knows.
#[test]
fn a_new_fetcher_is_used_by_an_inventory() {
    let uri = |folder: &Path| format!("acme-fetcher:{}", folder.canonicalize().unwrap().join("web.raw").display());
    let new = New::of("fetcher", |folder| {
        write(folder.join("web.raw"), &[7; 1 << 20]);
        Some(uri(folder).into())
    });
    new.assert_all_passed();
    let inventory = run(&["inventory", &uri(new.folder.path()), "--plugin-dir", &new.plugins()]).expect(0).json;
    assert_eq!(inventory["vms"][0]["disks"][0]["capacity_bytes"], 1 << 20, "{inventory:#}");
}

#[test]
fn a_new_flattener_keeps_its_promises() {
    let disk = [&b"DISK0001"[..], &(1u64 << 20).to_le_bytes(), &[7; 1 << 20]].concat();
    New::of("flattener", |folder| write(folder.join("sample/web.disk"), &disk)).assert_all_passed();
}

#[test]
fn a_new_inspector_keeps_its_promises() {
    New::of("inspector", |folder| write(folder.join("web.raw"), b"acme-inspector guest\nID=debian\n"))
        .assert_all_passed();
}

/// It makes no overlays, and says so: that promise is not checked.
#[test]
fn a_new_converter_keeps_its_promises() {
    let new = New::of("converter", |_| None);
    assert_eq!(new.outcomes().iter().filter(|word| **word == "skipped").count(), 1, "{:#}", new.checked.json);
}

/// And a whole migration ends with its verdict, on a machine whose disk has no boot sector.
#[test]
fn a_new_tester_judges_a_migration() {
    let new = New::of("tester", |_| None);
    new.assert_all_passed();
    let (host, out) = (lone_program(), new.folder.path().join("out"));
    let (plugins, out) = (new.plugins(), out.to_str().unwrap());
    let chosen = ["--plugin-dir", &plugins, "--set", "test.plugin=acme-tester"];
    let arguments = [&["migrate", "bad:vm", "-o", out], &chosen[..]].concat();
    let judged = run_with(&host.path().join("vmdk2kvm"), &arguments).expect(80);
    assert_eq!(judged.error("plugin"), "acme-tester 0.1.0");
    assert_eq!(judged.message(), "migrated, but the boot test failed: no-bootable-device");
}

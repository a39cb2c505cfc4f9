//! Somebody who has never seen the host writes a plugin: `plugin new`, `cargo test`, `cargo build`, copy the library, `plugin check`, and a
//! run that uses it, in an empty folder outside of this tree. By the program of a checkout, and by one that was installed.
//!
//! Needs cargo, and the dependencies of the workspace already fetched. The crates share a target folder, so that these are built once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;
use vmdk2kvm_tests::{
    Outcome, binary, command, lone_program, nested_target, outcome, patient, private_folder, run, run_with,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Where this tree was installed to. The folder stays, so that what was built against it is not built again.
static INSTALLED: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = nested_target().join("installed");
    let mut install = Command::new(root().join("host/packaging/install"));
    install.env("BUILD", binary().parent().unwrap()).env("DESTDIR", &folder).env("PREFIX", "/usr");
    let output = install.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder.join("usr")
});

/// Whose program makes the crate, and what cargo has when it is built: nothing of this machine's user's.
struct Route {
    program: PathBuf,
    cargo_home: TempDir,
}

impl Route {
    /// The program that was built here, and a cargo that has nothing but a mirror of the registry.
    fn checkout() -> Self {
        let home = private_folder();
        let mirror = INSTALLED.join("share/vmdk2kvm/plugin-api/vendor");
        let config = "[source.crates-io]\nreplace-with = \"mirror\"\n[source.mirror]\ndirectory = ";
        fs::write(home.path().join("config.toml"), format!("{config}{mirror:?}\n")).unwrap();
        Self { program: binary(), cargo_home: home }
    }

    /// The program that was installed, and a cargo that has nothing.
    fn installed() -> Self {
        Self { program: INSTALLED.join("bin/vmdk2kvm"), cargo_home: private_folder() }
    }

    fn cargo(&self, krate: &Path, what: &str) {
        let mut cargo = patient(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args([what, "--quiet", "--target-dir"]).arg(nested_target()).current_dir(krate);
        cargo.env("CARGO_NET_OFFLINE", "true").env("CARGO_HOME", self.cargo_home.path());
        let output = cargo.output().expect("cargo");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "cargo {what}\n{}", String::from_utf8_lossy(&said));
    }
}

/// A new plugin, built and checked.
struct New {
    folder: TempDir,
    name: String,
    api: PathBuf,
    checked: Outcome,
}

impl New {
    /// The five commands, by the program of a checkout, the last with something that the plugin is for.
    fn of(kind: &str, sample: impl FnOnce(&Path) -> Option<PathBuf>) -> Self {
        Self::by(&Route::checkout(), kind, sample)
    }

    fn by(route: &Route, kind: &str, sample: impl FnOnce(&Path) -> Option<PathBuf>) -> Self {
        let (folder, name) = (private_folder(), format!("acme-{kind}"));
        let mut new = command(&route.program, &["plugin", "new", &name, "--kind", kind]);
        let made = outcome(&new.current_dir(folder.path()).output().unwrap()).expect(0).json;
        let krate = folder.path().join(made["folder"].as_str().unwrap());
        route.cargo(&krate, "test");
        route.cargo(&krate, "build");
        let (plugins, library) = (folder.path().join("plugins"), made["file_name"].as_str().unwrap().to_owned());
        fs::create_dir(&plugins).unwrap();
        fs::copy(nested_target().join("debug").join(&library), plugins.join(&library)).unwrap();
        let library = plugins.join(library);
        let mut arguments = vec!["plugin", "check", library.to_str().unwrap()];
        let sample = sample(folder.path()).map(|sample| sample.to_str().unwrap().to_owned());
        arguments.extend(sample.iter().flat_map(|sample| ["--sample", sample]));
        let checked = run_with(&route.program, &arguments).expect(0);
        Self { folder, name, api: made["api"].as_str().unwrap().into(), checked }
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

/// A guest that the new fixer has something to do in.
fn guest(folder: &Path) -> Option<PathBuf> {
    write(folder.join("guest/etc/os-release"), b"ID=debian\nVERSION_ID=\"12\"\n");
    write(folder.join("guest/etc/acme-fixer.conf"), b"platform=vmware\n");
    Some(folder.join("guest"))
}

/// The host knows nothing of this fixer, and its plan has the fixer's change.
#[test]
fn a_new_fixer_is_used_by_a_plan() {
    let new = New::of("fixer", guest);
    new.assert_all_passed();
    assert_eq!(new.api, root().join("plugin-api"));
    let guest = format!("dir:{}", new.folder.path().canonicalize().unwrap().join("guest").display());
    let plan = run(&["plan", &guest, "--plugin-dir", &new.plugins()]).expect(0).json;
    let changes = plan["changes"].as_array().unwrap();
    let change = changes.iter().find(|change| change["fixer"] == "acme-fixer").unwrap_or_else(|| panic!("{plan:#}"));
    assert_eq!((&change["target"], &change["kind"]), (&"/etc/acme-fixer.conf".into(), &"write_file".into()));
    assert!(change["diff"].as_str().unwrap().contains("+platform=kvm"), "{change:#}");
}

/// Cargo reaches no network and has no cache: all that is built lies below the prefix.
#[test]
fn an_installed_host_makes_a_plugin_that_builds_without_a_network() {
    let new = New::by(&Route::installed(), "fixer", guest);
    new.assert_all_passed();
    assert_eq!(new.api, INSTALLED.join("share/vmdk2kvm/plugin-api"));
}

#[test]
fn a_host_without_the_sources_says_where_they_come_from() {
    let (alone, folder) = (lone_program(), private_folder());
    let mut new = command(&alone.path().join("vmdk2kvm"), &["plugin", "new", "acme", "--kind", "fixer"]);
    let refused = outcome(&new.current_dir(folder.path()).output().unwrap()).expect(69);
    assert_eq!(refused.message(), "the sources of plugin-api, which a new plugin builds against, are not installed");
    let hint = "install the package vmdk2kvm-plugin-dev, or name the folder plugin-api of a checkout with --api";
    assert_eq!(refused.hint(), hint);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "it left something");
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
    // The tester reads the image, so that it has to be a real one.
    let converter = "libvmdk2kvm_qemu_img.so";
    fs::copy(binary().parent().unwrap().join(converter), host.path().join(converter)).unwrap();
    let chosen = ["--plugin-dir", &plugins, "--set", "test.plugin=acme-tester", "--set", "plugins.converter=qemu-img"];
    let arguments = [&["migrate", "bad:vm", "-o", out], &chosen[..]].concat();
    let judged = run_with(&host.path().join("vmdk2kvm"), &arguments).expect(80);
    assert_eq!(judged.error("plugin"), "acme-tester 0.1.0");
    assert_eq!(judged.message(), "migrated, but the boot test failed: no-bootable-device");
}

//! The promise of the contract: a plugin built against 1.0 works in a host whose contract has grown, and a plugin that needs more than the
//! host has, or that was built against something else, is refused in one readable line.
//!
//! The grown contract is made at test time: a copy of `plugin-api` as 1.1.0, in which every object has one more method with a default body
//! and is asked for it before every call, every struct of the model has one more member, and every descriptive enum one more word; and the real
//! host built with it, which uses such a word. Compiling them takes a minute, once. So does the plugin in another profile, for each compiler that
//! is installed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;
use vmdk2kvm_tests::{
    Library, Outcome, Release, binary, command, grown_model, misbehaving, outcome, plugin_folder, private_folder,
    run_with,
};

/// The contract as 1.1.0 might have it.
static GROWN: LazyLock<Release> = LazyLock::new(|| {
    let mut release = Release::new("grown");
    release.replace("plugin-api/Cargo.toml", "version = \"1.0.0\"", "version = \"1.1.0\"");
    release.edit("plugin-api/src/abi/traits.rs", with_one_more_method);
    let root = "plugin-api/src/abi/root.rs";
    release.replace(
        root,
        "AbiResult<PluginObj>,\n}",
        "AbiResult<PluginObj>,\n    pub grown: extern \"C\" fn() -> u32,\n}",
    );
    release.replace(root, "PluginRoot { manifest, create }", "PluginRoot { manifest, create, grown }");
    release.edit(root, |text| format!("{text}\nextern \"C\" fn grown() -> u32 {{\n    7\n}}\n"));
    for file in release.below("plugin-api/src/model/") {
        if !["growth.rs", "mod.rs", "schema.rs"].iter().any(|other| file.ends_with(other)) {
            release.edit(&file, grown_model);
        }
    }
    release.replace(
        "plugin-api/src/model/inspection.rs",
        "            Self::Unknown => \"unknown\",",
        "            Self::Unknown | Self::CameLater => \"unknown\",",
    );
    // The host says words that came later to every plugin, old ones included.
    release.replace(
        "host/src/pipeline/fetch.rs",
        "    if let Some(name) = &run.job.settings.name {",
        "    vm.nics.push(vmdk2kvm_plugin_api::model::Nic::new(vmdk2kvm_plugin_api::model::NicKind::CameLater));\n    \
         vm.grown_vmspec = 7;\n    if let Some(name) = &run.job.settings.name {",
    );
    // Whoever has an object of the other side asks it for the new method, and must get an answer also from one that lacks it.
    let ask = "assert_eq!(self.object.grown(), 7);\n        ";
    for file in ["plugin-api/src/abi/consume.rs", "plugin-api/src/abi/stages.rs"] {
        // Methods have a trait's name; "dropping", which no object answers any more, has none.
        let is_call = |line: &&str| line.contains("let _call = enter(self.label, \"") && line.contains("::");
        release.edit(file, |text| {
            let lines = text.lines().map(|line| match Some(line).filter(is_call) {
                Some(call) => format!("        {ask}{}\n", call.trim_start()),
                None => format!("{line}\n"),
            });
            lines.collect()
        });
    }
    release.replace(
        "plugin-api/src/abi/consume.rs",
        "self.object.log_level()",
        &format!("{ask}self.object.log_level()"),
    );
    release
});

/// After the last method of each trait, one with a default body.
fn with_one_more_method(traits: &str) -> String {
    let mut text = String::new();
    let mut in_trait = false;
    for line in traits.lines() {
        in_trait |= line.starts_with("pub trait ");
        if in_trait && line == "}" {
            text.push_str("    fn grown(&self) -> u32 {\n        7\n    }\n");
            in_trait = false;
        }
        text.push_str(&format!("{line}\n"));
    }
    text
}

/// A program alone in a folder.
fn alone(program: &Path) -> TempDir {
    let folder = private_folder();
    fs::copy(program, folder.path().join("vmdk2kvm")).unwrap();
    folder
}

/// Today's host, and the host of the grown contract.
static HOSTS: LazyLock<[TempDir; 2]> = LazyLock::new(|| [alone(&binary()), alone(&GROWN.program())]);

fn migrate(host: &TempDir, plugins: &Path) -> Outcome {
    let out = private_folder();
    let (plugins, out) = (plugins.to_str().unwrap(), out.path().join("out"));
    let arguments = ["migrate", "bad:vm", "--plugin-dir", plugins, "-o", out.to_str().unwrap()];
    run_with(&host.path().join("vmdk2kvm"), &arguments)
}

/// An inventory in which the plugin panics.
fn panic_in(host: &TempDir, plugins: &Path) -> Outcome {
    let arguments = ["inventory", "bad:vm", "--plugin-dir", plugins.to_str().unwrap()];
    let mut inventory = command(&host.path().join("vmdk2kvm"), &arguments);
    inventory.env("BAD_PLUGIN_AT", "Catalog::inventory").env("BAD_PLUGIN_HOW", "panic");
    outcome(&inventory.output().unwrap()).expect(1)
}

fn folder_with(library: &Library) -> (TempDir, PathBuf) {
    let folder = private_folder();
    let file = library.write(folder.path(), "libbad.so");
    (folder, file)
}

#[track_caller]
fn assert_refused(outcome: Outcome, file: &Path, why: &str) {
    let outcome = outcome.expect(69);
    let expected = format!("plugin {} cannot be used: {why}", file.display());
    assert!(outcome.message().contains(&expected), "{expected}\n{}", outcome.message());
    assert!(outcome.error("plugin").starts_with("bad "), "{:#}", outcome.json);
    assert!(!outcome.message().contains('\n'));
}

#[test]
fn an_old_plugin_works_in_a_grown_host() {
    let [_, grown] = &*HOSTS;
    let (plugins, _) = folder_with(&Library::read(&misbehaving()));
    let report = migrate(grown, plugins.path()).expect(0).json;
    assert_eq!(report["converged"], true);
    assert_eq!(report["tool"]["api"], "1.1.0", "{report:#}");
    assert_eq!((&report["vm"]["grown_vmspec"], &report["vm"]["nics"][0]["kind"]), (&7.into(), &"came_later".into()));
    // Its errors come through as well: what it answers is understood, not only that it answers.
    let outcome = panic_in(grown, plugins.path());
    assert!(
        outcome.message().starts_with("panicked in Catalog::inventory: a deliberate panic"),
        "{}",
        outcome.message()
    );
}

/// The stock plugins of today, for what they do without an appliance. Needs `qemu-img` (qemu-utils).
#[test]
fn the_stock_plugins_work_in_a_grown_host() {
    let [_, grown] = &*HOSTS;
    let stock = plugin_folder(&[]);
    let work = private_folder();
    let disk = work.path().join("disk.vmdk");
    let made = Command::new("qemu-img").args(["create", "-q", "-f", "vmdk"]).arg(&disk).arg("1M").status();
    assert!(made.expect("qemu-img (package qemu-utils)").success());
    let (disk, out) = (disk.to_str().unwrap(), work.path().join("out"));
    let arguments = ["flatten", disk, "-o", out.to_str().unwrap(), "--format", "vdi", "--plugin-dir"];
    let plugins = [stock.path().to_str().unwrap()];
    run_with(&grown.path().join("vmdk2kvm"), &[&arguments[..], &plugins].concat()).expect(0);
    assert!(out.join("disk-disk1.vdi").is_file());
}

/// What rustup has besides the compiler of this test, new enough for the crates, each version once: none on most machines.
fn other_compilers() -> Vec<String> {
    let says = |arguments: &[&str]| {
        let output = Command::new("rustup").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let version = |compiler: &str| says(&["run", compiler, "rustc", "--version"]).unwrap_or_default();
    let is_new = |version: &str| {
        version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok()).is_some_and(|minor| minor >= 85)
    };
    let list = says(&["toolchain", "list"]).unwrap_or_default();
    let mut lines: Vec<&str> = list.lines().collect();
    // The active one first: it stands for its version.
    lines.sort_by_key(|line| !line.contains("active"));
    let mut seen: Vec<String> = Vec::new();
    lines.retain(|line| {
        let version = version(line.split(' ').next().unwrap_or_default());
        let is_other = !line.contains("active") && !seen.contains(&version) && is_new(&version);
        seen.push(version);
        is_other
    });
    lines.into_iter().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn a_plugin_of_another_profile_and_compiler_works() {
    let (release, [host, _]) = (Release::new("elsewhere"), &*HOSTS);
    let compilers: Vec<Option<String>> = std::iter::once(None).chain(other_compilers().into_iter().map(Some)).collect();
    for compiler in compilers {
        let (plugins, _) = folder_with(&Library::read(&release.plugin_of(compiler.as_deref())));
        let report = migrate(host, plugins.path()).expect(0).json;
        assert_eq!(report["converged"], true, "{compiler:?}");
        let outcome = panic_in(host, plugins.path());
        assert!(outcome.message().starts_with("panicked in Catalog::inventory: "), "{}", outcome.message());
    }
    // Where a panic ends the process none could be caught: such a plugin is not even built.
    let said = release.plugin_that_aborts();
    assert!(said.contains("a plugin must be built with panic = \"unwind\""), "{said}");
}

#[test]
fn a_grown_plugin_works_in_a_grown_host_and_is_refused_by_an_old_one() {
    let [old, grown] = &*HOSTS;
    let (plugins, file) = folder_with(&Library::read(&GROWN.plugin()));
    migrate(grown, plugins.path()).expect(0);
    assert_refused(migrate(old, plugins.path()), &file, "it needs plugin API 1.1.0, this host has 1.0.0");
}

/// What the version gate would let through is still compared: the interface as it is decides, not the number.
#[test]
fn a_plugin_that_claims_a_later_contract_than_it_has_is_refused() {
    let [_, grown] = &*HOSTS;
    let claims = Library::read(&misbehaving()).replace(r#""api":"1.0.0""#, r#""api":"1.1.0""#);
    let (plugins, file) = folder_with(&claims);
    assert_refused(migrate(grown, plugins.path()), &file, "its interface differs from this host's: ");
}

/// A contract that changed what it had promised to keep, under the same number.
#[test]
fn a_changed_interface_is_refused() {
    let mut release = Release::new("changed");
    let types = "plugin-api/src/abi/types.rs";
    release.replace(
        types,
        "    pub name: RString,\n    pub kind: u32,\n",
        "    pub kind: u32,\n    pub name: RString,\n",
    );
    let (plugins, file) = folder_with(&Library::read(&release.plugin()));
    let [old, _] = &*HOSTS;
    let outcome = migrate(old, plugins.path());
    let leaf = "AbiEntry: host has the field name: RString, plugin has the field kind: u32";
    assert!(outcome.message().ends_with(leaf), "{}", outcome.message());
    assert_refused(outcome, &file, "its interface differs from this host's: ");
}

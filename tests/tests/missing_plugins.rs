//! A stock plugin's library is moved away: exit code 69, the stage that lacks it, the plugin and the package to install. Before any disk
//! is copied, and without leaving anything behind. Needs `qemu-img` (qemu-utils) for small disks; starts no appliance.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use vmdk2kvm_tests::{Outcome, lone_program, plugin_folder, private_folder, run_with};

/// The stock plugins but one, the program, and small sources.
struct Bundle {
    program: TempDir,
    sources: TempDir,
    plugin: String,
    package: String,
}

impl Bundle {
    fn without(plugin: &str) -> Self {
        let program = plugin_folder(&[plugin]);
        let table: toml::Table = toml::from_str(include_str!("../../plugins/stock.toml")).unwrap();
        let stock = table["plugin"].as_array().unwrap().iter().find(|stock| stock["name"].as_str() == Some(plugin));
        let package = stock.unwrap()["package"].as_str().unwrap().to_owned();
        let bundle = Self { program, sources: private_folder(), plugin: plugin.to_owned(), package };
        let all = fs::read_dir(plugin_folder(&[]).path()).unwrap().count();
        assert_eq!(fs::read_dir(bundle.program.path()).unwrap().count() + 1, all, "{plugin} is not one library");
        bundle
    }

    fn path(&self, name: &str) -> String {
        self.sources.path().join(name).to_str().unwrap().to_owned()
    }

    /// A disk of 1 MiB.
    fn disk(&self, format: &str) -> String {
        let path = self.path(&format!("disk.{format}"));
        // The one format that qemu-img calls otherwise.
        let word = if format == "vhd" { "vpc" } else { format };
        let made = Command::new("qemu-img").args(["create", "-q", "-f", word, &path, "1M"]).status();
        assert!(made.expect("qemu-img (package qemu-utils)").success());
        path
    }

    /// A directory that looks like a Linux guest.
    fn tree(&self) -> String {
        let tree = PathBuf::from(self.path("tree"));
        fs::create_dir_all(tree.join("etc")).unwrap();
        fs::write(tree.join("etc/os-release"), "ID=debian\nVERSION_ID=\"12\"\n").unwrap();
        format!("dir:{}", tree.display())
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        run_with(&self.program.path().join("vmdk2kvm"), arguments)
    }

    /// The command fails for want of the plugin, at this stage.
    #[track_caller]
    fn assert_wanting(&self, arguments: &[&str], stage: &str, message: &str) {
        let outcome = self.run(arguments).expect(69);
        let context = format!("{} without {}: {:#}", arguments.join(" "), self.plugin, outcome.json);
        assert_eq!(outcome.message(), message, "{context}");
        assert_eq!(outcome.error("stage"), stage, "{context}");
        let hint = format!("install the plugin {} (package {})", self.plugin, self.package);
        assert_eq!(outcome.error("hint"), hint, "{context}");
    }

    /// The same for a command with an output folder, which is not even made.
    #[track_caller]
    fn assert_wanting_output(&self, arguments: &[&str], stage: &str, message: &str) {
        let out = self.path("out");
        self.assert_wanting(&[arguments, &["-o", &out]].concat(), stage, message);
        assert!(!Path::new(&out).exists(), "{} left an output folder", arguments.join(" "));
    }

    /// `plugin list` does without it, and `doctor` says what to install.
    fn assert_doctor_knows(&self) {
        let list = self.run(&["plugin", "list"]).expect(0).json;
        let absent: Vec<_> = list["not_installed"].as_array().unwrap().iter().collect();
        assert_eq!(absent.len(), 1, "{absent:#?}");
        assert_eq!(
            (&absent[0]["name"], &absent[0]["package"]),
            (&self.plugin.as_str().into(), &self.package.as_str().into())
        );
        assert!(!list["plugins"].as_array().unwrap().iter().any(|row| row["name"] == self.plugin.as_str()));
        let needs = self.run(&["doctor"]).expect(0).json["needs"].clone();
        let missing: Vec<_> = needs.as_array().unwrap().iter().filter(|need| need["kind"] == "plugin").collect();
        assert_eq!(missing.len(), 1, "{missing:#?}");
        assert_eq!(missing[0]["name"], self.plugin.as_str());
        assert_eq!(missing[0]["package"], self.package.as_str());
        assert_eq!(missing[0]["present"], false);
    }
}

/// The plugins that read disks, each with a format that only it reads.
const FLATTENERS: [(&str, &str); 5] = [
    ("vmdk-flatten", "vmdk"),
    ("qcow2-flatten", "qcow2"),
    ("vhd-flatten", "vhd"),
    ("vdi-vhdx-flatten", "vdi"),
    ("vdi-vhdx-flatten", "vhdx"),
];

/// The targets by the alphabet, and the packages of their plugins.
const TARGETS: [(&str, &str); 6] = [
    ("incus", "targets"),
    ("kubevirt", "targets"),
    ("libvirt", "qemu"),
    ("openstack", "targets"),
    ("proxmox", "targets"),
    ("qemu", "qemu"),
];

/// Every plugin of the table has a test here.
#[test]
fn the_table_has_no_other_plugins() {
    let table: toml::Table = toml::from_str(include_str!("../../plugins/stock.toml")).unwrap();
    let names = table["plugin"].as_array().unwrap().iter().map(|plugin| plugin["name"].as_str().unwrap());
    let others = [
        "local",
        "guestfs-offline-linux",
        "native-offline",
        "linux-fixes",
        "windows-virtio",
        "vsphere-soap",
        "vsphere-govc",
        "vsphere-http",
        "vsphere-lease",
        "vddk",
        "ovftool",
        "ssh",
        "dir",
        "qemu-img",
        "qemu-test",
        "libvirt-test",
        "exec",
    ];
    let is_target = |name: &str| TARGETS.iter().any(|(target, _)| name == format!("target-{target}"));
    let is_tested =
        |name: &&str| others.contains(name) || is_target(name) || FLATTENERS.iter().any(|(plugin, _)| plugin == name);
    let untested: Vec<_> = names.filter(|name| !is_tested(name)).collect();
    assert!(untested.is_empty(), "{untested:?} can be moved away, too");
}

#[test]
fn without_local() {
    let bundle = Bundle::without("local");
    let disk = bundle.disk("raw");
    let message = format!("no plugin can fetch from {disk}");
    for command in ["inventory", "inspect", "plan"] {
        bundle.assert_wanting(&[command, &disk], "fetch", &message);
    }
    for command in ["migrate", "flatten", "fix", "convert"] {
        bundle.assert_wanting_output(&[command, &disk], "fetch", &message);
    }
    bundle.assert_doctor_knows();
}

#[test]
fn without_a_catalog_or_a_transport_of_vsphere() {
    Bundle::without("vsphere-govc").assert_doctor_knows();
    let bundle = Bundle::without("vsphere-soap");
    bundle.assert_doctor_knows();
    // Without the other catalog, too.
    let name = "libvmdk2kvm_vsphere_govc.so";
    fs::remove_file(bundle.program.path().join(name)).unwrap();
    let source = "vsphere://root@vc.invalid/web";
    bundle.assert_wanting(&["inventory", source], "fetch", &format!("no plugin can fetch from {source}"));
    Bundle::without("vsphere-http").assert_doctor_knows();
    Bundle::without("vsphere-lease").assert_doctor_knows();
    Bundle::without("vddk").assert_doctor_knows();
    Bundle::without("ovftool").assert_doctor_knows();
}

#[test]
fn without_ssh() {
    let bundle = Bundle::without("ssh");
    let source = "esxi+ssh://root@esx.invalid/vmfs/volumes/ds/web/web.vmx";
    bundle.assert_wanting(&["inventory", source], "fetch", &format!("no plugin can fetch from {source}"));
    bundle.assert_doctor_knows();
}

#[test]
fn without_a_flattener() {
    for (plugin, format) in FLATTENERS {
        let bundle = Bundle::without(plugin);
        let disk = bundle.disk(format);
        let message = format!("no plugin can read disks of the format {format}");
        for command in ["inspect", "plan"] {
            bundle.assert_wanting(&[command, &disk], "flatten", &message);
        }
        for command in ["migrate", "flatten", "fix", "convert"] {
            bundle.assert_wanting_output(&[command, &disk], "flatten", &message);
        }
        bundle.assert_doctor_knows();
        // Another format is no business of it.
        let out = bundle.path("raw-out");
        bundle.run(&["flatten", &bundle.disk("raw"), "-o", &out]).expect(0);
    }
}

#[test]
fn without_native() {
    let bundle = Bundle::without("native-offline");
    let disk = bundle.disk("raw");
    let only_native = ["plan", &disk, "--set", "inspect.reader=native"];
    bundle.assert_wanting(&only_native, "inspect", "no plugin can read guests without an appliance");
    bundle.assert_doctor_knows();
}

#[test]
fn without_guestfs() {
    let bundle = Bundle::without("guestfs-offline-linux");
    let disk = bundle.disk("raw");
    for command in ["inspect", "plan"] {
        bundle.assert_wanting(&[command, &disk], "inspect", "no plugin can open this guest");
    }
    let out = bundle.path("out");
    bundle.assert_wanting(&["migrate", &disk, "-o", &out], "inspect", "no plugin can open this guest");
    // A directory needs no appliance.
    bundle.run(&["plan", &bundle.tree()]).expect(0);
    bundle.assert_doctor_knows();
}

#[test]
fn without_linux_fixes() {
    let bundle = Bundle::without("linux-fixes");
    let tree = bundle.tree();
    bundle.assert_wanting(&["plan", &tree], "plan", "no plugin can fix linux guests");
    bundle.run(&["inspect", &tree]).expect(0);
    bundle.assert_doctor_knows();
}

#[test]
fn without_windows_virtio() {
    Bundle::without("windows-virtio").assert_doctor_knows();
}

#[test]
fn without_dir() {
    let bundle = Bundle::without("dir");
    let tree = bundle.tree();
    for command in ["inventory", "inspect", "plan"] {
        bundle.assert_wanting(&[command, &tree], "fetch", &format!("no plugin can fetch from {tree}"));
    }
    bundle.assert_doctor_knows();
}

#[test]
fn without_a_target() {
    for (target, package) in TARGETS {
        let plugin = format!("target-{target}");
        let bundle = Bundle::without(&plugin);
        let out = bundle.path("out");
        let outcome = bundle.run(&["migrate", &bundle.disk("raw"), "-o", &out, "--target", target]).expect(69);
        assert_eq!(outcome.message(), format!("no plugin can render the target `{target}`"));
        let others: Vec<&str> = TARGETS.iter().map(|(other, _)| *other).filter(|other| *other != target).collect();
        let package = format!("package vmdk2kvm-plugin-{package}");
        let hint = format!("install the plugin {plugin} ({package}); known here: {}", others.join(", "));
        assert_eq!(outcome.hint(), hint);
        assert!(!Path::new(&out).exists(), "an output folder was made");
        bundle.assert_doctor_knows();
    }
}

#[test]
fn without_exec() {
    let bundle = Bundle::without("exec");
    let (tree, set) = (bundle.tree(), "plugin.exec.fixers.acme.program=/bin/true");
    let plan = bundle.run(&["plan", &tree, "--set", set]).expect(0);
    let advice = "install the plugin exec (package vmdk2kvm-plugin-exec)";
    let warning = format!("`plugin.exec` sets a plugin that is not installed: {advice}");
    assert!(plan.stderr.contains(&warning), "{}", plan.stderr);
    assert_eq!(bundle.run(&["plugin", "show", "exec"]).expect(69).hint(), advice);
    bundle.assert_doctor_knows();
}

#[test]
fn without_qemu_img() {
    let bundle = Bundle::without("qemu-img");
    let disk = bundle.disk("raw");
    let message = "no plugin can write images of the format qcow2";
    for command in ["inspect", "plan"] {
        bundle.assert_wanting(&[command, &disk], "inspect", message);
    }
    for command in ["migrate", "fix"] {
        bundle.assert_wanting_output(&[command, &disk], "inspect", message);
    }
    for command in ["flatten", "convert"] {
        let message = "no plugin can write images of the format vdi";
        bundle.assert_wanting_output(&[command, &disk, "--format", "vdi"], "convert", message);
    }
    // What the host writes itself needs nobody.
    let out = bundle.path("flat");
    bundle.run(&["flatten", &disk, "-o", &out]).expect(0);
    bundle.assert_doctor_knows();
}

#[test]
fn without_qemu_test() {
    let bundle = Bundle::without("qemu-test");
    let disk = bundle.disk("raw");
    bundle.assert_doctor_knows();
    // The other tester would do without being asked.
    fs::remove_file(bundle.program.path().join("libvmdk2kvm_libvirt_test.so")).unwrap();
    bundle.assert_wanting_output(&["migrate", &disk], "test", "no plugin can test the result");
    let message = "the tester plugin `qemu-test` is not installed";
    bundle.assert_wanting_output(&["migrate", &disk, "--test", "qemu"], "test", message);
    // A result to test, made by a plugin that has everything in memory.
    let (lone, out) = (lone_program(), bundle.path("result"));
    run_with(&lone.path().join("vmdk2kvm"), &["migrate", "bad:vm", "-o", &out]).expect(0);
    bundle.assert_wanting(&["test", &out], "test", "no plugin can test the result");
}

#[test]
fn without_libvirt_test() {
    let bundle = Bundle::without("libvirt-test");
    let message = "the tester plugin `libvirt-test` is not installed";
    bundle.assert_wanting_output(&["migrate", &bundle.disk("raw"), "--test", "libvirt"], "test", message);
    bundle.assert_doctor_knows();
}

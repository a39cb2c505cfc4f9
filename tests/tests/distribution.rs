//! What a packager does: staging, Debian packages and RPMs, installed and removed for real in a clean root.
//!
//! Needs root, dpkg-dev, rpm, mmdebstrap, tar, zstd and unshare.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use vmdk2kvm_tests::{CleanRoot, binary, make_packages, private_folder, run_with};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// What authors of plugins build against.
const DEV: &str = "vmdk2kvm-plugin-dev";
/// What brings all the others.
const BUNDLE: &str = "vmdk2kvm-bundle";

/// The stock plugins by the package that has them.
fn bundle() -> BTreeMap<String, BTreeSet<String>> {
    let table: toml::Table = toml::from_str(include_str!("../../plugins/stock.toml")).unwrap();
    let mut bundle: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for plugin in table["plugin"].as_array().unwrap() {
        let text = |key: &str| plugin[key].as_str().unwrap().to_owned();
        bundle.entry(text("package")).or_default().insert(text("name"));
    }
    bundle
}

#[track_caller]
fn done(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The packages of a kind, by name, built from what the tests run.
fn packages(kind: &str, out: &Path) -> BTreeMap<String, PathBuf> {
    make_packages(kind, out);
    let made = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| {
        let file = path.file_name().unwrap().to_str().unwrap();
        file[..file.find(env!("CARGO_PKG_VERSION")).unwrap() - 1].to_owned()
    };
    let made: BTreeMap<_, _> = made.map(|path| (name(&path), path)).collect();
    let expected: BTreeSet<String> = bundle().into_keys().chain(["vmdk2kvm", BUNDLE, DEV].map(str::to_owned)).collect();
    assert_eq!(made.keys().cloned().collect::<BTreeSet<_>>(), expected);
    made
}

/// A clean Debian, and what is done with the packages in it.
struct Clean(CleanRoot);

impl Clean {
    fn with(packages: &[&str]) -> Self {
        Self(CleanRoot::new(packages))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn run(&self, words: &[&str]) -> Output {
        self.0.run(words)
    }

    /// `apt-get install` of these packages, from nowhere else.
    fn install(&self, made: &BTreeMap<String, PathBuf>, names: &[&str]) -> Output {
        let mut files = Vec::new();
        for name in names {
            let to = self.path("tmp").join(made[*name].file_name().unwrap());
            fs::copy(&made[*name], &to).unwrap();
            files.push(format!("/tmp/{}", to.file_name().unwrap().to_str().unwrap()));
        }
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        self.run(&[&["apt-get", "install", "-y", "--no-install-recommends"], &files[..]].concat())
    }

    /// The document that the installed program prints.
    fn vmdk2kvm(&self, words: &[&str]) -> Value {
        serde_json::from_slice(&self.run(&[&["vmdk2kvm", "--json"], words].concat()).stdout).unwrap()
    }
}

/// Names in a list of a document.
fn named(list: &Value, key: &str) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|row| row[key].as_str().unwrap().to_owned()).collect()
}

#[test]
fn debian_packages_install_work_apart_and_leave_nothing() {
    let out = private_folder();
    let made = packages("deb", out.path());
    for (name, path) in &made {
        // A plugin's package has nothing but its libraries and documents.
        let list = done(Command::new("dpkg-deb").arg("--contents").arg(path));
        let paths = list.lines().filter_map(|line| line.split_whitespace().nth(5)).filter(|path| !path.ends_with('/'));
        let (pages, paths): (Vec<_>, Vec<_>) =
            paths.partition(|path| path.starts_with("./usr/share/man/man7/vmdk2kvm-"));
        let odd: Vec<_> = paths.into_iter().filter(|path| !path.starts_with("./usr/share/doc/")).collect();
        let libraries = odd.iter().filter(|path| path.starts_with("./usr/lib/vmdk2kvm/plugins/lib")).count();
        let expected = bundle().get(name).map_or(0, BTreeSet::len);
        assert_eq!((libraries, pages.len()), (expected, expected), "{name}: {odd:?} {pages:?}");
        let sources = odd.iter().filter(|path| path.starts_with("./usr/share/vmdk2kvm/plugin-api/")).count();
        assert_eq!(sources > 0, name == DEV, "{name}: {odd:?}");
        assert!(name == "vmdk2kvm" || odd.len() == libraries + sources, "{name}: {odd:?}");
    }

    let clean = Clean::with(&["qemu-utils"]);
    // A plugin wants a host that has its contract, and the libraries of its manifest.
    let refused = clean.install(&made, &["vmdk2kvm-plugin-local"]);
    assert!(!refused.status.success() && text(&refused.stdout).contains("vmdk2kvm-plugin-abi-1"), "{refused:?}");
    let refused = clean.install(&made, &["vmdk2kvm", "vmdk2kvm-plugin-guestfs"]);
    assert!(!refused.status.success() && text(&refused.stdout).contains("libguestfs0"), "{refused:?}");

    let some = ["vmdk2kvm", "vmdk2kvm-plugin-local", "vmdk2kvm-plugin-vmware", "vmdk2kvm-plugin-qemu"];
    let installed = clean.install(&made, &some);
    assert!(installed.status.success(), "{}{}", text(&installed.stdout), text(&installed.stderr));
    let here: BTreeSet<String> = some.iter().filter_map(|name| bundle().remove(*name)).flatten().collect();
    let list = clean.vmdk2kvm(&["plugin", "list"]);
    assert_eq!(named(&list["plugins"], "name"), here);
    // Its program is in no package of anybody.
    let is_whole = |row: &Value| row["problem"].is_null() || row["name"] == "ovftool";
    assert!(list["plugins"].as_array().unwrap().iter().all(is_whole), "{list:#}");
    let others: BTreeSet<String> = bundle().into_keys().filter(|name| !some.contains(&name.as_str())).collect();
    assert_eq!(named(&list["not_installed"], "package"), others);
    let doctor = text(&clean.run(&["vmdk2kvm", "doctor"]).stdout);
    let others: Vec<_> = others.iter().map(String::as_str).collect();
    assert!(doctor.ends_with(&format!("apt-get install {}\n", others.join(" "))), "{doctor}");
    // A run names the one package that it wants.
    fs::write(clean.path("tmp/disk.raw"), vec![0; 1 << 20]).unwrap();
    let run = clean.vmdk2kvm(&["plan", "/tmp/disk.raw"]);
    let hint = "install the plugin guestfs-offline-linux (package vmdk2kvm-plugin-guestfs)";
    assert_eq!((&run["error"]["code"], run["error"]["hint"].as_str()), (&69.into(), Some(hint)), "{run:#}");
    clean.vmdk2kvm(&["flatten", "/tmp/disk.raw", "-o", "/tmp/flat"])["images"].as_array().unwrap();

    // A new plugin builds against sources that come with a package, which is named.
    let new = ["plugin", "new", "acme", "--kind", "fixer"];
    let hint = clean.vmdk2kvm(&new)["error"]["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains(DEV), "{hint}");
    let installed = clean.install(&made, &[DEV]);
    assert!(installed.status.success(), "{}{}", text(&installed.stdout), text(&installed.stderr));
    assert_eq!(clean.vmdk2kvm(&new)["api"], "/usr/share/vmdk2kvm/plugin-api");

    // Forced in without its library the plugin is listed, and it is said what lacks.
    let guestfs = format!("/tmp/{}", made["vmdk2kvm-plugin-guestfs"].file_name().unwrap().to_str().unwrap());
    assert!(clean.run(&["dpkg", "--force-depends", "-i", &guestfs]).status.success());
    let list = clean.vmdk2kvm(&["plugin", "list"]);
    let row = list["plugins"].as_array().unwrap().iter().find(|row| row["name"] == "guestfs-offline-linux").unwrap();
    let problem = row["problem"].as_str().unwrap();
    assert!(problem.contains("missing library libguestfs.so.0 (package libguestfs0)"), "{problem}");

    let purge = clean.run(&["dpkg", "--purge", "vmdk2kvm-plugin-guestfs"]);
    assert!(purge.status.success(), "{purge:?}");
    let purge = clean.run(&[&["apt-get", "purge", "-y", DEV], &some[..]].concat());
    assert!(purge.status.success(), "{purge:?}");
    for left in [
        "usr/bin/vmdk2kvm",
        "usr/lib/vmdk2kvm",
        "usr/share/vmdk2kvm",
        "usr/share/man/man1/vmdk2kvm.1.gz",
        "usr/share/man/man7/vmdk2kvm-local.7.gz",
    ] {
        assert!(!clean.path(left).exists(), "{left} is left");
    }
}

#[test]
fn rpms_say_what_they_need_and_work_where_they_are_put() {
    let out = private_folder();
    let made = packages("rpm", out.path());
    let ask = |name: &str, what: &str| done(Command::new("rpm").args(["-qp", what]).arg(&made[name]));
    assert!(ask("vmdk2kvm", "--provides").contains("vmdk2kvm-plugin-abi-1 = 1."));
    for (package, plugins) in bundle() {
        let needs = ask(&package, "--requires");
        assert!(
            needs.contains("vmdk2kvm-plugin-abi-1 >= 1.") && needs.contains("libc.so.6()(64bit)"),
            "{package}: {needs}"
        );
        let files = ask(&package, "-l");
        let (libraries, others): (Vec<_>, Vec<_>) = files.lines().partition(|path| path.ends_with(".so"));
        assert_eq!(libraries.len(), plugins.len(), "{package}: {files}");
        // The folders are everybody's: the last package that has one takes it away.
        let is_folder = |path: &str| ["/usr/lib/vmdk2kvm", "/usr/lib/vmdk2kvm/plugins"].contains(&path);
        let is_text = |path: &str| {
            path.starts_with("/usr/share/doc/vmdk2kvm") || path.starts_with("/usr/share/man/man7/vmdk2kvm-")
        };
        let odd = others.iter().filter(|path| !is_folder(path) && !is_text(path));
        assert_eq!(odd.count(), 0, "{package}: {files}");
    }
    let needs = ask(DEV, "--requires");
    let needs: Vec<_> = needs.lines().filter(|need| !need.starts_with("rpmlib(")).collect();
    assert_eq!(needs, [format!("vmdk2kvm = {}", env!("CARGO_PKG_VERSION"))]);
    let needs = ask(BUNDLE, "--requires");
    let version = env!("CARGO_PKG_VERSION");
    let whole = bundle()
        .into_keys()
        .chain(["vmdk2kvm".to_owned()])
        .all(|name| needs.contains(&format!("{name} = {version}\n")));
    assert!(whole && !needs.contains(DEV), "{needs}");
    let needs = ask("vmdk2kvm-plugin-guestfs", "--requires");
    assert!(needs.contains("libguestfs.so.0()(64bit)") && needs.contains("/usr/bin/qemu-img"), "{needs}");

    let scratch = private_folder();
    let rpm = |words: &[&str]| {
        let mut rpm = Command::new("rpm");
        done(rpm.arg("--root").arg(scratch.path()).args(["--nodeps"]).args(words))
    };
    let paths: Vec<&str> = made.values().map(|path| path.to_str().unwrap()).collect();
    rpm(&[&["-i"], &paths[..]].concat());
    let program = scratch.path().join("usr/bin/vmdk2kvm");
    let list = run_with(&program, &["plugin", "list"]).expect(0).json;
    let here: BTreeSet<String> = bundle().into_values().flatten().collect();
    assert_eq!(named(&list["plugins"], "name"), here);
    let names: Vec<&str> = made.keys().map(String::as_str).collect();
    rpm(&[&["-e"], &names[..]].concat());
    for left in ["usr/bin/vmdk2kvm", "usr/lib/vmdk2kvm", "usr/share/vmdk2kvm"] {
        assert!(!scratch.path().join(left).exists(), "{left} is left");
    }
}

#[test]
fn a_prefix_of_its_own_works_and_another_libdir_is_checked() {
    let folder = private_folder();
    let install = |libdir: Option<&str>| {
        let mut install = Command::new(root().join("host/packaging/install"));
        install.env("BUILD", binary().parent().unwrap()).env("DESTDIR", folder.path()).env("PREFIX", "/opt/kvm");
        install.envs(libdir.map(|libdir| ("LIBDIR", libdir))).output().unwrap()
    };
    let made = install(None);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let list = run_with(&folder.path().join("opt/kvm/bin/vmdk2kvm"), &["plugin", "list"]).expect(0).json;
    let paths = named(&list["plugins"], "path");
    let plugins = folder.path().canonicalize().unwrap().join("opt/kvm/lib/vmdk2kvm/plugins");
    assert!(paths.iter().all(|path| Path::new(path).parent() == Some(&*plugins)), "{paths:?}");
    assert_eq!(paths.len(), bundle().values().map(BTreeSet::len).sum::<usize>());
    let shared = [
        "man/man1/vmdk2kvm.1.gz",
        "man/man7/vmdk2kvm-local.7.gz",
        "bash-completion/completions/vmdk2kvm",
        "doc/vmdk2kvm/PLUGINS.md",
    ];
    for file in shared {
        assert!(fs::metadata(folder.path().join("opt/kvm/share").join(file)).unwrap().len() > 100, "{file}");
    }

    let refused = install(Some("/opt/kvm/lib64"));
    let message = "install: the program was built without VMDK2KVM_PLUGIN_DIR=/opt/kvm/lib64/vmdk2kvm/plugins and would not look there\n";
    assert_eq!((refused.status.code(), text(&refused.stderr).as_str()), (Some(1), message));
}

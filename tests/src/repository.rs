//! What a user of the packages does: apt installs them from a repository into a clean Debian, and a guest is migrated there.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::bad::private_folder;
use crate::clean_root::{CleanRoot, done};
use crate::lab::lab;
use crate::program::{binary, workspace};

/// Makes the packages of a kind from what the tests run.
pub fn make_packages(kind: &str, out: &Path) {
    let mut make = Command::new(workspace().join("host/packaging/packages"));
    make.args([kind, out.to_str().unwrap()]).env("BUILD", binary().parent().unwrap());
    // How well they are packed is no matter here.
    done(make.envs([("DPKG_DEB_COMPRESSOR_TYPE", "gzip"), ("DPKG_DEB_COMPRESSOR_LEVEL", "1")]));
}

/// A folder of packages as a repository.
pub struct Repository {
    folder: PathBuf,
    kind: &'static str,
    keys: tempfile::TempDir,
}

impl Repository {
    /// Of the packages in a folder.
    pub fn new(kind: &'static str, folder: &Path) -> Self {
        Self { folder: folder.to_owned(), kind, keys: private_folder() }
    }

    /// Makes it, signed by a key that is made for it, or unsigned.
    pub fn make(&self, is_signed: bool) {
        const WHO: &str = "packages@vmdk2kvm.example";
        let mut make = Command::new(workspace().join("host/packaging/repository"));
        make.arg(self.kind).arg(&self.folder).env("GNUPGHOME", self.keys.path());
        if is_signed {
            let mut key = Command::new("gpg");
            key.args(["--batch", "--passphrase", "", "--quick-generate-key", WHO, "default", "sign", "never"]);
            done(key.env("GNUPGHOME", self.keys.path()));
            make.args(["--sign", WHO]);
        }
        done(&mut make);
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        // The agent that gpg has started for these keys.
        let _ = Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", self.keys.path()).status();
    }
}

/// A web server for a folder; gone when dropped.
pub struct WebServer {
    child: Child,
    url: String,
}

impl WebServer {
    /// Serves a folder to this machine.
    pub fn start(folder: &Path) -> Self {
        let mut server = Command::new("python3");
        server.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]).current_dir(folder);
        let mut child = server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("python3");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        // "Serving HTTP on 127.0.0.1 port 8000 (http://127.0.0.1:8000/) ..."
        let url = line.split(['(', ')']).nth(1).unwrap_or_else(|| panic!("{line}")).trim_end_matches('/').to_owned();
        Self { child, url }
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The packages of others that these need, without their versions.
fn needed_of_others(folder: &Path) -> BTreeSet<String> {
    let debs = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let depends = debs.filter(|path| path.extension().is_some_and(|ending| ending == "deb")).map(|deb| {
        let said = done(Command::new("dpkg-deb").arg("--field").arg(deb).arg("Depends"));
        said.trim().split(", ").map(|need| need.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    });
    depends.flatten().filter(|need| !need.is_empty() && !need.starts_with("vmdk2kvm")).collect()
}

/// The lines of the manual that name a repository to apt.
fn sources(url: &str) -> [String; 2] {
    let manual = fs::read_to_string(workspace().join("host/packaging/README.md")).unwrap();
    ["[trusted=yes]", "[signed-by="].map(|option| {
        let line = manual.lines().map(str::trim).find(|line| line.starts_with(&format!("deb {option}")));
        line.unwrap_or_else(|| panic!("host/packaging/README.md has no line with {option}"))
            .replace("https://packages.example/deb", url)
            + "\n"
    })
}

/// Installs everything by the name of one package in a clean Debian of this release, as the manual says, and migrates a guest there.
pub fn installs_and_migrates_on(suite: &str) {
    let out = private_folder();
    make_packages("deb", out.path());
    let needed = needed_of_others(out.path());
    let stock = needed.iter().flat_map(|package| ["--stock", package]);
    // A machine has a kernel, which starts the appliance as well.
    let words: Vec<&str> = ["--suite", suite].into_iter().chain(stock).chain(["linux-image-amd64"]).collect();
    let mut root = CleanRoot::new(&words);
    Repository::new("deb", &root.path("opt/lab/stock")).make(false);
    fs::write(root.path("etc/dpkg/dpkg.cfg.d/throw-away"), "force-unsafe-io\n").unwrap();
    fs::remove_dir_all(root.path("etc/apt/sources.list.d")).unwrap();
    fs::write(root.path("etc/apt/sources.list"), "deb [trusted=yes] file:/opt/lab/stock ./\n").unwrap();
    fs::create_dir_all(root.path("etc/apt/sources.list.d")).unwrap();

    let (server, repository) = (WebServer::start(out.path()), Repository::new("deb", out.path()));
    let [unsigned, signed] = sources(&server.url);
    let list = root.path("etc/apt/sources.list.d/vmdk2kvm.list");
    repository.make(false);
    fs::write(&list, format!("deb {} ./\n", server.url)).unwrap();
    assert!(!root.run(&["apt-get", "update"]).status.success(), "an unsigned repository is taken for a signed one");
    fs::write(&list, unsigned).unwrap();
    root.done(&["apt-get", "update"]);
    repository.make(true);
    fs::write(&list, signed).unwrap();
    assert!(!root.run(&["apt-get", "update"]).status.success(), "nobody has told apt of the key");
    fs::create_dir_all(root.path("etc/apt/keyrings")).unwrap();
    fs::copy(out.path().join("vmdk2kvm.asc"), root.path("etc/apt/keyrings/vmdk2kvm.asc")).unwrap();
    root.done(&["apt-get", "update"]);
    root.done(&["apt-get", "install", "-y", "vmdk2kvm-bundle"]);
    for compiler in ["cc", "gcc", "clang", "rustc", "cargo"] {
        assert!(!root.path("usr/bin").join(compiler).exists(), "{compiler} is there");
    }

    let ask = |root: &CleanRoot, words: &[&str]| -> Value {
        serde_json::from_str(&root.done(&[&["vmdk2kvm", "--json"], words].concat())).unwrap()
    };
    let list = ask(&root, &["plugin", "list"]);
    assert_eq!(list["not_installed"].as_array().unwrap().len(), 0, "{list:#}");
    // Programs that no package of Debian has.
    let is_whole = |row: &Value| {
        row["problem"].is_null() || ["ovftool", "vsphere-govc", "vddk"].iter().any(|name| row["name"] == *name)
    };
    assert!(list["plugins"].as_array().unwrap().iter().all(is_whole), "{list:#}");

    let guest = lab("bookworm-bios");
    root.mount(&guest.folder.join("sparse"), "srv/guest");
    for of_the_machine in ["dev", "sys"] {
        root.mount(&Path::new("/").join(of_the_machine), of_the_machine);
    }
    let report = ask(&root, &["migrate", &format!("/srv/guest/{}.vmx", guest.name), "-o", "/srv/out"]);
    assert_eq!((&report["test"]["verdict"], &report["converged"]), (&"passed".into(), &true.into()), "{report:#}");
    assert!(root.path("srv/out/report.html").is_file());
}

//! The packages as a user meets them: in repositories that apt and dnf read. Debian 13 is tested by `tests/run --full`.
//!
//! Needs root, dpkg-dev, apt-utils, createrepo-c, dnf, gnupg, rpm, python3, mmdebstrap, tar, zstd and unshare.

use std::process::Command;

use vmdk2kvm_tests::{Repository, installs_and_migrates_on, make_packages, private_folder};

/// On the release that the packages are built on: an older one lacks the C library that they want.
#[test]
fn everything_is_installed_on_this_release_and_migrates_a_guest_there() {
    let release = std::fs::read_to_string("/etc/os-release").unwrap();
    let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap();
    installs_and_migrates_on(suite);
}

#[test]
fn dnf_reads_the_repository_and_its_signature() {
    let (out, cache) = (private_folder(), private_folder());
    make_packages("rpm", out.path());
    let repository = Repository::new("rpm", out.path());
    repository.make(false);
    repository.make(true);
    let url = format!("file://{}", out.path().display());
    let query = |name: &str| {
        let mut dnf = Command::new("dnf");
        dnf.args([
            "--quiet",
            "--assumeyes",
            "--releasever=1",
            "--disablerepo=*",
            "--repofrompath",
            &format!("vmdk2kvm,{url}"),
        ]);
        dnf.args(["--setopt=vmdk2kvm.repo_gpgcheck=1", &format!("--setopt=vmdk2kvm.gpgkey={url}/vmdk2kvm.asc")]);
        dnf.arg("--setopt").arg(format!("cachedir={}", cache.path().join(name).display()));
        dnf.args(["repoquery", "--requires", "vmdk2kvm-bundle"])
            .env("HOME", cache.path())
            .output()
            .expect("dnf (package dnf)")
    };
    let found = query("first");
    let (said, problem) = (String::from_utf8_lossy(&found.stdout), String::from_utf8_lossy(&found.stderr));
    assert!(said.lines().any(|line| line == "vmdk2kvm-plugin-linux = 0.1.0"), "{said}{problem}");
    // Somebody else changes what was signed: dnf then knows no such package.
    let index = out.path().join("repodata/repomd.xml");
    let changed = std::fs::read_to_string(&index).unwrap() + "<!-- -->\n";
    std::fs::write(&index, changed).unwrap();
    let found = query("again");
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "an index that does not fit its signature is read");
}

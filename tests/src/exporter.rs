//! A site whose VMs can also be exported by a program: the fake of ovftool (tests/ovftool-fake), and runs of the program that find it.

use std::process::Command;

use serde_json::{Value, json};

use crate::{Site, binary};

/// A site with the fake beside it.
pub struct Exporter {
    /// The site.
    pub site: Site,
    /// The fake's folder.
    folder: tempfile::TempDir,
    /// What it knows.
    all: Value,
}

impl Exporter {
    /// One that exports a VM, whose disks are these files of the datastore.
    pub fn new(site: Site, vm: &str, files: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let built = binary().with_file_name("ovftool-fake");
        std::fs::copy(&built, folder.path().join("ovftool"))
            .unwrap_or_else(|error| panic!("{}: {error}", built.display()));
        let file = |name: &str| std::fs::read_to_string(site.lab.fact(name)).unwrap().trim().to_owned();
        let disks: Vec<Value> = site.vms(&format!("/{vm}"))[0]["disks"]
            .as_array()
            .unwrap()
            .iter()
            .zip(files)
            .map(|(disk, raw)| {
                json!({"raw": site.lab.datastore().join(raw), "controller": disk["controller"], "bus": disk["bus"], "unit": disk["unit"],
                    "bytes": disk["capacity_bytes"]})
            })
            .collect();
        let all = json!({"server": site.lab.fact("address"), "sha1": site.lab.fact("thumbprint_sha1"), "user": file("user_file"),
            "password": file("password_file"), "vms": {site.lab.moref(vm): disks}});
        let exporter = Self { site, folder, all };
        exporter.set(&json!({}));
        exporter
    }

    /// Sets its ways: `human`, `fault`.
    pub fn set(&self, more: &Value) {
        let mut all = self.all.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        std::fs::write(self.folder.path().join("ovftool.json"), all.to_string()).unwrap();
    }

    /// The password of the site.
    pub fn password(&self) -> &str {
        self.all["password"].as_str().unwrap()
    }

    /// A run of the program, to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.site.command(arguments);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.folder.path().display()));
        command
    }

    /// Every run of the fake.
    pub fn runs(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

//! Disks by ovftool, of which there is a fake alone (`tests/ovftool-fake`), from the lab's vCenter and ESXi host (tests/vcsim). Small disks, read without an
//! appliance.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::process::Command;

use serde_json::{Value, json};
use vmdk2kvm_tests::{By, Outcome, Planted, Running, Site, digest, names, vm};

/// A VM that is off, with two disks.
fn pair() -> Value {
    let mut pair = vm("pair", "", false);
    pair["disks"] =
        json!([{"file": "one.raw", "controller": "pvscsi", "unit": 1}, {"file": "two.raw", "controller": "sata"}]);
    pair
}

/// A site with that VM, and the program that exports it.
struct Exporter {
    site: Site,
    folder: tempfile::TempDir,
    all: Value,
}

impl Exporter {
    fn new(flags: &[&str]) -> Self {
        let site = Site::new(By::Soap, &[pair()], flags);
        let folder = tempfile::tempdir().unwrap();
        let built = vmdk2kvm_tests::binary().with_file_name("ovftool-fake");
        std::fs::copy(&built, folder.path().join("ovftool"))
            .unwrap_or_else(|error| panic!("{}: {error}", built.display()));
        let file = |name: &str| std::fs::read_to_string(site.lab.fact(name)).unwrap().trim().to_owned();
        let disks: Vec<Value> = site.vms("/pair")[0]["disks"]
            .as_array()
            .unwrap()
            .iter()
            .zip(["one.raw", "two.raw"])
            .map(|(disk, raw)| {
                json!({"raw": site.lab.datastore().join(raw), "controller": disk["controller"], "bus": disk["bus"], "unit": disk["unit"],
                    "bytes": disk["capacity_bytes"]})
            })
            .collect();
        let all = json!({"server": site.lab.fact("address"), "sha1": site.lab.fact("thumbprint_sha1"), "user": file("user_file"),
            "password": file("password_file"), "vms": {site.lab.moref("pair"): disks}});
        let exporter = Self { site, folder, all };
        exporter.set(&json!({}));
        exporter
    }

    /// Sets its ways: `human`, `fault`.
    fn set(&self, more: &Value) {
        let mut all = self.all.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        std::fs::write(self.folder.path().join("ovftool.json"), all.to_string()).unwrap();
    }

    fn command(&self, output: &str, options: &[&str]) -> Command {
        let (uri, out) = (self.site.lab.uri("/pair", ""), self.site.results.path().join(output));
        let arguments =
            [&["flatten", &uri, "-o", out.to_str().unwrap(), "--format", "raw", "--transport", "ovftool"], options];
        let mut command = self.site.command(&arguments.concat());
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.folder.path().display()));
        command
    }

    fn run(&self, output: &str) -> Outcome {
        Running::start(self.command(output, &["--set", "plugin.ovftool.patience=5"])).end()
    }

    /// Every run of it.
    fn runs(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    fn is_right(&self, output: &str) {
        self.has_images(output);
        self.site.nothing_is_left();
    }

    #[track_caller]
    fn has_images(&self, output: &str) {
        let folder = self.site.results.path().join(output);
        let images = names(&folder).into_iter().filter(|name| name.ends_with(".raw"));
        let images: Vec<String> = images.map(|name| digest(&folder.join(name))).collect();
        let truth = ["one.raw", "two.raw"].map(|name| digest(&self.site.lab.datastore().join(name)));
        assert_eq!(images, truth);
    }
}

#[test]
fn a_vm_is_exported_once_for_all_of_its_disks() {
    for (flags, human) in [(&[][..], false), (&["-esx"], true)] {
        let exporter = Exporter::new(flags);
        exporter.set(&json!({"human": human}));
        let outcome = exporter.run("out").expect(0);
        for way in outcome.json["ways"].as_array().unwrap() {
            assert_eq!((&way["scheme"], &way["plugin"]), (&json!("ovf-export"), &json!("ovftool 0.1.0")));
        }
        exporter.is_right("out");
        let runs = exporter.runs();
        assert_eq!(runs.len(), 1, "{runs:#?}");
        let calls = exporter.site.lab.state()["stats"]["calls"]["AcquireCloneTicket"].as_u64().unwrap_or_default();
        // A host gives no tickets: it is told the password, on a terminal.
        assert_eq!(calls, if flags.is_empty() { 1 } else { 0 });
        let password = Planted(exporter.all["password"].as_str().unwrap());
        assert!(!password.is_in(runs[0].to_string()) && !password.is_in(outcome.json.to_string()));
        assert!(!password.is_in(&outcome.stderr));
        assert!(password.look_into(exporter.site.results.path()) > 0);
        let kept = ["PATH", "HOME", "TMPDIR", "LC_ALL"];
        let environment = runs[0]["environment"].as_array().unwrap();
        assert!(environment.iter().all(|name| kept.contains(&name.as_str().unwrap())), "{environment:?}");
    }
}

#[test]
fn only_a_whole_export_is_taken() {
    let exporter = Exporter::new(&[]);
    for (fault, code, sentence) in [
        ("certificate", 77, "exporting pair: ovftool did not export the VM: SSL error: certificate verify failed"),
        ("login", 77, "exporting pair: ovftool did not export the VM: Failed to login with the session ticket"),
        ("half", 74, "exporting pair: ovftool did not export the VM: Lost connection to the server"),
        ("lies", 74, "exporting pair: ovftool did not export the VM: it ended with status 0"),
        ("hang", 75, "exporting pair: ovftool has said nothing for 5 s, and was ended"),
        ("digest", 74, "what ovftool exported is not whole: vm-disk1.vmdk has another digest than its manifest says"),
        ("missing disk", 74, "what ovftool exported is not whole: vm-disk1.vmdk is missing"),
        ("no manifest", 74, "what ovftool exported is not whole: it has no manifest"),
    ] {
        exporter.set(&json!({"fault": fault}));
        let failed = exporter.run("out").expect(code);
        assert!(failed.message().contains(sentence) && !failed.hint().is_empty(), "{fault}: {}", failed.message());
        exporter.site.nothing_is_left();
    }
    // What is no text does no harm.
    exporter.set(&json!({"fault": "garbage"}));
    exporter.run("out").expect(0);
    exporter.is_right("out");
}

#[test]
fn a_host_that_wants_another_password_is_told_it_once() {
    let exporter = Exporter::new(&["-esx"]);
    exporter.set(&json!({"fault": "login"}));
    let failed = exporter.run("out").expect(77);
    assert!(failed.message().ends_with("ovftool asks for the password again"), "{}", failed.message());
    assert_eq!(failed.hint(), "look at the file of --password-file");
    exporter.site.nothing_is_left();
}

#[test]
fn what_was_whole_is_not_exported_again() {
    let exporter = Exporter::new(&[]);
    let out = exporter.site.results.path().join("out");
    let mut run = Running::start(exporter.command("out", &[]));
    run.wait_until("the export is whole", |_| {
        names(&out).iter().any(|name| name.ends_with("/whole") || name.ends_with("disk.state"))
    });
    run.kill("worker-process");
    run.end().expect(75);
    exporter.run("out").expect(0);
    // The session of what was killed dies of its age.
    exporter.has_images("out");
    assert_eq!(exporter.runs().len(), 1);
}

#[test]
fn it_is_the_last_choice_and_says_what_it_lacks() {
    let exporter = Exporter::new(&[]);
    let ways = &exporter.site.vms("/pair")[0]["disks"][0]["ways"];
    let schemes: Vec<&str> = ways.as_array().unwrap().iter().map(|way| way["scheme"].as_str().unwrap()).collect();
    assert_eq!(schemes, ["datastore-file", "nfc-lease", "ovf-export", "vsphere-disk"]);
    let mut command = exporter.command("out", &[]);
    command.env("PATH", "/usr/bin:/bin");
    let missing = Running::start(command).end().expect(69);
    assert_eq!(missing.message(), "the program ovftool is not on this machine");
    assert!(missing.hint().contains("plugin.ovftool.program"), "{}", missing.hint());
    // What only looks reads no stream.
    let uri = exporter.site.lab.uri("/pair", "");
    let refused = exporter.site.run(&["plan", &uri, "--transport", "ovftool"]).expect(69);
    assert!(refused.message().contains("it can only be read as a stream"), "{}", refused.message());
    assert!(exporter.runs().is_empty());
}

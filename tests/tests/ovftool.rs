//! Disks by ovftool, of which there is a fake alone (`tests/ovftool-fake`), from the lab's vCenter and ESXi host (tests/vcsim). Small disks, read without an
//! appliance.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::ops::Deref;
use std::process::Command;

use serde_json::{Value, json};
use vmdk2kvm_tests::{By, Exporter, Outcome, Planted, Running, Site, digest, names, vm};

/// A VM that is off, with two disks.
fn pair() -> Value {
    let mut pair = vm("pair", "", false);
    pair["disks"] =
        json!([{"file": "one.raw", "controller": "pvscsi", "unit": 1}, {"file": "two.raw", "controller": "sata"}]);
    pair
}

/// A site with that VM, and the program that exports it.
struct Bench(Exporter);

impl Bench {
    fn new(flags: &[&str]) -> Self {
        Self(Exporter::new(Site::new(By::Soap, &[pair()], flags), "pair", &["one.raw", "two.raw"]))
    }

    fn command(&self, output: &str, options: &[&str]) -> Command {
        let (uri, out) = (self.site.lab.uri("/pair", ""), self.site.results.path().join(output));
        let arguments =
            [&["flatten", &uri, "-o", out.to_str().unwrap(), "--format", "raw", "--transport", "ovftool"], options];
        self.0.command(&arguments.concat())
    }

    fn run(&self, output: &str) -> Outcome {
        Running::start(self.command(output, &["--set", "plugin.ovftool.patience=5"])).end()
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

impl Deref for Bench {
    type Target = Exporter;

    fn deref(&self) -> &Exporter {
        &self.0
    }
}

#[test]
fn a_vm_is_exported_once_for_all_of_its_disks() {
    for (flags, human) in [(&[][..], false), (&["-esx"], true)] {
        let exporter = Bench::new(flags);
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
        let password = Planted(exporter.password());
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
    let exporter = Bench::new(&[]);
    for (fault, code, sentence) in [
        ("certificate", 77, "exporting pair: ovftool did not export the VM: SSL error: certificate verify failed"),
        ("login", 77, "exporting pair: ovftool did not export the VM: Failed to login with the session ticket"),
        ("half", 74, "exporting pair: ovftool did not export the VM: Lost connection to the server"),
        ("lies", 74, "exporting pair: ovftool did not export the VM: it ended with status 0"),
        ("hang", 75, "exporting pair: ovftool has said nothing for 5 s, and was ended"),
        ("digest", 74, "ovftool's export is incomplete: vm-disk1.vmdk has another digest than its manifest says"),
        ("missing disk", 74, "ovftool's export is incomplete: vm-disk1.vmdk is missing"),
        ("no manifest", 74, "ovftool's export is incomplete: it has no manifest"),
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
    let exporter = Bench::new(&["-esx"]);
    exporter.set(&json!({"fault": "login"}));
    let failed = exporter.run("out").expect(77);
    assert!(failed.message().ends_with("ovftool asks for the password again"), "{}", failed.message());
    assert_eq!(failed.hint(), "look at the file of --password-file");
    exporter.site.nothing_is_left();
}

#[test]
fn what_was_whole_is_not_exported_again() {
    let exporter = Bench::new(&[]);
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
    let exporter = Bench::new(&[]);
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

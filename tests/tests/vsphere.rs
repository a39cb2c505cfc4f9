//! VMs of a vCenter and of an ESXi host: the lab's (tests/vcsim), by its SOAP API and `/folder`. Small disks, read without an appliance; needs Go for the
//! first build of the lab.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use vmdk2kvm_tests::{Outcome, Running, Vcenter, binary, digest, names};

/// The lab's password, which nobody else has.
const PASSWORD: &str = "lab-P4ss <&>\"'";
/// Bytes of a disk.
const DISK: usize = 24 << 20;
/// Names that have to be escaped somewhere.
const ODD: [&str; 5] = ["old & odd", "100% ä", "a?b#c", "50%2 'x", "a/b"];

/// Writes a disk whose bytes do not repeat, but for a hole in its middle.
fn write_disk(path: &Path, seed: u64) {
    let mut state = seed;
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(DISK / 8)
    .flatten()
    .collect();
    bytes[DISK / 2..DISK / 2 + (4 << 20)].fill(0);
    std::fs::write(path, bytes).unwrap();
}

/// A VM with one disk.
fn vm(name: &str, folder: &str, running: bool) -> Value {
    json!({"name": name, "folder": folder, "guest_id": "debian12_64Guest", "running": running, "cpus": 2, "memory_mb": 1024,
        "disks": [{"file": format!("{}.raw", file(name, folder)), "controller": "pvscsi"}],
        "nics": [{"model": "vmxnet3", "mac": "00:50:56:aa:bb:cc", "network": "prod & net"}]})
}

fn file(name: &str, folder: &str) -> String {
    format!("{:x}", Sha256::digest(format!("{folder}/{name}")))[..12].to_owned()
}

/// A vCenter with these VMs, their disks, and a folder for results.
struct Site {
    lab: Vcenter,
    results: tempfile::TempDir,
}

impl Site {
    fn new(vms: &[Value], flags: &[&str]) -> Self {
        let lab = Vcenter::start(&json!(vms), flags, |datastore| {
            for (seed, vm) in (1..).zip(vms) {
                for disk in vm["disks"].as_array().unwrap() {
                    write_disk(&datastore.join(disk["file"].as_str().unwrap()), seed);
                }
            }
        });
        Self { lab, results: tempfile::tempdir().unwrap() }
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut all = Command::new(binary());
        all.args(arguments)
            .args(["--password-file", self.lab.password_file()])
            .env("XDG_STATE_HOME", self.results.path().join("state"));
        Running::start(all).end()
    }

    /// `flatten` of what is at a path, into a folder of this name.
    fn flatten(&self, path: &str, more: &str, output: &str, options: &[&str]) -> Outcome {
        let (uri, out) = (self.lab.uri(path, more), self.results.path().join(output));
        self.run(&[&["flatten", &uri, "-o", out.to_str().unwrap(), "--format", "raw"], options].concat())
    }

    /// What the guest sees, as digest.
    fn truth(&self, vm: &str, more: &str) -> String {
        let name: String = vm.bytes().map(|byte| format!("%{byte:02x}")).collect();
        format!("{:x}", Sha256::digest(self.lab.control("GET", &format!("/content?vm={name}&disk=0{more}"), b"")))
    }

    /// The digest of the raw image in the folder of this name.
    fn sha256(&self, output: &str) -> String {
        let made = names(&self.results.path().join(output)).into_iter().find(|name| name.ends_with(".raw")).unwrap();
        digest(&self.results.path().join(output).join(made))
    }

    /// Nothing is left at the source.
    #[track_caller]
    fn nothing_is_left(&self) {
        let state = self.lab.state();
        assert_eq!((&state["sessions"], &state["leases"], &state["snapshots"]), (&json!(0), &json!(0), &json!({})));
    }

    fn vms(&self, path: &str) -> Vec<Value> {
        let listed = self.run(&["inventory", &self.lab.uri(path, "")]).expect(0).json;
        listed["vms"].as_array().unwrap().clone()
    }
}

/// A path of a URI for a VM below the folder of VMs.
fn path(names: &[&str]) -> String {
    let escaped = |name: &&str| name.replace('%', "%25").replace('?', "%3f").replace('#', "%23").replace('/', "%2f");
    format!("/{}", names.iter().map(escaped).collect::<Vec<_>>().join("/"))
}

#[test]
fn every_vm_is_listed_and_found_whatever_its_name() {
    let mut vms: Vec<Value> = ODD.iter().map(|name| vm(name, "prod & test", false)).collect();
    vms.push(vm("twin", "one", false));
    vms.push(vm("other", "", true));
    for flags in [&[][..], &["-esx"]] {
        let site = Site::new(&vms, flags);
        let listed = site.vms("");
        let names: BTreeSet<&str> = listed.iter().map(|vm| vm["name"].as_str().unwrap()).collect();
        assert_eq!(names, ODD.into_iter().chain(["twin", "other"]).collect());
        let running = listed.iter().find(|vm| vm["name"] == "other").unwrap();
        assert_eq!(
            (&running["power"], &running["snapshots"], &running["concerns"][0]["code"]),
            (&json!("on"), &json!(0), &json!("vm-running"))
        );
        assert_eq!((&running["datastores"], &running["memory_bytes"]), (&json!(["datastore1"]), &json!(1 << 30)));
        assert_eq!(running["moref"], site.lab.moref("other"));
        for vm in &listed {
            assert_eq!(
                (&vm["disks"][0]["capacity_bytes"], &vm["nics"][0]["network"]),
                (&json!(DISK), &json!("prod & net"))
            );
            // What is listed as a path names the VM again.
            let again = site.vms(vm["path"].as_str().unwrap());
            assert_eq!((again.len(), &again[0]["moref"]), (1, &vm["moref"]), "{}", vm["path"]);
        }
        for name in ODD {
            let outcome = site.flatten(&path(&[name]), "", &file(name, ""), &[]).expect(0);
            assert_eq!(site.sha256(&file(name, "")), site.truth(name, ""), "{name}");
            assert_eq!(outcome.json["ways"][0]["plugin"], "vsphere-http 0.1.0");
        }
        site.nothing_is_left();
        let missing = site.flatten("/nosuch", "", "none", &[]).expect(65);
        assert_eq!(missing.message(), format!("{} has no VM 'nosuch' (vm-not-found)", site.lab.fact("address")));
        site.nothing_is_left();
    }
}

#[test]
fn a_vm_that_runs_needs_a_word_and_gets_its_snapshot_back() {
    for flags in [&[][..], &["-esx"]] {
        let site = Site::new(&[vm("web", "", true)], flags);
        let refused = site.flatten("/web", "", "refused", &[]).expect(81);
        assert_eq!(refused.message(), "web runs, and reading its disks needs a snapshot (vm-running)");
        assert_eq!(refused.hint(), "allow that with --snapshot, or a shut-down with --power-off");
        site.nothing_is_left();
        let truth = site.truth("web", "");
        let outcome = site.flatten("/web", "", "taken", &["--snapshot", "--enable-cbt"]).expect(0);
        assert_eq!(site.sha256("taken"), truth);
        let held = outcome.json["source"]["held"].to_string();
        assert!(
            held.contains("change tracking of web was turned on") && held.contains("snapshot \\\"vmdk2kvm "),
            "{held}"
        );
        site.nothing_is_left();
        assert_eq!(site.vms("/web")[0]["change_tracking"], false, "it was off before");
    }
}

#[test]
fn a_chain_of_snapshots_is_flattened_while_it_is_fetched() {
    let mut chained = vm("chain", "", false);
    chained["snapshots"] = json!(["before", "later"]);
    let site = Site::new(&[chained], &[]);
    site.lab.control("POST", "/write?vm=chain&disk=0&offset=1048576", &[7; 1 << 20]);
    site.flatten("/chain", "", "now", &[]).expect(0);
    assert_eq!(site.sha256("now"), site.truth("chain", ""));
    site.flatten("/chain", "?snapshot=before", "older", &[]).expect(0);
    assert_eq!(site.sha256("older"), site.truth("chain", "&snapshot=before"));
    assert_ne!(site.sha256("older"), site.sha256("now"));
    let state = site.lab.state();
    assert_eq!((&state["sessions"], &state["snapshots"]["chain"]), (&json!(0), &json!(["before", "later"])));
}

#[test]
fn what_goes_wrong_on_the_way_is_overcome() {
    let site = Site::new(&[vm("web", "", false)], &[]);
    let truth = site.truth("web", "");
    for (number, fault) in [
        json!({"path": "-flat", "kind": "401", "skip": 2}),
        json!({"path": "-flat", "kind": "503", "skip": 1, "count": 3}),
        json!({"path": "-flat", "kind": "drop", "after": 100_000, "skip": 2, "count": 2}),
        json!({"path": "-flat", "kind": "drop", "after": 0, "skip": 1}),
        json!({"path": "-flat", "kind": "short", "count": 4}),
        json!({"path": "/sdk", "kind": "503", "skip": 3, "count": 2}),
        json!({"method": "RetrievePropertiesEx", "fault": "NotAuthenticated", "skip": 1}),
    ]
    .into_iter()
    .enumerate()
    {
        site.lab.fault(&fault);
        site.flatten("/web", "", &format!("{number}"), &[]).expect(0);
        assert_eq!(site.sha256(&number.to_string()), truth, "{fault}");
        let state = site.lab.state();
        assert_eq!((&state["pending_faults"], &state["sessions"]), (&json!(0), &json!(0)), "{fault}");
        assert!(state["stats"]["peak"].as_u64().unwrap() <= 4, "{state}");
    }
}

#[test]
fn what_cannot_be_overcome_has_its_code_and_its_sentence() {
    let site = Site::new(&[vm("web", "", true), vm("web2", "", false)], &[]);
    let server = site.lab.fact("address").to_owned();
    for (fault, vm, code, sentence) in [
        (json!({"method": "Login", "fault": "InvalidLogin"}), "web2", 77, "refuses it with InvalidLogin"),
        (
            json!({"method": "CreateSnapshot_Task", "task": true, "fault": "InsufficientResourcesFault"}),
            "web",
            75,
            "making a snapshot of web: ",
        ),
        (json!({"method": "CreateSnapshot_Task", "fault": "NoPermission"}), "web", 77, "refuses it with NoPermission"),
        (
            json!({"method": "CreateSnapshot_Task", "fault": "RestrictedVersion"}),
            "web",
            77,
            "refuses it with RestrictedVersion",
        ),
        (json!({"path": "-flat", "kind": "404"}), "web2", 65, "web2-flat.vmdk: it is not there"),
        (json!({"path": "-flat", "kind": "403"}), "web2", 77, "does not let this user read it (HTTP 403 Forbidden)"),
    ] {
        site.lab.fault(&fault);
        let outcome = site.flatten(&format!("/{vm}"), "", "out", &["--snapshot"]).expect(code);
        assert!(
            outcome.message().contains(sentence) && !outcome.hint().is_empty(),
            "{fault}: {} {}",
            outcome.message(),
            outcome.hint()
        );
        site.nothing_is_left();
    }
    let uri = site.lab.uri("/web2", "").replace(site.lab.fact("thumbprint_sha256"), &"00:".repeat(32)[..95]);
    let changed = site.run(&["inventory", &uri]).expect(77);
    assert!(
        changed.message().starts_with(&format!("{server} shows another certificate than the pinned 00:")),
        "{}",
        changed.message()
    );
    assert!(changed.message().contains(site.lab.fact("thumbprint_sha256")), "{}", changed.message());
    let unknown = site.run(&["inventory", uri.split('?').next().unwrap()]).expect(77);
    let sentence = format!(
        "nobody vouches for the certificate of {server}, whose SHA-256 is {} (thumbprint-unknown)",
        site.lab.fact("thumbprint_sha256")
    );
    assert_eq!(unknown.message(), sentence);
    assert!(unknown.hint().contains("?thumbprint="), "{}", unknown.hint());
}

#[test]
fn a_snapshot_that_cannot_be_removed_is_told_and_removed_later() {
    let site = Site::new(&[vm("web", "", true)], &[]);
    site.lab.fault(&json!({"method": "RemoveSnapshot_Task", "task": true, "fault": "FileFault", "count": 4}));
    let outcome = site.flatten("/web", "", "out", &["--snapshot"]).expect(0);
    let warnings = outcome.json["warnings"].to_string();
    assert!(warnings.contains("removing the snapshot") && warnings.contains("`vmdk2kvm release "), "{warnings}");
    assert_eq!(site.lab.state()["snapshots"]["web"].as_array().unwrap().len(), 1);
    site.run(&["release", site.results.path().join("out").to_str().unwrap()]).expect(0);
    site.nothing_is_left();
}

#[test]
fn two_vms_of_one_name_are_told_apart() {
    let twin = |folder: &str| {
        let mut twin = vm("twin", folder, false);
        twin["files"] = format!("twin-{folder}").into();
        twin
    };
    let site = Site::new(&[twin("one"), twin("two")], &[]);
    let refused = site.flatten("/twin", "", "none", &[]).expect(65);
    assert!(refused.message().contains("several VMs 'twin': /DC0/vm/one/twin (vm-"), "{}", refused.message());
    assert!(
        refused.message().ends_with("(vm-ambiguous)") && refused.hint().contains("?moref="),
        "{}",
        refused.message()
    );
    assert_eq!((site.vms("/DC0/vm/two/twin").len(), site.vms("/twin").len()), (1, 2));
    for folder in ["one", "two"] {
        site.flatten(&format!("/DC0/vm/{folder}/twin"), "", folder, &[]).expect(0);
        let disk = site.lab.datastore().join(format!("{}.raw", file("twin", folder)));
        assert_eq!(site.sha256(folder), digest(&disk), "{folder}");
    }
    site.nothing_is_left();
}

#[test]
fn the_password_is_nowhere() {
    let site = Site::new(&[vm("web", "", true)], &["-latency", "20ms"]);
    let out = site.results.path().join("out");
    let uri = site.lab.uri("/web", "");
    let mut all = Command::new(binary());
    all.args(["flatten", &uri, "-o", out.to_str().unwrap(), "--snapshot", "--log-level", "trace"]);
    all.args(["--password-file", site.lab.password_file()]).env("XDG_STATE_HOME", site.results.path().join("state"));
    let mut run = Running::start(all);
    let mut looks = 0;
    while !run.has_ended() {
        for process in std::fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
            for member in ["cmdline", "environ"] {
                let text = std::fs::read(process.path().join(member)).unwrap_or_default();
                assert!(!holds(&text), "{}/{member}", process.path().display());
            }
        }
        looks += 1;
    }
    assert!(looks > 1);
    let events = serde_json::to_vec(&run.events()).unwrap();
    let outcome = run.end().expect(0);
    assert!(!holds(&events) && !holds(outcome.stderr.as_bytes()) && !holds(outcome.json.to_string().as_bytes()));
    let mut folders = vec![site.results.path().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert!(!holds(&std::fs::read(&path).unwrap_or_default()), "{}", path.display());
                files += 1;
            }
        }
    }
    assert!(files > 0);
    site.nothing_is_left();
}

/// Whether bytes hold the password, as it is or as JSON, XML or a URI writes it.
fn holds(bytes: &[u8]) -> bool {
    // Every form of it begins so.
    let beginning = &PASSWORD.as_bytes()[..8];
    bytes.windows(beginning.len()).any(|window| window == beginning)
}

#[test]
fn after_a_crash_the_next_run_goes_on_with_the_same_snapshot() {
    let site = Site::new(&[vm("web", "", true)], &["-rate", "4000000"]);
    let truth = site.truth("web", "");
    let (out, uri) = (site.results.path().join("out"), site.lab.uri("/web", ""));
    let arguments = [
        "flatten",
        &uri,
        "-o",
        out.to_str().unwrap(),
        "--snapshot",
        "--format",
        "raw",
        "--password-file",
        site.lab.password_file(),
    ];
    let start = || {
        let mut all = Command::new(binary());
        all.args(arguments).env("XDG_STATE_HOME", site.results.path().join("state"));
        Running::start(all)
    };
    let mut run = start();
    run.wait_for("bytes", |event| event["event"] == "progress" && event["done_bytes"].as_u64().unwrap_or_default() > 0);
    run.kill("worker-process");
    run.end().expect(75);
    let left = site.lab.state()["snapshots"]["web"].clone();
    assert_eq!(left.as_array().unwrap().len(), 1);
    start().end().expect(0);
    assert_eq!(site.sha256("out"), truth);
    assert_eq!(site.lab.state()["snapshots"], json!({}));
    assert_eq!(site.lab.state()["stats"]["calls"]["CreateSnapshot_Task"], 1);
}

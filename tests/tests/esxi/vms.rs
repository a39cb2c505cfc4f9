//! What a host has, what is read of it, what is taken there and given back, and which host is believed.

use serde_json::{Value, json};
use vmdk2kvm_tests::{Esxi, Running};

use crate::{content, one, sha256};

/// Names that have to be quoted somewhere.
const ODD: [&str; 4] = ["web", "it's & $(odd)", "100% ä ?#", "two  blanks; `x`"];

#[test]
fn every_vm_is_listed_and_read_whatever_its_name() {
    let host = Esxi::start();
    let mut truth = Vec::new();
    for (seed, name) in (1..).zip(ODD) {
        let bytes = content(seed);
        let disk = host.flat(name, name, &bytes);
        truth.push((host.add(name, if seed == 2 { "on" } else { "off" }, &[&disk], ""), sha256(&bytes)));
    }
    let listed = host.run(&["inventory", &host.uri("")]).expect(0).json;
    let vms = listed["vms"].as_array().unwrap();
    assert_eq!(vms.len(), ODD.len());
    for name in ODD {
        let vm = vms.iter().find(|vm| vm["name"] == name).unwrap_or_else(|| panic!("{name}: {listed:#}"));
        assert_eq!(vm["path"], format!("/vmfs/volumes/ds 1/{name}/{name}.vmx"));
        let disk = &vm["disks"][0];
        assert_eq!(
            (&disk["capacity_bytes"], &disk["ways"][0]["scheme"]),
            (&json!((9 << 20) + 3 * 512), &json!("ssh-file"))
        );
        assert_eq!(
            (&vm["datastores"], &vm["memory_bytes"], &vm["snapshots"]),
            (&json!(["ds 1"]), &json!(1 << 30), &json!(0))
        );
        let codes: Vec<&Value> = vm["concerns"].as_array().unwrap().iter().map(|it| &it["code"]).collect();
        assert_eq!(codes, if name == ODD[1] { vec!["vm-running"] } else { vec![] });
    }
    for (number, ((vmx, truth), name)) in truth.iter().zip(ODD).enumerate().filter(|(number, _)| *number != 1) {
        let output = format!("by-path-{number}");
        let outcome = host.flatten(vmx, &output, &[]).expect(0);
        assert_eq!(host.image(&output), *truth, "{name}");
        let way = &outcome.json["ways"][0];
        assert_eq!((&way["scheme"], &way["plugin"]), (&json!("ssh-file"), &json!("ssh 0.1.0")));
        assert!(
            way["reason"].as_str().unwrap().contains("vsphere:// with files by HTTPS or a lease is faster"),
            "{way}"
        );
        host.flatten("", &format!("by-name-{number}"), &["--vm", name]).expect(0);
        assert_eq!(host.image(&format!("by-name-{number}")), *truth, "{name}");
    }
    // By the id of the datastore, as the host itself writes paths.
    host.flatten(&truth[0].0.replace("ds 1", "5e00aa11-bb22cc33-dd44-001122334455"), "by-id", &[]).expect(0);
    assert_eq!(host.image("by-id"), truth[0].1);
    let commands = host.commands();
    assert!(host.log().iter().all(|entry| !entry["bad"].to_string().contains("refused")), "{commands:#?}");
    assert!(host.peak() <= 4, "{}", host.peak());
    let missing = host.flatten("", "none", &["--vm", "nosuch"]).expect(65);
    assert!(missing.message().ends_with("has no VM 'nosuch' (vm-not-found)"), "{}", missing.message());
    let unnamed = host.flatten("", "none", &[]).expect(65);
    assert!(unnamed.message().contains("(vm-ambiguous); it has /vmfs/volumes/ds 1/"), "{}", unnamed.message());
}

#[test]
fn a_chain_of_snapshots_is_flattened_while_it_is_fetched() {
    let host = Esxi::start();
    let mut bytes = content(3);
    host.flat("chain", "chain", &bytes);
    let older = sha256(&bytes);
    host.layer("chain", "chain-000001", "chain.vmdk", &[(0, [7; 512]), (5000, [8; 512]), (10_000, [0; 512])]);
    let top = host.layer("chain", "chain-000002", "chain-000001.vmdk", &[(5000, [9; 512])]);
    for (sector, byte) in [(0, 7), (5000, 9), (10_000, 0)] {
        bytes[sector * 512..][..512].fill(byte);
    }
    let vmx = host.add("chain", "off", &[&top], "");
    std::fs::write(
        host.folder("chain").join("chain.vmsd"),
        "snapshot0.uid = \"1\"\nsnapshot0.displayName = \"before it\"\nsnapshot0.numDisks = \"1\"\nsnapshot0.disk0.fileName = \"chain.vmdk\"\n\
         snapshot0.disk0.node = \"scsi0:0\"\n",
    )
    .unwrap();
    let outcome = host.flatten(&vmx, "now", &[]).expect(0);
    assert_eq!(host.image("now"), sha256(&bytes));
    assert!(outcome.json["vm"]["findings"].to_string().contains("snapshots-present"));
    let uri = format!("{}?snapshot=before%20it", host.uri(&vmx));
    let out = host.results.path().join("older");
    host.run(&["flatten", &uri, "-o", out.to_str().unwrap(), "--format", "raw"]).expect(0);
    assert_eq!(host.image("older"), older);
    let none = host.run(&["inventory", &format!("{}?snapshot=x", host.uri(&vmx))]).expect(65);
    assert_eq!(none.message(), "the VM has no snapshot 'x' among 'before it'");
}

/// What is read ahead waits for who reads: a range that is thrown away before comes twice over the wire.
#[test]
fn a_disk_comes_over_the_wire_once() {
    let host = Esxi::start();
    let bytes = vmdk2kvm_tests::noise(5, 256 << 20);
    let disk = host.flat("web", "web", &bytes);
    let vmx = host.add("web", "off", &[&disk], "");
    host.flatten(&vmx, "out", &[]).expect(0);
    assert_eq!(host.image("out"), sha256(&bytes));
    // `dd if='PATH-flat.vmdk' bs=1048576 skip=N count=N`, of which the path has a blank.
    let units = |command: &String| command.rsplit_once("bs=1048576 ")?.1.split_once("count=")?.1.parse::<u64>().ok();
    let read: u64 = host.commands().iter().filter_map(units).sum();
    assert!((256..=272).contains(&read), "{read} MiB");
}

#[test]
fn a_linked_clone_is_read_from_both_folders_and_said() {
    let host = Esxi::start();
    let mut bytes = content(4);
    host.flat("base", "base", &bytes);
    let parent = "/vmfs/volumes/5e00aa11-bb22cc33-dd44-001122334455/base/base.vmdk";
    let top = host.layer("clone", "clone", parent, &[(1, [5; 512])]);
    bytes[512..1024].fill(5);
    let vmx = host.add("clone", "off", &[&top], "");
    let outcome = host.flatten(&vmx, "out", &[]).expect(0);
    assert_eq!(host.image("out"), sha256(&bytes));
    assert!(outcome.json["vm"]["findings"].to_string().contains("the disk that it was made from lies at"));
}

#[test]
fn a_vm_that_runs_needs_a_word_and_gets_its_snapshot_back() {
    let (host, vmx, truth) = one("on");
    let before = std::fs::read_to_string(host.folder("web").join("web.vmx")).unwrap();
    let refused = host.flatten(&vmx, "refused", &[]).expect(81);
    assert_eq!(refused.message(), "web runs, and reading its disks needs a snapshot (vm-running)");
    assert_eq!(refused.hint(), "allow that with --snapshot, or a shut-down with --power-off");
    let outcome = host.flatten(&vmx, "out", &["--snapshot"]).expect(0);
    assert_eq!(host.image("out"), truth);
    assert!(
        outcome.json["source"]["held"].to_string().contains("snapshot \\\"vmdk2kvm "),
        "{}",
        outcome.json["source"]
    );
    let made = |host: &Esxi| host.log().iter().filter(|entry| entry["snapshot"].is_string()).count();
    assert_eq!(made(&host), 1);
    assert_eq!(std::fs::read_to_string(host.folder("web").join("web.vmx")).unwrap(), before);
    assert!(!std::fs::read_to_string(host.folder("web").join("web.vmsd")).unwrap().contains("vmdk2kvm"));
    // A snapshot leaves an independent disk out.
    let path = host.folder("web").join("web.vmx");
    std::fs::write(&path, format!("{before}scsi0:0.mode = \"independent-persistent\"\n")).unwrap();
    let refused = host.flatten(&vmx, "independent", &["--snapshot"]).expect(81);
    assert!(refused.message().ends_with("is independent: no snapshot freezes it (disk-independent)"));
    assert_eq!(made(&host), 1);
    host.flatten(&vmx, "off", &["--power-off"]).expect(0);
    assert_eq!((host.image("off"), &host.state()["vms"][0]["power"]), (truth, &json!("off")));
}

#[test]
fn a_snapshot_that_cannot_be_removed_is_told_and_removed_later() {
    let (host, vmx, truth) = one("on");
    host.faults(&json!([{"command": "vim-cmd", "path": "snapshot.remove", "kind": "says", "words": "Remove snapshot failed", "count": 3}]));
    let outcome = host.flatten(&vmx, "out", &["--snapshot"]).expect(0);
    assert_eq!(host.image("out"), truth);
    let warnings = outcome.json["warnings"].to_string();
    assert!(warnings.contains("removing the snapshot") && warnings.contains("`vmdk2kvm release "), "{warnings}");
    let list = || std::fs::read_to_string(host.folder("web").join("web.vmsd")).unwrap();
    assert!(list().contains("vmdk2kvm "));
    host.run(&["release", host.results.path().join("out").to_str().unwrap()]).expect(0);
    assert!(!list().contains("vmdk2kvm "), "{}", list());
}

#[test]
fn after_a_crash_the_next_run_goes_on_with_the_same_snapshot() {
    let (host, vmx, truth) = one("on");
    host.faults(&json!([{"command": "dd", "kind": "slow", "milliseconds": 20, "count": 100_000}]));
    let arguments = host.flattening(&vmx, "out", &["--snapshot"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut run = Running::start(host.command(&arguments));
    run.wait_for("bytes", |event| event["event"] == "progress" && event["done_bytes"].as_u64().unwrap_or_default() > 0);
    run.kill("worker-process");
    run.end().expect(75);
    host.faults(&json!([]));
    host.run(&arguments).expect(0);
    assert_eq!(host.image("out"), truth);
    assert_eq!(host.log().iter().filter(|entry| entry["snapshot"].is_string()).count(), 1);
    assert!(!std::fs::read_to_string(host.folder("web").join("web.vmsd")).unwrap().contains("vmdk2kvm"));
}

#[test]
fn what_no_file_has_is_refused_before_a_byte_moves() {
    let host = Esxi::start();
    let disk = host.flat("web", "web", &content(1));
    let file = host.folder("web").join(&disk);
    let plain = std::fs::read_to_string(&file).unwrap();
    let vmx = host.add("web", "off", &[&disk], "");
    let with = |create_type: &str, extent: &str| {
        let text = plain.replace("createType=\"vmfs\"", &format!("createType=\"{create_type}\""));
        text.replace("VMFS \"web-flat.vmdk\"", extent)
    };
    for (text, code) in [
        (with("vmfsPassthroughRawDeviceMap", "VMFSRDM \"web-rdmp.vmdk\""), "(disk-rdm-physical)"),
        (with("vmfsRawDeviceMap", "VMFSRDM \"web-rdm.vmdk\""), "(datastore-not-file)"),
        (with("vmfs", "VMFS \"vsan://4ae0\""), "(datastore-not-file)"),
    ] {
        std::fs::write(&file, text).unwrap();
        let refused = host.flatten(&vmx, "out", &[]).expect(81);
        assert!(refused.message().ends_with(code) && !refused.hint().is_empty(), "{}", refused.message());
    }
    std::fs::write(&file, &plain).unwrap();
    let path = host.folder("web").join("web.vmx");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}scsi0:0.sharing = \"multi-writer\"\n")).unwrap();
    let refused = host.flatten(&vmx, "out", &[]).expect(81);
    assert!(
        refused.message().ends_with("several machines may write to it (disk-multiwriter)"),
        "{}",
        refused.message()
    );
    assert!(host.commands().iter().all(|command| !command.starts_with("dd ")));
    for (name, sentence) in [
        ("../../etc/passwd", "leads outside of its folder"),
        ("/etc/passwd", "is not a file of a datastore"),
        ("gone.vmdk", "it is not there"),
    ] {
        std::fs::write(&path, text.replace("web.vmdk", name)).unwrap();
        let refused = host.flatten(&vmx, "out", &[]).expect(65);
        assert!(refused.message().contains(sentence), "{}", refused.message());
    }
}

#[test]
fn a_host_is_known_by_its_key_alone() {
    let (host, vmx, truth) = one("off");
    let shown = host.fingerprint("hostkey");
    let listed = |uri: &str| host.run(&["inventory", uri]);
    let uri = host.uri("/");
    // Nobody knows it: the hint pins it.
    host.write_known("");
    let unknown = listed(&uri).expect(77);
    assert!(unknown.message().ends_with(&format!("is not known: {shown} (hostkey-unknown)")), "{}", unknown.message());
    let pinned = format!("{uri}?hostkey={shown}");
    assert!(unknown.hint().ends_with(&format!("run `vmdk2kvm inventory '{pinned}'`")), "{}", unknown.hint());
    assert_eq!(listed(&pinned).expect(0).json["vms"][0]["name"], "web");
    // The host was changed, or somebody else answers.
    host.know("other_hostkey");
    let changed = listed(&uri).expect(77);
    assert!(changed.message().ends_with(&format!("another host key than the known one: {shown} (hostkey-changed)")));
    let other = listed(&format!("{uri}?hostkey={}", host.fingerprint("other_hostkey"))).expect(77);
    assert!(other.message().contains("another host key than the pinned"), "{}", other.message());
    // Revoked: no pin helps.
    host.write_known(&format!(
        "@revoked * {}\n{} {}\n",
        host.public_key("hostkey"),
        host.known_as(),
        host.public_key("hostkey")
    ));
    for uri in [&uri, &pinned] {
        let revoked = listed(uri).expect(77);
        assert!(revoked.message().ends_with("is revoked (hostkey-revoked)"), "{}", revoked.message());
    }
    assert!(host.commands().iter().all(|command| command.starts_with("vim-cmd") || command.contains("/web/")));
    // A hashed list.
    host.know("hostkey");
    let hashed = std::process::Command::new("ssh-keygen")
        .args(["-q", "-H", "-f"])
        .arg(host.path("known_hosts"))
        .output()
        .unwrap();
    assert!(hashed.status.success() && std::fs::read_to_string(host.path("known_hosts")).unwrap().starts_with("|1|"));
    host.flatten(&vmx, "out", &[]).expect(0);
    assert_eq!(host.image("out"), truth);
}

//! Disks by export leases of the lab's vCenter and ESXi host (tests/vcsim). Small disks, read without an appliance.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use serde_json::{Value, json};
use vmdk2kvm_tests::{By, Outcome, Running, Signal, Site, digest, vm};

const LEASE: [&str; 2] = ["--transport", "vsphere-lease"];

/// A VM that is off, with two disks.
fn pair() -> Value {
    let mut pair = vm("pair", "", false);
    pair["disks"] =
        json!([{"file": "one.raw", "controller": "pvscsi", "unit": 1}, {"file": "two.raw", "controller": "sata"}]);
    pair
}

fn calls(site: &Site, method: &str) -> u64 {
    site.lab.state()["stats"]["calls"][method].as_u64().unwrap_or_default()
}

fn ways(outcome: &Outcome) -> Vec<(&str, &str)> {
    let all = outcome.json["ways"].as_array().unwrap();
    all.iter().map(|way| (way["scheme"].as_str().unwrap(), way["plugin"].as_str().unwrap())).collect()
}

/// The digests of the images in a folder, in the order of their names.
fn images(site: &Site, output: &str) -> Vec<String> {
    let folder = site.results.path().join(output);
    let names = vmdk2kvm_tests::names(&folder);
    names.iter().filter(|name| name.ends_with(".raw")).map(|name| digest(&folder.join(name))).collect()
}

fn truth(site: &Site) -> Vec<String> {
    ["one.raw", "two.raw"].map(|name| digest(&site.lab.datastore().join(name))).to_vec()
}

#[test]
fn disks_are_streamed_from_a_vcenter_and_from_a_host() {
    for (by, flags) in [
        (By::Soap, &["-nfc-cookie"][..]),
        (By::Govc, &[]),
        (By::Soap, &["-esx", "-nfc-range", "refuse"]),
        (By::Govc, &["-esx"]),
    ] {
        let site = Site::new(by, &[pair()], flags);
        let outcome = site.flatten("/pair", "", "out", &LEASE).expect(0);
        assert_eq!(ways(&outcome), [("nfc-lease", "vsphere-lease 0.1.0"); 2]);
        assert_eq!(images(&site, "out"), truth(&site), "{flags:?}");
        assert_eq!((calls(&site, "ExportVm"), calls(&site, "HttpNfcLeaseComplete")), (2, 2));
        assert_eq!(calls(&site, "HttpNfcLeaseAbort"), 0);
        site.nothing_is_left();
        // What only looks reads no stream.
        let refused = site.run(&[&["plan", &site.lab.uri("/pair", "")], &LEASE[..]].concat()).expect(69);
        assert!(refused.message().contains("it can only be read as a stream"), "{}", refused.message());
        site.nothing_is_left();
    }
}

#[test]
fn a_vm_that_runs_is_exported_from_its_snapshot() {
    let site = Site::new(By::Soap, &[vm("web", "", true)], &[]);
    let truth = site.truth("web", "");
    site.flatten("/web", "", "out", &[&LEASE[..], &["--snapshot"]].concat()).expect(0);
    assert_eq!(site.sha256("out"), truth);
    assert_eq!((calls(&site, "ExportSnapshot"), calls(&site, "ExportVm")), (1, 0));
    site.nothing_is_left();
}

#[test]
fn what_breaks_is_begun_anew_and_no_lease_is_left() {
    let site = Site::new(By::Soap, &[pair()], &["-lease-timeout", "3s"]);
    let truth = truth(&site);
    for (number, fault) in [
        json!({"path": "disk-0", "kind": "drop", "after": 1_000_000}),
        json!({"path": "disk-1", "kind": "unended"}),
        json!({"path": "disk-0", "kind": "corrupt", "after": 5_000_000}),
        json!({"path": "disk-0", "kind": "503", "count": 2}),
        // Longer than the lease lives without a sign of life.
        json!({"path": "disk-1", "kind": "stall", "after": 3_000_000, "delay_ms": 7000}),
        json!({"method": "HttpNfcLeaseProgress", "fault": "InvalidState"}),
        json!({"path": "/sdk", "kind": "503", "skip": 12}),
    ]
    .into_iter()
    .enumerate()
    {
        let output = number.to_string();
        site.lab.fault(&fault);
        let outcome = site.flatten("/pair", "", &output, &LEASE).expect(0);
        assert_eq!(images(&site, &output), truth, "{fault}");
        let state = site.lab.state();
        assert_eq!(state["pending_faults"], 0);
        let broke = outcome.json["warnings"].to_string().contains("it is begun anew");
        assert_eq!(broke, fault["kind"] != "stall" && fault["path"] != "/sdk", "{fault}: {}", outcome.json["warnings"]);
        site.nothing_is_left();
    }
}

#[test]
fn what_stays_broken_has_its_code_and_disks_that_are_whole_are_kept() {
    let site = Site::new(By::Soap, &[pair()], &[]);
    let what = "exporting pair_1.vmdk: ";
    for (fault, code, sentence) in [
        (
            json!({"path": "disk-1", "kind": "drop", "after": 1_000_000, "count": 3}),
            74,
            format!("{what}the stream broke off: "),
        ),
        (json!({"path": "disk-1", "kind": "unended", "count": 3}), 74, format!("{what}the stream broke off: ")),
        (
            json!({"path": "disk-1", "kind": "corrupt", "after": 64, "count": 3}),
            74,
            format!("{what}the stream is no streamOptimized VMDK: "),
        ),
        (
            json!({"path": "disk-1", "kind": "403"}),
            77,
            format!("{what}{} does not let this user export it", site.lab.fact("address")),
        ),
        (
            json!({"path": "disk-1", "kind": "503", "count": 3}),
            75,
            format!("{what}{} answers with HTTP 503", site.lab.fact("address")),
        ),
        (
            json!({"method": "ExportVm", "fault": "NoPermission", "skip": 1}),
            77,
            format!("{what}{} refuses it with NoPermission", site.lab.fact("address")),
        ),
    ] {
        let begun = calls(&site, "ExportVm");
        site.lab.fault(&fault);
        let failed = site.flatten("/pair", "", "out", &LEASE).expect(code);
        assert!(failed.message().contains(&sentence) && !failed.hint().is_empty(), "{fault}: {}", failed.message());
        site.lab.control("DELETE", "/fault", b"");
        site.nothing_is_left();
        let first = calls(&site, "ExportVm") - begun;
        site.flatten("/pair", "", "out", &LEASE).expect(0);
        assert_eq!(images(&site, "out"), truth(&site));
        assert_eq!(calls(&site, "ExportVm") - begun - first, 1, "{fault}: the first disk was brought before");
        site.nothing_is_left();
        std::fs::remove_dir_all(site.results.path().join("out")).unwrap();
    }
}

#[test]
fn a_run_that_is_stopped_or_killed_leaves_no_lease_for_long() {
    let site = Site::new(By::Soap, &[vm("web", "", false)], &["-rate", "4000000", "-lease-timeout", "3s"]);
    let (out, uri) = (site.results.path().join("out"), site.lab.uri("/web", ""));
    let arguments = [&["flatten", &uri, "-o", out.to_str().unwrap(), "--format", "raw"], &LEASE[..]].concat();
    let streams = |event: &Value| event["event"] == "progress" && event["done_bytes"].as_u64().unwrap_or_default() > 0;
    let mut run = Running::start(site.command(&arguments));
    run.wait_for("bytes", streams);
    run.signal(Signal::INT);
    run.end().expect(130);
    site.nothing_is_left();
    let mut run = Running::start(site.command(&arguments));
    run.wait_for("bytes", streams);
    run.kill("worker-process");
    run.end().expect(75);
    // Nobody says that somebody is there: it dies.
    let begin = std::time::Instant::now();
    while site.lab.state()["leases"] != 0 {
        assert!(begin.elapsed() < std::time::Duration::from_secs(60), "the lease lives");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    site.run(&arguments).expect(0);
    assert_eq!(site.sha256("out"), site.truth("web", ""));
}

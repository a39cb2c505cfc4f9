//! A real guest from a vCenter and from an ESXi host, through each door: its disk comes as it is there, and it is migrated and boots. VDDK and ovftool are the tests'
//! own fakes.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use vmdk2kvm_tests::esxi_disk::descriptor;
use vmdk2kvm_tests::{By, Esxi, Exporter, LabGuest, Outcome, Running, Site, Yard, digest, lab};

const GUEST: &str = "bookworm-bios";

/// The guest as the vCenter has it.
fn vms(guest: &LabGuest) -> [Value; 1] {
    [json!({"name": "web", "guest_id": "debian12_64Guest", "cpus": 2, "memory_mb": 1024,
        "disks": [{"file": "guest.raw", "controller": "pvscsi"}],
        "nics": [{"model": "vmxnet3", "mac": guest.fact("MAC"), "network": "VM Network"}]})]
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("--sparse=always").args([from, to]).status().unwrap().success());
}

/// A vCenter with the guest.
fn site(by: By, guest: &LabGuest) -> Site {
    Site::with(by, &vms(guest), &[], |datastore| copy(&guest.folder.join("disk.raw"), &datastore.join("guest.raw")))
}

/// Flattens and migrates the guest from `uri`, by runs that `command` prepares.
fn comes_through(
    guest: &LabGuest,
    uri: &str,
    results: &Path,
    more: &[&str],
    command: &dyn Fn(&[&str]) -> Command,
) -> Outcome {
    let (flat, out) = (results.join("flat"), results.join("out"));
    let flatten = [&["flatten", uri, "-o", flat.to_str().unwrap(), "--format", "raw"], more].concat();
    let flattened = Running::start(command(&flatten)).end().expect(0);
    let image = flat.join(flattened.json["images"][0]["path"].as_str().unwrap());
    assert_eq!(digest(&image), digest(&guest.folder.join("disk.raw")));
    std::fs::remove_file(image).unwrap();
    let migrate = [&["migrate", uri, "-o", out.to_str().unwrap()], more].concat();
    let report = Running::start(command(&migrate)).end().expect(0);
    assert_eq!((&report.json["converged"], &report.json["test"]["verdict"]), (&json!(true), &json!("passed")));
    report
}

fn by_vcenter(by: By, transport: &str, scheme: &str) {
    let guest = lab(GUEST);
    let site = site(by, &guest);
    let uri = site.lab.uri("/web", "");
    let more = ["--transport", transport];
    let report = comes_through(&guest, &uri, site.results.path(), &more, &|words| site.command(words));
    assert_eq!(report.json["ways"][0]["scheme"], scheme);
    assert_eq!(digest(&site.lab.datastore().join("guest.raw")), digest(&guest.folder.join("disk.raw")));
    site.nothing_is_left();
}

#[test]
fn files_by_govc() {
    by_vcenter(By::Govc, "vsphere-http", "datastore-file");
}

#[test]
fn files_by_soap() {
    by_vcenter(By::Soap, "vsphere-http", "datastore-file");
}

#[test]
fn a_lease_by_soap() {
    by_vcenter(By::Soap, "vsphere-lease", "nfc-lease");
}

#[test]
fn vddk_by_govc() {
    let guest = lab(GUEST);
    let yard = Yard::beside(site(By::Govc, &guest), &vms(&guest), 8);
    let uri = yard.site.lab.uri("/web", "");
    let results = yard.site.results.path();
    let report = comes_through(&guest, &uri, results, &["--transport", "vddk"], &|words| yard.command(words));
    assert_eq!(report.json["ways"][0]["scheme"], "vsphere-disk");
    yard.site.nothing_is_left();
}

#[test]
fn ovftool_by_soap() {
    let guest = lab(GUEST);
    let exporter = Exporter::new(site(By::Soap, &guest), "web", &["guest.raw"]);
    let uri = exporter.site.lab.uri("/web", "");
    let results = exporter.site.results.path();
    let report = comes_through(&guest, &uri, results, &["--transport", "ovftool"], &|words| exporter.command(words));
    assert_eq!(report.json["ways"][0]["scheme"], "ovf-export");
    exporter.site.nothing_is_left();
}

#[test]
fn ssh_by_an_esxi_host() {
    let guest = lab(GUEST);
    let host = Esxi::start();
    let disk = guest.folder.join("disk.raw");
    copy(&disk, &host.folder("web").join("web-flat.vmdk"));
    let sectors = std::fs::metadata(&disk).unwrap().len() / 512;
    let text = descriptor(0x1234, None, "vmfs", sectors, "VMFS", "web-flat.vmdk", None);
    std::fs::write(host.folder("web").join("web.vmdk"), text).unwrap();
    let vmx = host.add("web", "off", &["web.vmdk"], "");
    comes_through(&guest, &host.uri(&vmx), host.results.path(), &[], &|words| host.command(words));
}

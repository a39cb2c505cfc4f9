//! A real guest of the lab from the lab's vCenter: planned, migrated over `/folder`, booted. Starts appliances and one machine.

use std::process::Command;

use serde_json::json;
use vmdk2kvm_tests::{Vcenter, digest, lab, run};

#[test]
fn a_guest_of_a_vcenter_is_planned_migrated_and_boots() {
    let guest = lab("bookworm-bios");
    let vms = json!([{"name": "web & shop", "folder": "prod/50% east", "guest_id": "debian12_64Guest", "cpus": 2, "memory_mb": 1024,
        "disks": [{"file": "guest.raw", "controller": "pvscsi"}],
        "nics": [{"model": "vmxnet3", "mac": guest.fact("MAC"), "network": "VM Network"}]}]);
    // The lab's vCenter may write to what it is given.
    let vcenter = Vcenter::start(&vms, &[], |datastore| {
        let copied = Command::new("cp")
            .arg("--sparse=always")
            .arg(guest.folder.join("disk.raw"))
            .arg(datastore.join("guest.raw"))
            .status();
        assert!(copied.unwrap().success());
    });
    let source = vcenter.uri("/DC0/vm/prod/50%25 east/web & shop", "");
    let with_password = |arguments: &[&str]| run(&[arguments, &["--password-file", vcenter.password_file()]].concat());
    let disk = vcenter.datastore().join("guest.raw");
    let before = digest(&disk);

    let plan = with_password(&["plan", &source]).expect(0).json;
    assert_eq!((&plan["vm"]["name"], &plan["inspection"]["os"]["distro"]), (&json!("web & shop"), &json!("debian")));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let flat = folder.path().join("flat");
    let flattened = with_password(&["flatten", &source, "-o", flat.to_str().unwrap(), "--format", "raw"]).expect(0);
    let image = flat.join(flattened.json["images"][0]["path"].as_str().unwrap());
    assert_eq!(digest(&image), before);
    std::fs::remove_file(image).unwrap();
    assert_eq!(flattened.json["ways"][0]["scheme"], "nfc-lease", "less than a fifth of the disk is in use");
    let by_range = ["migrate", &source, "-o", out.to_str().unwrap(), "--transport", "vsphere-http"];
    let report = with_password(&by_range).expect(0).json;
    assert_eq!((&report["converged"], &report["test"]["verdict"]), (&json!(true), &json!("passed")));
    assert_eq!(report["ways"][0]["scheme"], "datastore-file");
    let state = vcenter.state();
    assert_eq!((&state["sessions"], &state["snapshots"]), (&json!(0), &json!({})));
    assert_eq!(digest(&disk), before, "the source was written to");
}

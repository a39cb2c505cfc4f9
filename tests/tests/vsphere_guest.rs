//! Real guests of the lab from the lab's vCenter: planned, migrated over `/folder`, booted; one in rounds, with files that were written between them. Starts appliances
//! and two machines.

use std::path::Path;
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

/// The first partition of the lab's guests begins here, in bytes.
const PARTITION: u64 = 1 << 20;

/// Asks debugfs about, or lets it write to, the file system of the first partition of a raw disk.
fn debugfs(disk: &Path, options: &[&str], request: &str) -> String {
    let place = format!("{}?offset={PARTITION}", disk.display());
    let output = Command::new("debugfs")
        .args(options)
        .args(["-R", request, &place])
        .output()
        .expect("debugfs (package e2fsprogs)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_guest_that_is_written_to_between_rounds_boots_after_its_cut_over() {
    let guest = lab("bookworm-bios");
    let vms = json!([{"name": "web", "guest_id": "debian12_64Guest", "cpus": 2, "memory_mb": 1024, "running": true, "tools": true,
        "disks": [{"file": "guest.raw", "controller": "pvscsi"}],
        "nics": [{"model": "vmxnet3", "mac": guest.fact("MAC"), "network": "VM Network"}]}]);
    let copy = |from: &Path, to: &Path| {
        assert!(Command::new("cp").arg("--sparse=always").args([from, to]).status().unwrap().success());
    };
    let disk = guest.folder.join("disk.raw");
    let vcenter = Vcenter::start(&vms, &[], |datastore| copy(&disk, &datastore.join("guest.raw")));
    let folder = tempfile::tempdir().unwrap();
    let (out, written) = (folder.path().join("out"), folder.path().join("written.raw"));
    copy(&disk, &written);
    let source = vcenter.uri("/web", "");
    let with_password = |arguments: &[&str]| run(&[arguments, &["--password-file", vcenter.password_file()]].concat());
    let round = || {
        let one =
            ["migrate", &source, "--warm", "-o", out.to_str().unwrap(), "--format", "raw", "--set", "warm.rounds=1"];
        let report = with_password(&one).expect(0).json;
        report["warm"]["rounds"].as_array().unwrap().last().unwrap().clone()
    };
    assert_eq!(round()["full"].as_array().unwrap().len(), 1);
    let write = |number: u8| {
        let file = folder.path().join(format!("file{number}"));
        std::fs::write(&file, vec![b'0' + number; 3 << 20]).unwrap();
        debugfs(&written, &["-w"], &format!("write {} /root/file{number}", file.display()));
        vcenter.control("POST", &format!("/content?vm=web&disk=0&file={}", written.display()), b"");
    };
    for number in 1..=2 {
        write(number);
        let round = round();
        let (changed, moved) = (round["changed_bytes"].as_u64().unwrap(), round["moved_bytes"].as_u64().unwrap());
        assert!(round.get("full").is_none() && changed >= 3 << 20 && moved < 64 << 20, "{round}");
    }
    write(3);
    let report = with_password(&["cutover", out.to_str().unwrap()]).expect(0).json;
    assert_eq!((&report["converged"], &report["test"]["verdict"]), (&json!(true), &json!("passed")));
    assert_eq!(report["warm"]["source"], json!({"power": "off", "snapshots": 0}));
    let image = out.join(report["images"][0]["path"].as_str().unwrap());
    for number in 1..=3 {
        let found = debugfs(&image, &[], &format!("cat /root/file{number}"));
        assert!(found.len() == 3 << 20 && found.bytes().all(|byte| byte == b'0' + number), "file{number}");
    }
    let state = vcenter.state();
    assert_eq!((&state["sessions"], &state["snapshots"]), (&json!(0), &json!({})));
}

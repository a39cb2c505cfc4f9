//! Writes whole reports and looks at them.

use std::os::unix::fs::PermissionsExt;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::json;

use super::*;

fn report(name: &str) -> Report {
    serde_json::from_value(json!({
        "schema": 1, "tool": {"name": "vmdk2kvm", "version": "0.1.0", "api": "1.0.0"}, "command": "migrate",
        "started": "2024-02-29T12:00:00Z", "finished": "2024-02-29T12:01:09Z", "seconds": 69.4,
        "vm": {"schema": 1, "name": name, "firmware": "bios", "cpus": {"count": 2, "sockets": 1, "cores_per_socket": 2},
            "memory_bytes": 2_147_483_648_u64, "nics": [{"mac": "00:50:56:00:00:01", "model": "vmxnet3", "network": name,
            "kind": "network"}]},
        "source": {"uri": "web.vmx", "disks": [{"name": "web.vmdk", "files": ["web.vmdk", "web-000001.vmdk"],
            "before": "9f86d081884c7d65", "after": "9f86d081884c7d65"}]},
        "stages": [
            {"name": "fetch", "plugin": "local 0.1.0", "status": "done", "started_seconds": 0.0, "seconds": 0.1, "bytes": 0},
            {"name": "flatten", "plugin": "vmdk-flatten 0.1.0", "status": "done", "started_seconds": 0.1, "seconds": 0.2, "bytes": 0},
            {"name": "inspect", "plugin": "guestfs-offline-linux 0.1.0", "status": "done", "started_seconds": 0.4, "seconds": 12.4, "bytes": 0},
            {"name": "plan", "plugin": null, "status": "done", "started_seconds": 12.8, "seconds": 1.5, "bytes": 0},
            {"name": "fix", "plugin": "guestfs-offline-linux 0.1.0", "status": "done", "started_seconds": 14.3, "seconds": 9.1, "bytes": 0,
                "phases": [{"name": "write_file", "seconds": 0.3}, {"name": name, "seconds": 8.8}]},
            {"name": "convert", "plugin": "qemu-img 0.1.0", "status": "done", "started_seconds": 0.4, "seconds": 24.6, "bytes": 926_941_184},
            {"name": "test", "plugin": "qemu-test 0.1.0", "status": "done", "started_seconds": 25.2, "seconds": 44.0, "bytes": 0}],
        "chain": [{"schema": 1, "capacity_bytes": 4_294_967_296_u64, "links": [
            {"object": "web-000001.vmdk", "format": "vmdk/monolithicSparse", "files": ["web-000001.vmdk"]},
            {"object": "web.vmdk", "format": "vmdk/monolithicSparse", "files": ["web.vmdk"]}]}],
        "findings": [{"code": "initramfs-without-virtio", "severity": "warn", "message": "the initramfs of 6.1.0-18 has no virtio_blk",
            "hint": "FIX adds it"}],
        "changes": [
            {"id": "c1", "fixer": "fstab", "kind": "write_file", "content": {"text": "x"}, "old_sha256": null, "target": "/etc/fstab",
                "summary": "name the root by its UUID", "reason": "the by-path name does not exist on KVM", "critical": true,
                "diff": format!("--- /etc/fstab\n+++ /etc/fstab\n@@ -1,2 +1,2 @@\n-/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1 / ext4 defaults 0 1\n+UUID=6d3f0b1e-7a55-4c1b-9f0e-0f4a2e6c7b11 / ext4 defaults 0 1\n # {name}\n"), "status": "done", "detail": ""},
            {"id": "c2", "fixer": "vmware", "kind": "remove_packages", "manager": "dpkg", "packages": ["open-vm-tools"],
                "target": "open-vm-tools", "summary": "remove VMware's tools", "reason": "they have nothing to talk to",
                "critical": false, "status": "failed", "detail": format!("dpkg: error {name}")}],
        "converged": true,
        "machine": {"schema": 1, "name": name, "chipset": "q35", "firmware": "uefi", "secure_boot": true, "tpm": true, "clock": "local",
            "cpus": {"count": 2, "sockets": 1, "cores_per_socket": 2}, "memory_bytes": 2_147_483_648_u64, "video": "vga",
            "disks": [{"format": "qcow2", "size_bytes": 4_294_967_296_u64, "bus": "virtio-scsi", "boot_order": 1}],
            "cards": [{"model": "e1000e", "mac": "00:50:56:00:00:01", "network": {"bridge": name}}]},
        "targets": [{"name": "lab", "plugin": "target-lab 0.1.0", "files": ["web.lab"]}],
        "images": [{"path": "web-disk1.qcow2", "format": "qcow2", "bytes": 926_941_184, "virtual_size": 4_294_967_296_u64,
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "content_sha256": null}],
        "test": {"plugin": "qemu-test 0.1.0", "schema": 1, "verdict": "passed", "reason": "login-prompt", "seconds": 41.2,
            "accelerator": "tcg", "evidence": [{"kind": "console", "detail": format!("web login: {name}"), "file": "console.log"},
            {"kind": "screenshot", "detail": "the screen at the end", "file": "screen.png"}]},
        "warnings": [format!("network {name} is not mapped")], "accelerator": "tcg"
    }))
    .unwrap()
}

#[test]
fn the_reports_are_whole_private_and_leave_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let report = report("web");
    write(dir.path(), &report).unwrap();
    write(dir.path(), &report).unwrap();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["report.html", "report.json", "report.md"]);
    let json = std::fs::read_to_string(dir.path().join("report.json")).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["changes"][1]["kind"], "remove_packages");
    assert_eq!(document["changes"][1]["status"], "failed");
    assert_eq!(document["test"]["verdict"], "passed");
    assert_eq!(document["stages"][5]["name"], "convert");
    assert_eq!(document["stages"][4]["phases"][0], json!({"name": "write_file", "seconds": 0.3}));
    for name in ["report.html", "report.md"] {
        let text = std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(text.replace('\\', "").contains("write_file 0.3 s, web 8.8 s"), "{name}: {text}");
    }
}

#[test]
fn the_page_refers_to_nothing_outside_and_holds_the_screenshot() {
    let dir = tempfile::tempdir().unwrap();
    let mut png = PNG.to_vec();
    png.extend([1, 2, 3]);
    std::fs::create_dir(dir.path().join("boot")).unwrap();
    std::fs::write(dir.path().join("boot/screen.png"), &png).unwrap();
    write(dir.path(), &report("web")).unwrap();
    let html = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    let data = format!("src=\"data:image/png;base64,{}\"", BASE64_STANDARD.encode(&png));
    assert!(html.contains(&data));
    assert!(
        !html.contains("http:") && !html.contains("https:") && !html.contains("<script") && !html.contains("<link")
    );
    assert!(
        html.contains("migrated and booted") && html.contains("class=\"minus\"") && html.contains("class=\"plus\"")
    );
}

#[test]
fn a_screenshot_is_taken_only_from_the_evidence_and_only_if_it_is_a_png() {
    let dir = tempfile::tempdir().unwrap();
    let evidence = dir.path().join("boot");
    std::fs::create_dir(&evidence).unwrap();
    std::fs::write(dir.path().join("secret.png"), PNG).unwrap();
    let mut report = report("web");
    for name in ["../secret.png", "/etc/passwd", "absent.png", ".."] {
        report.test.as_mut().unwrap().verdict.evidence[1].file = Some(name.into());
        assert_eq!(screenshot(&report, &evidence), None, "{name}");
    }
    std::fs::write(evidence.join("screen.png"), "no image").unwrap();
    report.test.as_mut().unwrap().verdict.evidence[1].file = Some("screen.png".into());
    assert_eq!(screenshot(&report, &evidence), None);
    std::fs::write(evidence.join("screen.png"), PNG).unwrap();
    assert_eq!(screenshot(&report, &evidence).as_deref(), Some(PNG));
}

#[test]
fn hostile_names_stay_text_everywhere() {
    let hostile =
        "</title></style><script>alert(1)</script>\"'><img src=x onerror=y>\u{1b}[2J\u{202e}| `x` ```\n# head";
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &report(hostile)).unwrap();
    for name in ["report.html", "report.md", "report.json"] {
        let text = std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{name}");
    }
    // Inside of a code block a hash begins no heading: the fence is longer than any run of backticks inside.
    let markdown = std::fs::read_to_string(dir.path().join("report.md")).unwrap();
    let mut outside = true;
    for line in markdown.lines() {
        outside ^= line.starts_with("````");
        assert!(!outside || !line.starts_with("# head"), "{markdown}");
    }
    assert!(outside, "{markdown}");
    let html = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
    assert_eq!(html.matches("</title>").count(), 1);
    assert_eq!(html.matches("</style>").count(), 1);
}

#[test]
fn the_new_machine_and_its_files_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &report("web")).unwrap();
    for name in ["report.html", "report.md"] {
        let text = std::fs::read_to_string(dir.path().join(name)).unwrap();
        for shown in [
            "New machine",
            "UEFI with Secure Boot",
            "local time",
            "virtio-scsi, qcow2, 4.00 GiB, boots",
            "e1000e, 00:50:56:00:00:01, bridge web",
            "vmxnet3, 00:50:56:00:00:01, web",
            "changed",
            "web.lab",
            "Most of the time went into the boot test: 44 s of 1 min 9 s. This boot was emulated",
            "35.9 MiB/s",
        ] {
            assert!(text.contains(shown), "{name}: {shown}: {text}");
        }
    }
}

#[test]
fn a_test_that_proved_nothing_is_called_so() {
    let mut report = report("web");
    report.test.as_mut().unwrap().verdict.verdict = vmdk2kvm_plugin_api::model::VerdictKind::Inconclusive;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &report).unwrap();
    for name in ["report.html", "report.md"] {
        let text = std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(text.contains("migrated, but the boot test was inconclusive"), "{name}: {text}");
        assert!(text.contains("inconclusive: login-prompt (tcg)"), "{name}: {text}");
    }
}

#[test]
fn a_lesser_machine_is_named_beside_its_verdict() {
    let mut report = report("web");
    report.test.as_mut().unwrap().machine = crate::report::TestedMachine::Lesser;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &report).unwrap();
    for name in ["report.html", "report.md"] {
        let text = std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(text.contains("login-prompt (tcg, lesser machine)"), "{name}: {text}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = write(Path::new("/nonexistent/out"), &report("web")).unwrap_err();
    assert!(error.message.starts_with("/nonexistent/out/report.html: "), "{}", error.message);
}

#[test]
fn a_run_that_failed_says_where() {
    let mut report = report("web");
    report.test = None;
    report.converged = None;
    report.images.clear();
    report.source.disks[0].after = None;
    report.error = serde_json::from_value(
        json!({"code": 65, "kind": "unusable", "message": "web.vmdk: torn", "hint": "copy again",
        "stage": "flatten", "plugin": "vmdk-flatten 0.1.0"}),
    )
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &report).unwrap();
    let text = std::fs::read_to_string(dir.path().join("report.md")).unwrap();
    assert!(text.starts_with("# web: failed in FLATTEN\n"), "{text}");
    assert!(text.contains("**Error (vmdk-flatten 0.1.0): web.vmdk: torn**\n\ncopy again\n"), "{text}");
    let html = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(html.contains("failed in FLATTEN") && html.contains("not looked at again"));
}

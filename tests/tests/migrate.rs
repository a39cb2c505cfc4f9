//! The main job on real guests: a guest of each packaging is migrated, boots, keeps its network, and leaves its source alone.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::Path;

use serde_json::Value;
use vmdk2kvm_tests::{Booted, boot, is_whole, lab, lab_files, looks_well, names, planned_without_an_appliance, run};

/// What a finished `migrate -o DIR` leaves, and nothing else.
fn expected_files(name: &str) -> Vec<String> {
    let disk_and_domain = [format!("{name}-disk1.qcow2"), format!("{name}.xml")];
    let report = ["boot/console.log", "boot/screenshot.png", "plan.json", "report.html", "report.json", "report.md"];
    let mut files = [&disk_and_domain[..], &report.map(str::to_owned)].concat();
    files.sort();
    files
}

/// Migrates one packaging of a guest and logs into the result.
fn migrates(name: &str, packaging: &str, settings: &[&str]) -> Booted {
    let guest = lab(name);
    let before = guest.digests(packaging);
    let output = tempfile::tempdir().unwrap();
    let (vmx, folder) = (guest.vmx(packaging), output.path().to_str().unwrap());
    let report = run(&[&["migrate", &vmx, "-o", folder], settings].concat()).expect(0).json;

    assert_eq!(report["converged"], true);
    let doctor = run(&["doctor"]).json;
    let kernel = doctor["needs"].as_array().unwrap().iter().find(|need| need["name"] == "landlock").unwrap();
    assert_eq!(report["containment"]["contained"], kernel["present"]);
    assert_eq!(report["test"]["verdict"], "passed");
    assert_ne!(report["test"]["evidence"], Value::Array(Vec::new()));
    for disk in report["source"]["disks"].as_array().unwrap() {
        assert_eq!(disk["before"], disk["after"]);
        assert!(disk["before"].is_string());
    }
    assert!(report["changes"].as_array().unwrap().iter().all(|change| change["status"] == "done"));
    planned_without_an_appliance(&guest, packaging, settings, &report);
    assert_eq!(guest.digests(packaging), before, "the source changed");
    assert_eq!(names(output.path()), expected_files(name));
    valid_domain(&output.path().join(format!("{name}.xml")));
    looks_well(&output.path().join("report.html"));

    let booted = boot(&guest, output.path());
    is_whole(&guest, &booted);
    assert_ne!(booted.ssh("dpkg-query -W -f '${db:Status-Status}' open-vm-tools || true"), "installed");
    booted
}

fn valid_domain(xml: &Path) {
    let valid = std::process::Command::new("virt-xml-validate").arg(xml).arg("domain").output();
    let valid = valid.expect("virt-xml-validate (package libvirt-clients)");
    assert!(valid.status.success(), "{}", String::from_utf8_lossy(&valid.stderr));
}

/// A packaging is another way to the same bytes, and nobody behind FLATTEN sees more than these.
#[test]
fn every_packaging_of_a_guest_has_the_same_disk_and_the_same_plan() {
    for name in ["bookworm-bios", "trixie-uefi"] {
        let guest = lab_files(name);
        let folder = tempfile::tempdir().unwrap();
        let content = |source: &str, name: &str| {
            let flat = run(&["flatten", source, "-o", folder.path().join(name).to_str().unwrap()]).expect(0);
            flat.content().concat()
        };
        let disk = content(guest.folder.join("disk.raw").to_str().unwrap(), "disk");
        let plans = ["sparse", "chain", "stream"].map(|packaging| {
            let vmx = guest.vmx(packaging);
            assert_eq!(content(&vmx, packaging), disk, "{name} {packaging}");
            let plan = run(&["plan", &vmx, "--set", "inspect.reader=native"]).expect(0).json;
            (plan["changes"].clone(), plan["inspection"].clone())
        });
        assert!(plans[0].0.as_array().is_some_and(|changes| !changes.is_empty()), "{name}");
        assert!(plans.iter().all(|plan| *plan == plans[0]), "{name}");
    }
}

#[test]
fn bios_guest_from_a_monolithic_sparse_disk() {
    migrates("bookworm-bios", "sparse", &[]);
}

#[test]
fn uefi_guest_from_a_snapshot_chain_with_scripts_and_units_of_the_user() {
    let site = tempfile::tempdir().unwrap();
    std::fs::write(site.path().join("works"), "#!/bin/sh\ntest ! -e /root/works && touch /root/works\n").unwrap();
    let later = "#!/bin/sh\ntest -e /root/tried || { touch /root/tried; exit 1; }\n";
    std::fs::write(site.path().join("later"), later).unwrap();
    let unit = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";
    std::fs::write(site.path().join("site.service"), unit).unwrap();
    let path = |name: &str| site.path().join(name).display().to_string();
    let scripts = format!("plugin.linux-fixes.first_boot=[\"{}\", \"{}\"]", path("works"), path("later"));
    let units = format!("plugin.linux-fixes.units=[\"{}\"]", path("site.service"));
    let booted = migrates("trixie-uefi", "chain", &["--set", &scripts, "--set", &units]);
    // Each once; what failed at first, once more.
    booted.ssh("until test -e /root/tried; do sleep 1; done; systemctl restart vmdk2kvm-first-boot");
    assert_eq!(
        booted.ssh("ls /root/works /var/lib/vmdk2kvm/first-boot"),
        "/root/works\n\n/var/lib/vmdk2kvm/first-boot:\n"
    );
    assert_eq!(booted.ssh("systemctl is-enabled vmdk2kvm-first-boot || true"), "disabled\n");
    assert_eq!(booted.ssh("systemctl is-active site"), "active\n");
}

/// The boot test can tell: what passes above fails without the fixes, by name.
fn fails_unfixed(name: &str, reason: &str) {
    let guest = lab(name);
    let output = tempfile::tempdir().unwrap();
    let folder = output.path().to_str().unwrap();
    let outcome = run(&["migrate", &guest.vmx("sparse"), "-o", folder, "--skip", "fix"]).expect(80);
    let text = std::fs::read_to_string(output.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["test"]["verdict"], "failed");
    assert_eq!(report["test"]["reason"], reason, "{:#}\n{}", report["test"], outcome.stderr);
}

#[test]
fn bios_guest_fails_its_boot_test_without_the_fixes() {
    fails_unfixed("bookworm-bios", "initramfs-prompt");
}

#[test]
fn uefi_guest_fails_its_boot_test_without_the_fixes() {
    fails_unfixed("trixie-uefi", "no-bootable-device");
}

//! Snapshots of domains, and libvirt's own schema over many of them. Requires `virt-xml-validate` (libvirt-clients).

use std::process::Command;

use serde_json::{Value, json};

use super::*;
use crate::config::{DiskBus, NetworkTarget};

fn vm(changes: Value) -> VmSpec {
    let mut value = json!({
        "schema": 1, "name": "web", "uuid": "564D1234-5678-9abc-def0-123456789abc", "firmware": "bios",
        "cpus": {"count": 4, "sockets": 2, "cores_per_socket": 2}, "memory_bytes": 2_147_483_648_u64,
        "removable": [{"kind": "cdrom", "controller": "ide"}, {"kind": "floppy", "controller": "floppy"}],
        "nics": [{"mac": "00:50:56:AA:BB:01", "model": "vmxnet3", "network": "VM Network", "kind": "network"}]
    });
    for (key, change) in changes.as_object().unwrap() {
        value[key] = change.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn guest(family: &str, drivers: &[&str]) -> Inspection {
    serde_json::from_value(json!({"schema": 1, "os": {"family": family},
        "kernels": [{"version": "6", "virtio": {"in_kernel": drivers, "in_initramfs": []}}]}))
    .unwrap()
}

fn images(count: usize, format: &str) -> Vec<FinalImage> {
    (1..=count)
        .map(|n| FinalImage {
            path: format!("/out/web-disk{n}.{format}"),
            format: format.into(),
            virtual_size: 1 << 30,
        })
        .collect()
}

fn validate(xml: &str) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("domain.xml");
    std::fs::write(&path, xml).unwrap();
    let output =
        Command::new("virt-xml-validate").arg(&path).arg("domain").output().expect("virt-xml-validate is installed");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn assert_valid(what: &str, xml: &str) {
    validate(xml).unwrap_or_else(|error| panic!("{what}: {error}\n{xml}"));
}

#[test]
fn libvirt_opens_the_formats_that_its_schema_knows() {
    for format in crate::config::TargetFormat::ALL {
        let xml = domain_xml(&vm(json!({})), None, &images(1, format.as_str()), &TargetOptions::default()).unwrap();
        assert_eq!(validate(&xml).is_ok(), opens(format.as_str()), "{}", format.as_str());
    }
}

const ALL: [&str; 3] = ["virtio_blk", "virtio_scsi", "virtio_net"];

#[test]
fn a_linux_guest_on_bios() {
    let xml = domain_xml(&vm(json!({})), Some(&guest("linux", &ALL)), &images(2, "qcow2"), &TargetOptions::default())
        .unwrap();
    assert_valid("linux", &xml);
    assert_eq!(xml, include_str!("../snapshots/linux-bios.xml"));
}

#[test]
fn a_secure_boot_guest_with_a_tpm() {
    let vm = vm(
        json!({"firmware": "uefi", "secure_boot": true, "tpm": true, "genid": "00112233-4455-6677-8899-aabbccddeeff"}),
    );
    let options = TargetOptions {
        networks: [("VM Network".to_owned(), NetworkTarget::Bridge("br0".into()))].into(),
        disk_bus: Some(DiskBus::VirtioScsi),
    };
    let xml = domain_xml(&vm, Some(&guest("windows", &ALL)), &images(1, "raw"), &options).unwrap();
    assert_valid("secure boot", &xml);
    assert_eq!(xml, include_str!("../snapshots/windows-secure-boot.xml"));
}

#[test]
fn every_combination_is_valid() {
    for firmware in ["bios", "uefi"] {
        for (family, drivers) in [("linux", &ALL[..]), ("linux", &[]), ("windows", &[]), ("unknown", &[])] {
            for (count, format) in [(0, "qcow2"), (1, "vdi"), (2, "vmdk"), (3, "raw"), (30, "qcow2")] {
                let what = format!("{firmware} {family} {drivers:?} {count} {format}");
                let vm = vm(
                    json!({"firmware": firmware, "secure_boot": firmware == "uefi" && count == 2, "tpm": count == 1}),
                );
                let inspection = guest(family, drivers);
                let xml =
                    domain_xml(&vm, Some(&inspection), &images(count, format), &TargetOptions::default()).unwrap();
                assert_valid(&what, &xml);
                let names: Vec<&str> =
                    xml.split("<target dev=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
                let distinct: std::collections::BTreeSet<&&str> = names.iter().collect();
                assert_eq!((names.len(), distinct.len()), (count + 1, count + 1), "{what}: {names:?}");
            }
        }
    }
}

#[test]
fn hostile_descriptions_stay_text() {
    let hostile = "</name><x a='&#10;\">\n\u{0}\u{1b}\u{202e}\u{fffe}/../%s";
    let vm = vm(json!({
        "name": hostile, "uuid": hostile, "genid": "00000000-0000-0000-0000-000000000000",
        "cpus": {"count": 3, "sockets": 4_294_967_295_u32, "cores_per_socket": 4_294_967_295_u32}, "memory_bytes": 0,
        "nics": [{"mac": hostile, "network": hostile, "kind": "bridge"}, {"mac": "01:00:00:00:00:00", "kind": "network"}]
    }));
    let options = TargetOptions {
        networks: [("*".to_owned(), NetworkTarget::Network(hostile.replace(['/', '\n'], "")))].into(),
        disk_bus: None,
    };
    let mut image = images(1, "qcow2");
    image[0].path = "/out/a<b>&'\"-disk1.qcow2".into();
    let xml = domain_xml(&vm, None, &image, &options).unwrap();
    assert_valid("hostile", &xml);
    assert!(!xml.contains("<x") && !xml.contains("<uuid") && !xml.contains("<genid") && !xml.contains("<mac"), "{xml}");
    assert!(xml.contains("file=\"/out/a&lt;b&gt;&amp;&apos;&quot;-disk1.qcow2\""), "{xml}");
    assert!(xml.contains("<topology sockets=\"3\" dies=\"1\" cores=\"1\" threads=\"1\"/>"), "{xml}");
}

#[test]
fn an_image_path_that_xml_cannot_carry_is_refused() {
    let mut image = images(1, "qcow2");
    image[0].path = "/out\n/web-disk1.qcow2".into();
    let error = domain_xml(&vm(json!({})), None, &image, &TargetOptions::default()).unwrap_err();
    assert_eq!(error.message, "/out\\n/web-disk1.qcow2: the path of an image cannot be written into a domain");
    assert_eq!(error.kind.exit_code(), 73);
}

#[test]
fn networks_without_a_word_are_named() {
    let vm = vm(json!({"nics": [{"network": "A", "kind": "network"}, {"network": "B", "kind": "network"},
        {"network": "A", "kind": "network"}, {"kind": "network"}]}));
    let mut options = TargetOptions::default();
    assert_eq!(unmapped_networks(&vm, &options), ["A", "B", ""]);
    options.networks.insert("A".into(), NetworkTarget::Network("a".into()));
    assert_eq!(unmapped_networks(&vm, &options), ["B", ""]);
    options.networks.insert("*".into(), NetworkTarget::Network("rest".into()));
    assert!(unmapped_networks(&vm, &options).is_empty());
}

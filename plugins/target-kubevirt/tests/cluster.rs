//! What a cluster would see: values against KubeVirt's lists, hostile texts, the job's table, and the script with fakes of kubectl and virtctl.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};
use vmdk2kvm_plugin_api::model::{Card, CardModel, CardNetwork, Cpus, Firmware, Machine, Render, Rendered};
use vmdk2kvm_plugin_api::{Plugin, Result};
use vmdk2kvm_plugin_testing::{FakeHost, Recorder, hostile, shapes, shellcheck};
use vmdk2kvm_target_kubevirt::{TARGET, TargetKubevirt};

fn render(machine: &Machine, options: Value) -> Result<Rendered> {
    let converter = TargetKubevirt::new(FakeHost::new().without_settings()).unwrap().converter().unwrap();
    converter.render(&Render::new(TARGET, machine.clone(), "we'b").with(|render| render.options = options))
}

fn documents(rendered: &Rendered) -> Vec<Value> {
    let documents = serde_norway::Deserializer::from_str(&rendered.files[0].text);
    documents.map(|document| Value::deserialize(document).unwrap()).collect()
}

fn domain(rendered: &Rendered) -> Value {
    documents(rendered).last().unwrap()["spec"]["template"]["spec"].clone()
}

fn codes(rendered: &Rendered) -> Vec<&str> {
    rendered.findings.iter().map(|finding| finding.code.as_str()).collect()
}

/// Lower case letters, digits and dashes, from a letter on.
fn is_label(name: &str) -> bool {
    let of_label = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    name.len() <= 63
        && name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(of_label)
}

#[test]
fn every_value_is_one_that_kubevirt_takes() {
    for (shape, machine) in shapes().into_iter().chain([("hostile", hostile())]) {
        let rendered = render(&machine, json!({})).unwrap();
        let all = documents(&rendered);
        assert_eq!(all.len(), machine.disks.len() + 1, "{shape}");
        for document in &all {
            assert!(is_label(document["metadata"]["name"].as_str().unwrap()), "{shape}: {document}");
        }
        let vm = all.last().unwrap();
        assert_eq!(vm["spec"]["runStrategy"], "Halted", "{shape}");
        let spec = domain(&rendered);
        let (domain, devices) = (&spec["domain"], &spec["domain"]["devices"]);
        assert_eq!(domain["machine"]["type"], "q35");
        let list = |value: &Value| value.as_array().unwrap().clone();
        for disk in list(&devices["disks"]) {
            let bus = disk["disk"]["bus"].as_str().unwrap();
            assert!(["virtio", "scsi", "sata"].contains(&bus), "{shape}: {bus}");
        }
        let orders: Vec<u64> = list(&devices["disks"]).iter().filter_map(|disk| disk["bootOrder"].as_u64()).collect();
        let distinct: BTreeSet<&u64> = orders.iter().collect();
        assert!(distinct.len() == orders.len() && !orders.contains(&0), "{shape}: {orders:?}");
        let names =
            |value: &Value| list(value).iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&devices["disks"]), names(&spec["volumes"]), "{shape}");
        assert_eq!(names(&devices["interfaces"]), names(&spec["networks"]), "{shape}");
        for interface in list(&devices["interfaces"]) {
            let model = interface["model"].as_str().unwrap();
            assert!(["virtio", "e1000", "e1000e", "rtl8139"].contains(&model), "{shape}: {model}");
        }
        let pods = list(&spec["networks"]).iter().filter(|network| !network["pod"].is_null()).count();
        assert!(pods <= 1, "{shape}: {pods} cards on the pod network");
        let efi = &domain["firmware"]["bootloader"]["efi"];
        let secure = efi["secureBoot"].as_bool();
        // It is on where nothing is said.
        assert_eq!(secure.is_some(), machine.firmware == Firmware::Uefi, "{shape}");
        assert_eq!(domain["features"]["smm"]["enabled"].as_bool().unwrap_or_default(), secure == Some(true), "{shape}");
        assert_eq!(devices["tpm"]["persistent"].as_bool().unwrap_or_default(), machine.tpm, "{shape}");
    }
}

#[test]
fn hostile_texts_stay_texts() {
    let machine = hostile();
    let rendered = render(&machine, json!({})).unwrap();
    let text = &rendered.files[0].text;
    assert!(!text.chars().any(|letter| letter != '\n' && vmdk2kvm_plugin_api::text::is_unsafe(letter)), "{text}");
    let all = documents(&rendered);
    let shown = all[1]["metadata"]["annotations"]["vmdk2kvm-original-name"].as_str().unwrap();
    assert_eq!(shown, vmdk2kvm_plugin_api::text::escape(&machine.name));
    let spec = domain(&rendered);
    let missing = [
        &spec["domain"]["firmware"]["uuid"],
        &spec["domain"]["devices"]["disks"][0]["serial"],
        &spec["domain"]["devices"]["interfaces"][0]["macAddress"],
    ];
    assert!(missing.iter().all(|value| value.is_null()), "{spec}");
    assert_eq!(shellcheck(&rendered.files[1].text), "");
    assert!(codes(&rendered).contains(&"target-lost-serial"), "{:?}", codes(&rendered));
}

#[test]
fn the_job_says_what_networks_and_storages_become() {
    let card = |network: &str| Card::new(CardModel::Virtio).with(|card| card.old_network = Some(network.to_owned()));
    let machine = shapes().remove(0).1.with(|machine| {
        machine.cards = ["A", "B", "C", "C"].map(card).to_vec();
    });
    let options = json!({
        "namespace": "vms", "networks": {"A": "lab/dmz", "B": "pod"}, "storage": {"*": "fast"}, "timezone": "Europe/Berlin",
    });
    let rendered = render(&machine, options).unwrap();
    let all = documents(&rendered);
    assert!(all.iter().all(|document| document["metadata"]["namespace"] == "vms"));
    assert_eq!(all[0]["spec"]["storage"]["storageClassName"], "fast");
    let networks = domain(&rendered)["networks"].clone();
    assert_eq!(
        networks,
        json!([
            {"name": "net0", "multus": {"networkName": "lab/dmz"}},
            {"name": "net1", "pod": {}},
            {"name": "net2", "multus": {"networkName": "c"}},
            {"name": "net3", "multus": {"networkName": "c"}},
        ])
    );
    let unmapped: Vec<&str> = rendered
        .findings
        .iter()
        .filter(|finding| finding.code == "network-unmapped")
        .map(|finding| finding.message.as_str())
        .collect();
    let expected = "the network C has no counterpart in `target.kubevirt.networks`: the machine waits for a \
                    NetworkAttachmentDefinition `c` in its namespace";
    assert_eq!(unmapped, [expected]);
    assert!(!codes(&rendered).contains(&"storage-unmapped"));

    // What `machine.networks` says is taken where it can be the name of a definition.
    for (name, network) in [("lan", json!({"networkName": "lan"})), ("My lan", Value::Null)] {
        let machine = shapes().remove(0).1.with(|machine| {
            machine.cards[0].network = Some(CardNetwork::Network(name.to_owned()));
        });
        assert_eq!(domain(&render(&machine, json!({})).unwrap())["networks"][0]["multus"], network, "{name}");
    }
}

#[test]
fn a_time_zone_makes_the_clock_local() {
    let windows = shapes().into_iter().find(|(shape, _)| *shape == "windows").unwrap().1;
    let without = render(&windows, json!({})).unwrap();
    assert!(codes(&without).contains(&"target-lost-clock"));
    assert_eq!(domain(&without)["domain"]["clock"]["utc"], json!({}));
    let with = render(&windows, json!({"timezone": "Europe/Berlin"})).unwrap();
    assert!(!codes(&with).contains(&"target-lost-clock"));
    assert_eq!(domain(&with)["domain"]["clock"]["timezone"], "Europe/Berlin");
}

#[test]
fn a_machine_without_cards_gets_none() {
    let machine = Machine::new("x", Firmware::Bios, Cpus::new(1, 1), 1);
    let spec = domain(&render(&machine, json!({})).unwrap());
    assert_eq!(spec["domain"]["devices"]["autoattachPodInterface"], false);
}

#[test]
fn names_that_kubernetes_refuses_are_errors_of_the_job() {
    for (options, message) in [
        (
            json!({"namespace": "My VMs"}),
            "`target.kubevirt.namespace`: \"My VMs\" is not a name as Kubernetes has them",
        ),
        (
            json!({"networks": {"A": "a/b/c"}}),
            "`target.kubevirt.networks`: \"a/b/c\" is not a name as Kubernetes has them",
        ),
        (json!({"storage": {"1": "-x"}}), "`target.kubevirt.storage`: \"-x\" is not a name as Kubernetes has them"),
    ] {
        let error = render(&hostile(), options).unwrap_err();
        assert_eq!((error.kind.exit_code(), error.message.as_str()), (78, message));
    }
    let error = render(&hostile(), json!({"namspace": "x"})).unwrap_err();
    assert!(error.message.starts_with("`target.kubevirt`: unknown field `namspace`"), "{}", error.message);
}

#[test]
fn the_script_uploads_what_has_no_data_yet() {
    let folder = tempfile::Builder::new().prefix("it's, \"$(folder)\"").tempdir().unwrap();
    let mut machine = hostile();
    machine.disks.push(machine.disks[0].clone());
    for (index, disk) in machine.disks.iter_mut().enumerate() {
        let name = format!("-we'b $(touch owned) {index}.qcow2");
        std::fs::write(folder.path().join(&name), "").unwrap();
        disk.image = format!("/moved away/{name}");
    }
    let rendered = render(&machine, json!({"namespace": "vms"})).unwrap();
    let recorder = Recorder::new(folder.path())
        .program("kubectl", "if [[ $3 == *disk1 ]]; then printf Succeeded; fi")
        .program("virtctl", "");
    let script = (rendered.files[1].name.as_str(), rendered.files[1].text.as_str());
    let ran = recorder.run(script, &[], &["--insecure"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!folder.path().join("owned").exists(), "something was run");
    let volume = documents(&rendered)[1]["metadata"]["name"].as_str().unwrap().to_owned();
    let image = format!("--image-path={}/-we'b $(touch owned) 1.qcow2", folder.path().display());
    let upload =
        ["virtctl", "image-upload", "dv", &volume, "--namespace", "vms", "--no-create", image.as_str(), "--insecure"];
    assert_eq!(ran.calls.last().unwrap(), &upload);
    assert_eq!(ran.calls.iter().filter(|call| call[0] == "virtctl").count(), 1);
    assert!(ran.stderr.contains("-disk1 has its data already"), "{}", ran.stderr);
    assert!(ran.calls.iter().all(|call| ["get", "image-upload"].contains(&call[1].as_str())), "{:?}", ran.calls);

    let missing = render(&shapes().remove(0).1, json!({})).unwrap();
    let ran = recorder.run(("missing.sh", &missing.files[1].text), &[], &[]);
    assert_eq!((ran.code, ran.calls.len()), (Some(65), 0), "{ran:?}");
    assert!(ran.stderr.contains("/out/web-disk1.qcow2 is missing"), "{}", ran.stderr);
}

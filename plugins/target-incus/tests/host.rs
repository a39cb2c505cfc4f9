//! What a host of Incus would be told: the script with fakes, and the configuration against the documented keys.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use vmdk2kvm_plugin_api::model::{CardNetwork, Machine, Render, Rendered};
use vmdk2kvm_plugin_api::{Plugin, Result};
use vmdk2kvm_plugin_testing::{FakeHost, Ran, Recorder, hostile, shapes};
use vmdk2kvm_target_incus::{TARGET, TargetIncus};

/// Keys of configuration and of devices, as Incus' sources have them (`tests/platforms` writes them).
fn keys() -> Value {
    serde_json::from_str(include_str!("keys.json")).unwrap()
}

/// Keys that begin so are of Incus, too.
const PREFIXES: [&str; 2] = ["volatile.", "image."];

fn render(machine: &Machine, options: Value) -> Result<Rendered> {
    let converter = TargetIncus::new(FakeHost::new().without_settings()).unwrap().converter().unwrap();
    converter.render(&Render::new(TARGET, machine.clone(), "we'b").with(|render| render.options = options))
}

fn instance(rendered: &Rendered) -> Value {
    serde_norway::from_str(&rendered.files[1].text).unwrap()
}

fn codes(rendered: &Rendered) -> Vec<&str> {
    rendered.findings.iter().map(|finding| finding.code.as_str()).collect()
}

fn shape(name: &str) -> Machine {
    shapes().into_iter().find(|(shape, _)| *shape == name).unwrap().1
}

fn run(folder: &tempfile::TempDir, machine: &Machine, answer: &str) -> Ran {
    for disk in &machine.disks {
        std::fs::write(folder.path().join(disk.image.rsplit('/').next().unwrap()), "").unwrap();
    }
    let rendered = render(machine, json!({})).unwrap();
    for file in &rendered.files {
        std::fs::write(folder.path().join(&file.name), &file.text).unwrap();
    }
    let recorder = Recorder::new(folder.path()).program("incus", answer).program("qemu-img", "touch -- \"${*: -1}\"");
    recorder.run((&rendered.files[0].name, &rendered.files[0].text), &[("STORAGE", "fast pool")], &[])
}

/// Nothing is there yet; what is imported is read, and so is what `init` is given.
const FREE: &str =
    "case \"$*\" in *info*) exit 1 ;; 'image import'*) tar -xOf \"$3\" metadata.yaml ;; init*) cat ;; esac";

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("it's, \"$(folder)\"").tempdir().unwrap()
}

#[test]
fn every_key_is_documented_and_every_value_a_text() {
    let keys = keys();
    let has = |list: &Value, key: &String| list.as_array().is_some_and(|list| list.iter().any(|known| known == key));
    for (shape, machine) in shapes().into_iter().chain([("hostile", hostile())]) {
        let rendered = render(&machine, json!({"storage": "default"})).unwrap();
        let instance = instance(&rendered);
        for (key, value) in instance["config"].as_object().unwrap() {
            let is_known = has(&keys["config"], key) || PREFIXES.iter().any(|prefix| key.starts_with(prefix));
            assert!(is_known && value.is_string(), "{shape}: {key}: {value}");
        }
        for (name, device) in instance["devices"].as_object().unwrap() {
            let known = &keys["devices"][device["type"].as_str().unwrap()];
            for (key, value) in device.as_object().unwrap() {
                assert!(has(known, key) && value.is_string(), "{shape}: {name}: {key}: {value}");
            }
        }
        let config = &instance["config"];
        // A BIOS beside checked signatures is refused.
        assert!(!(config["security.csm"] == "true" && config["security.secureboot"] == "true"), "{shape}");
        assert_eq!(config["security.secureboot"] == "true", machine.secure_boot, "{shape}");
        let shown = vmdk2kvm_plugin_api::text::escape(&machine.name);
        assert_eq!(instance["description"], shown.as_ref(), "{shape}");
        let metadata: Value = serde_norway::from_str(&rendered.files[2].text).unwrap();
        assert_eq!(metadata["properties"]["description"], shown.as_ref(), "{shape}");
        assert_eq!(metadata["properties"]["os"] == "Windows", shape == "windows");
    }
}

#[test]
fn the_disk_to_start_from_becomes_the_root() {
    let folder = folder();
    let machine = shape("data-disk-first");
    let ran = run(&folder, &machine, FREE);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let here = folder.path().to_str().unwrap();
    let incus: Vec<String> =
        ran.lines().into_iter().filter(|line| line.starts_with("incus") && !line.contains(" info ")).collect();
    assert!(
        incus[0].starts_with("incus image import /")
            && incus[0].ends_with("web-disk2.qcow2 --alias vmdk2kvm-web-server")
    );
    assert_eq!(incus[1], "incus init vmdk2kvm-web-server web-server --vm --no-profiles --storage fast pool");
    let set = "incus config device set web-server root size=1073741824B io.bus=virtio-blk boot.priority=2";
    assert_eq!(incus[2..4], [set, "incus image delete vmdk2kvm-web-server"]);
    let raw = format!("{here}/we'b-disk1.incus.raw");
    let add = format!("incus config device add web-server disk1 disk source={raw} io.bus=virtio-blk boot.priority=1");
    assert_eq!(incus[4..], [add]);
    assert!(ran.lines().contains(&format!("qemu-img convert -f qcow2 -O raw {here}/web-disk1.qcow2 {raw}")), "{ran:?}");
    let rendered = render(&machine, json!({})).unwrap();
    assert_eq!(ran.stdout, format!("{}{}", rendered.files[2].text, rendered.files[1].text));

    // The converted disk is somebody's now.
    let again = run(&folder, &machine, FREE);
    assert_eq!(again.code, Some(73), "{again:?}");
}

#[test]
fn hostile_texts_stay_words() {
    let folder = folder();
    let ran = run(&folder, &hostile(), FREE);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!folder.path().join("owned").exists(), "something was run");
    let rendered = render(&hostile(), json!({})).unwrap();
    assert!(instance(&rendered)["devices"]["eth0"]["hwaddr"].is_null());
    let script = &rendered.files[0];
    let alone = tempfile::tempdir().unwrap();
    let ran = Recorder::new(alone.path()).program("incus", FREE).run((&script.name, &script.text), &[], &[]);
    assert_eq!(ran.code, Some(65), "{ran:?}");
}

#[test]
fn what_is_there_is_not_replaced() {
    for answer in ["", "[[ $1 == image ]]"] {
        let ran = run(&folder(), &shape("bios"), answer);
        assert_eq!(ran.code, Some(73), "{ran:?}");
        assert!(ran.calls.iter().all(|call| call.contains(&"info".to_owned())), "{ran:?}");
    }
}

#[test]
fn the_job_says_what_networks_become() {
    let machine = shape("several-cards").with(|machine| {
        machine.cards[2].network = Some(CardNetwork::Bridge("br7".to_owned()));
    });
    let options = json!({"networks": {"VM Network": "lan", "DMZ": {"bridge": "br0", "vlan": 12}}, "storage": "fast"});
    let rendered = render(&machine, options).unwrap();
    let devices = instance(&rendered)["devices"].clone();
    assert_eq!(devices["eth0"], json!({"type": "nic", "network": "lan", "hwaddr": "52:54:00:12:34:01"}));
    assert_eq!(devices["eth3"], json!({"type": "nic", "nictype": "bridged", "parent": "br0", "vlan": "12"}));
    assert_eq!(devices["eth2"]["parent"], "br7");
    assert!(!codes(&rendered).contains(&"network-unmapped") && !codes(&rendered).contains(&"storage-unmapped"));
    let error = render(&machine, json!({"networks": {"A": {"bridge": "b", "vlan": 0}}})).unwrap_err();
    assert_eq!(error.message, "`target.incus.networks`: 0 is not a VLAN: they are 1 to 4094");
    let error = render(&machine.with(|machine| machine.disks.clear()), json!({})).unwrap_err();
    assert_eq!(error.message, "the machine has no disk, and Incus makes an instance of one");
}

#[test]
fn what_incus_cannot_express_is_said() {
    let rendered = render(&shape("old-kernel"), json!({})).unwrap();
    for code in ["board", "serial", "bus", "card-model", "drive", "no-paravirtual"] {
        let code = format!("target-lost-{code}");
        assert!(codes(&rendered).contains(&code.as_str()), "{code}: {:?}", codes(&rendered));
    }
    assert!(codes(&rendered).contains(&"target-disk-outside"));
    let windows = render(&shape("windows"), json!({})).unwrap();
    assert!(!codes(&windows).contains(&"target-lost-clock"), "{:?}", codes(&windows));
}

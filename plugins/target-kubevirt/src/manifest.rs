//! The VirtualMachine and the DataVolumes of its disks, as the values that are written as YAML.
//!
//! Types: `kubevirt.io/api` and `containerized-data-importer-api`; the tests decode the text with them.

use serde_json::{Map, Value, json};
use vmdk2kvm_plugin_api::model::{Clock, Firmware, Machine, canonical_uuid};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_target_words::label;

use super::devices;
use super::options::Options;

/// The longest name of a machine: room is left for what names of disks have behind it, and for what KubeVirt puts before it.
const LONGEST: usize = 50;

/// The name of the machine in the cluster.
pub fn name(machine: &Machine) -> String {
    label(&machine.name, LONGEST)
}

/// The name of the volume of a disk, which is counted from 1.
pub fn volume(machine: &Machine, number: usize) -> String {
    format!("{}-disk{number}", name(machine))
}

/// Everything in the order in which it is made.
pub fn documents(machine: &Machine, options: &Options) -> Vec<Value> {
    let volumes = (1..=machine.disks.len()).map(|number| data_volume(machine, number, options));
    volumes.chain([virtual_machine(machine, options)]).collect()
}

fn metadata(name: &str, options: &Options) -> Value {
    let labels = json!({ "app.kubernetes.io/managed-by": "vmdk2kvm" });
    let mut metadata = Map::from_iter([("name".to_owned(), json!(name)), ("labels".to_owned(), labels)]);
    if let Some(namespace) = &options.namespace {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    Value::Object(metadata)
}

fn data_volume(machine: &Machine, number: usize, options: &Options) -> Value {
    let bytes = machine.disks[number - 1].size_bytes;
    // `storage` and not `pvc`: the cluster chooses how the volume is accessed, and adds what a file system takes.
    let mut storage = json!({ "resources": { "requests": { "storage": bytes.to_string() } } });
    if let Some(class) = options.storage.get(&number.to_string()) {
        storage["storageClassName"] = json!(class);
    }
    json!({
        "apiVersion": "cdi.kubevirt.io/v1beta1",
        "kind": "DataVolume",
        "metadata": metadata(&volume(machine, number), options),
        "spec": { "source": { "upload": {} }, "storage": storage },
    })
}

fn virtual_machine(machine: &Machine, options: &Options) -> Value {
    let name = name(machine);
    let mut metadata = metadata(&name, options);
    metadata["annotations"] = json!({ "vmdk2kvm-original-name": escape(&machine.name) });
    let disks = machine.disks.len();
    let volumes = (1..=disks)
        .map(|number| json!({ "name": format!("disk{number}"), "dataVolume": { "name": volume(machine, number) } }));
    json!({
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": metadata,
        "spec": {
            "runStrategy": "Halted",
            "template": {
                "metadata": { "labels": { "kubevirt.io/vm": name } },
                "spec": {
                    "architecture": "amd64",
                    "domain": domain(machine, options),
                    "networks": devices::networks(machine, options),
                    "volumes": volumes.collect::<Vec<_>>(),
                    "terminationGracePeriodSeconds": 180,
                },
            },
        },
    })
}

fn domain(machine: &Machine, options: &Options) -> Value {
    let cpus = machine.cpus.consistent();
    json!({
        // The one family of boards that a cluster takes unless it is told more.
        "machine": { "type": "q35" },
        "cpu": { "sockets": cpus.sockets, "cores": cpus.cores_per_socket, "threads": 1, "model": "host-model" },
        "memory": { "guest": format!("{}Mi", machine.memory_bytes.div_ceil(1 << 20).max(1)) },
        "firmware": firmware(machine),
        "features": features(machine),
        "clock": clock(machine, options),
        "devices": devices::devices(machine, options),
    })
}

fn firmware(machine: &Machine) -> Value {
    let mut firmware = match machine.firmware {
        // Secure Boot is on where nothing is said. The variables are kept with the state of the TPM, whose keys hang on them.
        Firmware::Uefi if machine.tpm => {
            json!({ "bootloader": { "efi": { "secureBoot": machine.secure_boot, "persistent": true } } })
        }
        Firmware::Uefi => json!({ "bootloader": { "efi": { "secureBoot": machine.secure_boot } } }),
        _ => json!({ "bootloader": { "bios": {} } }),
    };
    if let Some(uuid) = machine.uuid.as_deref().and_then(canonical_uuid) {
        firmware["uuid"] = json!(uuid);
    }
    firmware
}

fn features(machine: &Machine) -> Value {
    let mut features = json!({ "acpi": {}, "apic": {} });
    if machine.firmware == Firmware::Uefi && machine.secure_boot {
        features["smm"] = json!({ "enabled": true });
    }
    if machine.enlightenments {
        // Those that bind a machine to a kind of node are left out.
        features["hyperv"] = json!({
            "relaxed": {}, "vapic": {}, "spinlocks": { "spinlocks": 8191 }, "vpindex": {}, "runtime": {}, "synic": {},
            "synictimer": { "direct": {} }, "frequencies": {}, "tlbflush": {}, "ipi": {}, "reset": {},
        });
    }
    features
}

fn clock(machine: &Machine, options: &Options) -> Value {
    let mut timer = json!({
        "hpet": { "present": false },
        "pit": { "tickPolicy": "delay" },
        "rtc": { "tickPolicy": "catchup" },
    });
    if machine.enlightenments {
        timer["hyperv"] = json!({});
    }
    match options.timezone.as_deref().filter(|_| machine.clock == Clock::Local) {
        Some(zone) => json!({ "timezone": zone, "timer": timer }),
        None => json!({ "utc": {}, "timer": timer }),
    }
}

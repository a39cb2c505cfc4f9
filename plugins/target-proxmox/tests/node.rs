//! What a node would be told: the script with fakes of qm and pvesh, and every key and value against the lists of qemu-server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use vmdk2kvm_plugin_api::model::{CardModel, CardNetwork, Clock, DiskBus, Machine, Render, Rendered};
use vmdk2kvm_plugin_api::{Plugin, Result};
use vmdk2kvm_plugin_testing::{FakeHost, Ran, Recorder, hostile, shapes};
use vmdk2kvm_target_proxmox::{TARGET, TargetProxmox};

/// What qemu-server takes for a key without properties of its own.
const VALUES: [(&str, &[&str]); 9] = [
    ("ostype", &["other", "l26", "win10"]),
    ("machine", &["pc", "q35"]),
    ("bios", &["seabios", "ovmf"]),
    ("scsihw", &["lsi", "lsi53c810", "virtio-scsi-pci", "virtio-scsi-single", "megasas", "pvscsi"]),
    ("vga", &["std", "virtio", "qxl", "cirrus", "vmware", "none"]),
    ("cpu", &["x86-64-v2-AES", "host"]),
    ("localtime", &["0", "1"]),
    ("agent", &["0", "1"]),
    ("onboot", &["0"]),
];

/// Properties of a drive and of a card, each with its first letters.
const OF_DRIVES: [&str; 9] = [
    "import-from=",
    "discard=on",
    "iothread=1",
    "serial=",
    "media=cdrom",
    "efitype=4m",
    "pre-enrolled-keys=",
    "version=v2.0",
    "none",
];
const MODELS: [&str; 4] = ["virtio", "e1000", "e1000e", "rtl8139"];

fn render(machine: &Machine, options: Value) -> Result<Rendered> {
    let converter = TargetProxmox::new(FakeHost::new().without_settings()).unwrap().converter().unwrap();
    converter.render(&Render::new(TARGET, machine.clone(), "we'b").with(|render| render.options = options))
}

fn codes(rendered: &Rendered) -> Vec<&str> {
    rendered.findings.iter().map(|finding| finding.code.as_str()).collect()
}

/// A folder with the images of a machine, and fakes.
struct Node {
    folder: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        Self { folder: tempfile::Builder::new().prefix("it's \"$(folder)\"").tempdir().unwrap() }
    }

    fn run(&self, machine: &Machine, options: Value, variables: &[(&str, &str)]) -> Ran {
        for disk in &machine.disks {
            std::fs::write(self.folder.path().join(disk.image.rsplit('/').next().unwrap()), "").unwrap();
        }
        let rendered = render(machine, options).unwrap();
        let free = "if [[ ${3-} == --vmid ]]; then [[ $4 != 100 ]]; else echo 120; fi";
        let recorder = Recorder::new(self.folder.path()).program("qm", "").program("pvesh", free);
        recorder.run((&rendered.files[0].name, &rendered.files[0].text), variables, &[])
    }
}

/// The arguments of `qm create` as pairs.
fn created(ran: &Ran) -> Vec<(String, String)> {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let create: Vec<&Vec<String>> = ran.calls.iter().filter(|call| call[0] == "qm").collect();
    let [create] = create[..] else { panic!("{ran:?}") };
    assert_eq!(create[1..3], ["create", "120"]);
    create[3..].chunks(2).map(|pair| (pair[0].trim_start_matches("--").to_owned(), pair[1].clone())).collect()
}

fn value<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

#[test]
fn every_key_and_value_is_one_that_qemu_server_takes() {
    let node = Node::new();
    for (shape, machine) in shapes().into_iter().chain([("hostile", hostile())]) {
        let pairs = created(&node.run(&machine, json!({}), &[]));
        for (key, value) in &pairs {
            let kind = key.trim_end_matches(|letter: char| letter.is_ascii_digit());
            let context = format!("{shape}: --{key} {value}");
            if let Some((_, values)) = VALUES.iter().find(|(name, _)| name == key) {
                assert!(values.contains(&value.as_str()), "{context}");
                continue;
            }
            let number: usize = key[kind.len()..].parse().unwrap_or_default();
            match kind {
                "ide" | "sata" | "scsi" | "virtio" | "efidisk" | "tpmstate" => {
                    let most = [("ide", 4), ("sata", 6), ("scsi", 31), ("virtio", 16)];
                    let most = most.iter().find(|(name, _)| *name == kind).map_or(1, |(_, most)| *most);
                    assert!(number < most, "{context}");
                    for property in value.split(',') {
                        let known =
                            OF_DRIVES.iter().any(|known| property.starts_with(known)) || property == "local-lvm:0";
                        assert!(known, "{context}: {property}");
                    }
                }
                "net" => assert!(MODELS.contains(&value.split(['=', ',']).next().unwrap()), "{context}"),
                "sockets" | "cores" | "memory" | "balloon" => assert!(value.parse::<u64>().is_ok(), "{context}"),
                "name" => assert!(value.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-')),
                "boot" => assert!(value.starts_with("order="), "{context}"),
                "description" | "smbios" | "vmgenid" | "serial" | "rng" => {}
                _ => panic!("{context}: an unknown key"),
            }
        }
        // An argument that begins like an option would be one.
        let shown = vmdk2kvm_plugin_api::text::escape(&machine.name);
        assert_eq!(value(&pairs, "description"), Some(shown.as_ref()), "{shape}");
        assert!(!node.folder.path().join("owned").exists(), "something was run");
    }
}

#[test]
fn secure_boot_and_the_order_of_disks_are_written() {
    let node = Node::new();
    let pairs = |wanted: &str| {
        let (_, machine) = shapes().into_iter().find(|(shape, _)| *shape == wanted).unwrap();
        created(&node.run(&machine, json!({}), &[]))
    };
    let first = pairs("data-disk-first");
    assert_eq!(value(&first, "boot"), Some("order=virtio1;virtio0"));
    assert_eq!(value(&pairs("uefi"), "efidisk0"), Some("local-lvm:0,efitype=4m,pre-enrolled-keys=0"));
    let windows = pairs("windows");
    assert_eq!(value(&windows, "efidisk0"), Some("local-lvm:0,efitype=4m,pre-enrolled-keys=1"));
    assert_eq!(value(&windows, "tpmstate0"), Some("local-lvm:0,version=v2.0"));
    assert_eq!((value(&windows, "localtime"), value(&windows, "ostype")), (Some("1"), Some("win10")));
    assert_eq!(value(&windows, "vmgenid"), Some("00112233-4455-6677-8899-aabbccddeeff"));
}

#[test]
fn the_job_says_what_networks_and_storages_become() {
    let node = Node::new();
    let machine = shapes().into_iter().find(|(shape, _)| *shape == "several-cards").unwrap().1.with(|machine| {
        machine.cards[2].network = Some(CardNetwork::Bridge("br7".to_owned()));
    });
    let options = json!({"networks": {"DMZ": {"bridge": "vmbr1", "vlan": 12}}, "storage": {"1": "fast"}});
    let rendered = render(&machine, options.clone()).unwrap();
    assert_eq!(codes(&rendered), ["network-unmapped"], "{:?}", rendered.findings);
    let pairs = created(&node.run(&machine, options, &[("BRIDGE", "vmbr9")]));
    assert_eq!(value(&pairs, "net0"), Some("virtio=52:54:00:12:34:01,bridge=vmbr9"));
    assert_eq!(value(&pairs, "net1"), Some("e1000=52:54:00:12:34:02,bridge=vmbr1,tag=12"));
    assert_eq!(value(&pairs, "net2"), Some("e1000e=52:54:00:12:34:03,bridge=br7"));
    assert_eq!(value(&pairs, "net3"), Some("rtl8139,bridge=vmbr1,tag=12"));
    assert!(value(&pairs, "sata0").unwrap().starts_with("fast:0,import-from="));
    assert_eq!(machine.cards[3].model, CardModel::Rtl8139);
}

#[test]
fn what_the_job_says_wrongly_is_an_error() {
    for (options, message) in [
        (json!({"networks": {"A": "x,y"}}), "`target.proxmox.networks`: \"x,y\" is not the name of a bridge"),
        (
            json!({"networks": {"A": {"bridge": "b", "vlan": 5000}}}),
            "`target.proxmox.networks`: 5000 is not a VLAN: they are 1 to 4094",
        ),
        (json!({"storage": {"*": "-s"}}), "`target.proxmox.storage`: \"-s\" is not the name of a storage"),
    ] {
        let error = render(&hostile(), options).unwrap_err();
        assert_eq!((error.kind.exit_code(), error.message.as_str()), (78, message));
    }
}

#[test]
fn what_has_no_place_or_no_word_is_said() {
    let many = |disks: usize, bus: DiskBus| {
        shapes().remove(0).1.with(|machine| {
            machine.disks = vec![machine.disks[0].clone().with(|disk| disk.bus = bus); disks];
        })
    };
    for (machine, message) in [
        (many(17, DiskBus::Virtio), "Proxmox VE attaches at most 16 disks and drives to virtio"),
        (many(32, DiskBus::VirtioScsi), "Proxmox VE attaches at most 31 disks and drives to scsi"),
        (many(6, DiskBus::Sata), "Proxmox VE attaches at most 6 disks and drives to sata"),
    ] {
        let error = render(&machine, json!({})).unwrap_err();
        assert_eq!((error.kind.exit_code(), error.message.as_str()), (65, message));
    }
    let odd = many(1, DiskBus::Virtio).with(|machine| {
        (machine.enlightenments, machine.clock) = (true, Clock::Utc);
        machine.disks[0].serial = Some("a-serial-number-that-is-long".to_owned());
        machine.disks[0].format = "vhdx".to_owned();
    });
    let rendered = render(&odd, json!({"networks": {"*": "vmbr0"}, "storage": {"*": "s"}})).unwrap();
    assert_eq!(codes(&rendered), ["target-lost-enlightenments", "target-lost-serial", "target-format"]);
}

#[test]
fn nothing_is_made_where_it_cannot_be() {
    let node = Node::new();
    let machine = shapes().remove(0).1;
    let none_made = |ran: &Ran, code: i32, message: &str| {
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stderr.contains(message), "{}", ran.stderr);
        assert!(ran.calls.iter().all(|call| call[0] != "qm"), "{ran:?}");
    };
    none_made(&node.run(&machine, json!({}), &[("VMID", "100")]), 73, "100 is not free: choose another number");
    none_made(&node.run(&machine, json!({}), &[("VMID", "1; id")]), 64, "VMID must be a number");
    none_made(&node.run(&machine, json!({}), &[("BRIDGE", "a,b")]), 64, "BRIDGE must be names");
    let comma = machine.with(|machine| machine.disks[0].image = "/out/a,b.qcow2".to_owned());
    none_made(&node.run(&comma, json!({}), &[]), 65, "takes no path with a comma");
}

//! The examples outside of the workspace: each is built, its own tests run, and it is used by the program.
//!
//! Needs cargo, the dependencies of the workspace already fetched, and python3.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use vmdk2kvm_tests::{Room, private_folder, run, tested_and_built};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples")
}

/// Tests and builds a crate, outside of the tree, and returns a folder with its library.
fn plugin(name: &str, library: &str) -> tempfile::TempDir {
    let krate = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples").join(name);
    fs::create_dir_all(krate.join("src")).unwrap();
    let root = examples().parent().unwrap().to_owned();
    let toml = fs::read_to_string(examples().join(name).join("Cargo.toml")).unwrap();
    let api = format!("path = \"{}\"", root.join("plugin-api").display());
    assert!(toml.contains("path = \"../../plugin-api\""));
    fs::write(krate.join("Cargo.toml"), toml.replace("path = \"../../plugin-api\"", &api)).unwrap();
    for source in fs::read_dir(examples().join(name).join("src")).unwrap() {
        let source = source.unwrap();
        fs::copy(source.path(), krate.join("src").join(source.file_name())).unwrap();
    }
    let folder = private_folder();
    fs::copy(tested_and_built(&krate, library), folder.path().join(library)).unwrap();
    folder
}

#[test]
fn the_fixer_is_used_with_its_setting() {
    let plugins = plugin("fixer", "libacme_inventory.so");
    let guest = private_folder();
    fs::create_dir_all(guest.path().join("etc/acme")).unwrap();
    fs::write(guest.path().join("etc/os-release"), "ID=debian\nVERSION_ID=\"12\"\n").unwrap();
    fs::write(guest.path().join("etc/acme/platform"), "vmware\n").unwrap();
    let (folder, tree) = (plugins.path().to_str().unwrap(), format!("dir:{}", guest.path().display()));
    let plan = run(&["plan", &tree, "--plugin-dir", folder, "--set", "plugin.acme-inventory.platform=kvm-berlin"]);
    let plan = plan.expect(0).json;
    let change = plan["changes"].as_array().unwrap().iter().find(|change| change["fixer"] == "acme-inventory").unwrap();
    assert_eq!(change["content"]["text"], "kvm-berlin\n");
}

#[test]
fn the_fetcher_is_used_from_its_store() {
    const PIECE: usize = 1 << 20;
    let plugins = plugin("fetcher", "libshelf.so");
    let store = private_folder();
    let machine = store.path().join("web");
    fs::create_dir_all(machine.join("disk0")).unwrap();
    let description = r#"{"memory_mib": 1024, "cpus": 2, "uefi": true, "disk_bytes": [4194304]}"#;
    fs::write(machine.join("vm.json"), description).unwrap();
    fs::write(machine.join("disk0/2"), vec![7; PIECE]).unwrap();
    let (folder, uri) = (plugins.path().to_str().unwrap(), format!("shelf:{}", machine.display()));
    let vm = run(&["inventory", &uri, "--plugin-dir", folder]).expect(0).json["vms"][0].clone();
    assert_eq!((vm["name"].as_str(), vm["memory_bytes"].as_u64()), (Some("web"), Some(1 << 30)));
    let out = store.path().join("out");
    run(&["flatten", &uri, "--plugin-dir", folder, "--format", "raw", "-o", out.to_str().unwrap()]).expect(0);
    let image = fs::read(out.join("web-disk1.raw")).unwrap();
    assert_eq!(image.len(), 4 * PIECE);
    assert!(
        image
            .chunks(PIECE)
            .enumerate()
            .all(|(at, piece)| piece.iter().all(|byte| *byte == if at == 2 { 7 } else { 0 }))
    );
}

#[test]
fn the_target_is_one_of_the_programs() {
    let plugins = plugin("target", "libnimbus_target.so");
    let lines = fs::read_to_string(examples().join("target/src/lib.rs")).unwrap().lines().count();
    assert!(lines < 80, "{lines} lines");
    let room = Room::new();
    fs::copy(plugins.path().join("libnimbus_target.so"), room.plugins().join("libnimbus_target.so")).unwrap();
    let more = ["--target", "nimbus", "--target", "libvirt", "--set", "target.nimbus.zone=south"];
    let done = room.run(room.migrate("out", &more)).expect(0);
    let files = |at: usize| done.json["targets"][at]["files"].clone();
    assert_eq!((files(0), files(1)), (json!(["slow.nimbus.json"]), json!(["slow.xml"])));
    let instance: Value = serde_json::from_slice(&fs::read(room.path("out/slow.nimbus.json")).unwrap()).unwrap();
    assert_eq!((&instance["name"], &instance["zone"]), (&json!("slow"), &json!("south")));
    let image = room.path("out/slow-disk1.qcow2");
    assert_eq!(instance["volumes"][0]["upload"], json!(image));

    fs::remove_file(room.path("out/slow.nimbus.json")).unwrap();
    let out = room.path("out");
    let render = |target: &str| room.run(room.command(&["render", out.to_str().unwrap(), "--target", target]));
    render("nimbus").expect(0);
    assert!(out.join("slow.nimbus.json").is_file());
    assert_eq!(
        render("nowhere").expect(69).hint(),
        "known here: incus, kubevirt, libvirt, nimbus, openstack, proxmox, qemu"
    );
    // Being installed makes it nobody's default.
    let plain = room.run(room.migrate("plain", &[])).expect(0);
    assert_eq!(plain.json["targets"][0]["name"], "libvirt");
}

#[test]
fn the_way_is_paired_with_another_plugins_catalog() {
    let plugins = plugin("way", "libgentle.so");
    let store = private_folder();
    let disk = store.path().join("disk.raw");
    let bytes: Vec<u8> = (0..4u32 << 20).map(|at| (at / 977 % 251) as u8 + 1).collect();
    fs::write(&disk, &bytes).unwrap();
    let (folder, source) = (plugins.path().to_str().unwrap(), disk.to_str().unwrap());
    let pace = ["--set", "plugin.gentle.mib_per_second=8"];
    let flatten = |out: &str, more: &[&str]| {
        let out = store.path().join(out);
        let words = ["flatten", source, "--plugin-dir", folder, "--format", "raw", "-o", out.to_str().unwrap()];
        run(&[&words, more].concat())
    };
    let began = std::time::Instant::now();
    let report = flatten("out", &pace).expect(0).json;
    assert!(began.elapsed().as_secs_f64() >= 0.5, "4 MiB at 8 MiB/s");
    assert_eq!((&report["ways"][0]["scheme"], &report["ways"][0]["plugin"]), (&"file".into(), &"gentle 0.1.0".into()));
    assert_eq!(fs::read(store.path().join("out/disk-disk1.raw")).unwrap(), bytes);
    // Without a pace it carries nothing; the user may insist.
    let report = flatten("local", &[]).expect(0).json;
    assert!(report["ways"][0]["plugin"].as_str().unwrap().starts_with("local "));
    // It has no catalog, and promises none.
    let library = plugins.path().join("libgentle.so");
    let checked = run(&["plugin", "check", library.to_str().unwrap(), "--sample", source]).expect(0);
    let skipped =
        checked.json["checks"].as_array().unwrap().iter().find(|check| check["outcome"] == "skipped").unwrap();
    assert_eq!(skipped["why"], "it describes no sources");
    let refused = flatten("none", &["--transport", "gentle"]).expect(69);
    assert!(refused.message().ends_with("none of its ways can be read (file: no plugin carries it)"), "{refused:?}");
    assert!(refused.hint().starts_with("`gentle` is the one that was asked for"), "{}", refused.hint());
}

#[test]
fn the_script_passes_its_own_test() {
    let tested = Command::new(examples().join("script/test")).output().expect("python3 (package python3)");
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
}

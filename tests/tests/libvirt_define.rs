//! A machine defined at a real libvirt daemon, which the test starts: its images in the pool, its domain as it was written, nothing started,
//! nothing replaced, nothing left by a step that fails. Requires what [`Libvirtd`] does.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vmdk2kvm_plugin_api::model::{
    Card, CardModel, CardNetwork, Cpus, Define, Defined, DiskBus, Firmware, Machine, MachineDisk, Render,
};
use vmdk2kvm_plugin_api::{ErrorKind, Host, HostServices, LogRecord, Plugin, Progress, Result, Slot};
use vmdk2kvm_plugin_testing::FakeHost;
use vmdk2kvm_target_libvirt::TargetLibvirt;
use vmdk2kvm_tests::{Libvirtd, Outcome, Room, Running, Signal, contents, open_for_driver};

const UUID: &str = "564d1234-5678-9abc-def0-123456789abc";

/// A host that asks to stop when it is asked so often whether it does: a fault at each step.
struct StopsAt(FakeHost, AtomicI64);

impl HostServices for StopsAt {
    fn cancelled(&self) -> bool {
        self.1.fetch_sub(1, Ordering::SeqCst) <= 0
    }

    fn progress(&self, progress: &Progress<'_>) {
        HostServices::progress(&self.0, progress);
    }

    fn secret(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.0.secret(name)
    }

    fn lend_secret(&self, value: &[u8]) -> Result<String> {
        self.0.lend_secret(value)
    }

    fn warn(&self, message: &str) {
        self.0.warn(message);
    }

    fn folder(&self) -> Result<String> {
        self.0.folder()
    }

    fn slot(&self, name: &str, limit: u32) -> Result<Slot> {
        self.0.slot(name, limit)
    }

    fn log(&self, record: &LogRecord) {
        self.0.log(record);
    }

    fn log_level(&self) -> u8 {
        self.0.log_level()
    }
}

/// Defines, and is asked to stop at a step.
fn define(request: &Define, steps: i64) -> Result<Defined> {
    let services = Arc::new(StopsAt(FakeHost::new(), AtomicI64::new(steps)));
    TargetLibvirt::new(Host::new(services, json!({})))?.converter().unwrap().define(request)
}

/// Two disks of a guest, one of them with holes.
fn machine(folder: &Path) -> Machine {
    let raw = folder.join("data.raw");
    let mut bytes = vec![0u8; 3 << 20];
    bytes[1 << 20..2 << 20].copy_from_slice(&(0..1 << 20).map(|at: usize| (at % 251) as u8 + 1).collect::<Vec<_>>());
    fs::write(&raw, bytes).unwrap();
    let qemu_img = |words: &[&str]| assert!(Command::new("qemu-img").args(words).status().unwrap().success());
    let system = folder.join("system.qcow2");
    qemu_img(&["convert", "-f", "raw", "-O", "qcow2", raw.to_str().unwrap(), system.to_str().unwrap()]);
    qemu_img(&["resize", "-q", "-f", "qcow2", system.to_str().unwrap(), "1G"]);
    // A hole at the end.
    fs::OpenOptions::new().write(true).open(&raw).unwrap().set_len(64 << 20).unwrap();
    let disk = |format: &str, path: &Path, size| {
        MachineDisk::new(format, size, DiskBus::Virtio).with(|disk| disk.image = path.to_str().unwrap().to_owned())
    };
    Machine::new("web", Firmware::Bios, Cpus::new(2, 1), 256 << 20).with(|machine| {
        machine.uuid = Some(UUID.to_owned());
        machine.disks = vec![disk("qcow2", &system, 1 << 30), disk("raw", &raw, 64 << 20)];
        machine.cards = vec![Card::new(CardModel::Virtio).with(|card| {
            card.mac = Some("00:50:56:2a:77:01".to_owned());
            card.network = Some(CardNetwork::Network("lab".to_owned()));
        })];
        machine.paravirtual = true;
        machine.serial_console = true;
    })
}

fn request(daemon: &Libvirtd, machine: Machine, run: &str) -> Define {
    let render = Render::new("libvirt", machine, "web").with(|render| render.options = json!({"accelerator": "tcg"}));
    Define::new(render, run).with(|request| {
        request.connect = Some(daemon.uri());
        request.pool = Some("images".to_owned());
    })
}

#[test]
fn a_step_that_fails_leaves_nothing_and_the_same_again_changes_nothing() {
    let daemon = Libvirtd::start();
    let folder = tempfile::tempdir().unwrap();
    let request = request(&daemon, machine(folder.path()), "a1b2c3d4e5f60718");
    let (before, images) = (daemon.state(), contents(folder.path()));
    let mut steps = 0;
    let defined = loop {
        match define(&request, steps) {
            Ok(defined) => break defined,
            Err(error) => {
                assert_eq!((error.kind, error.hint.as_deref()), (ErrorKind::Interrupted, None), "step {steps}");
                assert_eq!(daemon.state(), before, "step {steps}");
            }
        }
        steps += 1;
    };
    assert!(steps > 10, "only {steps} steps could fail");
    assert_eq!((defined.name.as_str(), defined.unchanged, defined.findings), ("web", false, vec![]));
    assert_eq!(contents(folder.path()), images);

    // As it was written, ours, not started, and not by itself.
    let xml = daemon.virsh(&["dumpxml", "web"]);
    assert!(xml.contains("run=\"a1b2c3d4e5f60718\"") || xml.contains("run='a1b2c3d4e5f60718'"), "{xml}");
    assert_eq!(daemon.virsh(&["domstate", "web"]), "shut off");
    assert!(
        daemon
            .virsh(&["dominfo", "web"])
            .lines()
            .any(|line| line.starts_with("Autostart") && line.ends_with("disable"))
    );

    // The images are what they were, holes and all.
    let in_pool = contents(&daemon.pool());
    let digests = |contents: &std::collections::BTreeMap<String, String>| {
        let mut digests: Vec<String> = contents.values().cloned().collect();
        digests.sort();
        digests
    };
    assert_eq!(in_pool.keys().collect::<Vec<_>>(), ["web-a1b2c3d4e5f6-disk1.qcow2", "web-a1b2c3d4e5f6-disk2.raw"]);
    assert_eq!(digests(&in_pool), digests(&images));
    let stored = |path: &Path| fs::metadata(path).unwrap().blocks() * 512;
    let (there, here) = (daemon.pool().join("web-a1b2c3d4e5f6-disk2.raw"), folder.path().join("data.raw"));
    assert!(stored(&there) <= stored(&here), "{} bytes are stored of {}", stored(&there), stored(&here));

    let after = daemon.state();
    let again = define(&request, i64::MAX).unwrap();
    assert!(again.unchanged && again.findings.is_empty(), "{again:?}");
    assert_eq!(daemon.state(), after);
}

#[test]
fn what_a_dead_run_left_half_made_is_made_anew() {
    let daemon = Libvirtd::start();
    let folder = tempfile::tempdir().unwrap();
    let request = request(&daemon, machine(folder.path()), "a1b2c3d4e5f60718");
    // As a run leaves it that is killed while it sends its first image.
    for name in ["web-a1b2c3d4e5f6-disk1.qcow2", "web-a1b2c3d4e5f6-disk1.qcow2.part"] {
        daemon.virsh(&["vol-create-as", "images", name, "1M"]);
    }
    assert!(!define(&request, i64::MAX).unwrap().unchanged);
    let in_pool = contents(&daemon.pool());
    assert_eq!(in_pool.keys().collect::<Vec<_>>(), ["web-a1b2c3d4e5f6-disk1.qcow2", "web-a1b2c3d4e5f6-disk2.raw"]);
    assert!(contents(folder.path()).values().any(|digest| *digest == in_pool["web-a1b2c3d4e5f6-disk1.qcow2"]));

    // Of a domain that a person undefined the images may hold what its guest wrote.
    daemon.virsh(&["undefine", "web"]);
    let before = daemon.state();
    let refused = define(&request, i64::MAX).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Output);
    assert!(refused.message.contains("has a volume web-a1b2c3d4e5f6-disk1.qcow2 already"), "{}", refused.message);
    assert_eq!(daemon.state(), before);
}

#[test]
fn nothing_is_replaced_but_ours_and_that_only_when_told() {
    let daemon = Libvirtd::start();
    let folder = tempfile::tempdir().unwrap();
    let machine = machine(folder.path());
    let refused = |request: &Define, message: &str| {
        let before = daemon.state();
        let error = define(request, i64::MAX).unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Output, message));
        assert_eq!(daemon.state(), before);
    };
    let first = request(&daemon, machine.clone(), "a1b2c3d4e5f60718").with(|request| request.replace = true);
    // libvirt itself would replace this one without a word.
    daemon.foreign("web", UUID);
    refused(&first, "a domain web exists already, and was not defined by this program");
    daemon.virsh(&["undefine", "web"]);
    daemon.foreign("web", "11111111-2222-4333-8444-555555555555");
    refused(&first, "a domain web exists already, and was not defined by this program");
    daemon.virsh(&["undefine", "web"]);
    daemon.foreign("other", UUID);
    refused(&first, "a domain other exists already, and was not defined by this program");
    daemon.foreign("web", "11111111-2222-4333-8444-555555555555");
    refused(&first, "the name web and its UUID belong to two domains, web and other");
    for name in ["web", "other"] {
        daemon.virsh(&["undefine", name]);
    }

    define(&first, i64::MAX).unwrap();
    let mut second = request(&daemon, machine, "ffffffffffffffff");
    second.render.machine.memory_bytes = 512 << 20;
    refused(&second, "a domain web of this program exists already, from another definition");
    // A fault while one of ours is replaced puts the former one back.
    second.replace = true;
    let state = || daemon.state().iter().map(|text| sorted(text)).collect::<Vec<_>>();
    let before = state();
    let mut steps = 0;
    let replaced = loop {
        match define(&second, steps) {
            Ok(replaced) => break replaced,
            Err(_) => assert_eq!(state(), before, "step {steps}"),
        }
        steps += 1;
    };
    let codes: Vec<&str> = replaced.findings.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(codes, ["libvirt-volume-left", "libvirt-volume-left"]);
    assert!(daemon.virsh(&["dumpxml", "web"]).contains(">524288<"));
    assert!(daemon.pool().join("web-a1b2c3d4e5f6-disk1.qcow2").exists(), "a guest may have written to it");

    // Nothing is replaced under a guest that runs.
    daemon.virsh(&["start", "web", "--paused"]);
    second.render.machine.memory_bytes = 256 << 20;
    let running = define(&second, i64::MAX).unwrap_err();
    assert_eq!((running.kind, running.message.as_str()), (ErrorKind::Output, "the domain web is running"));
    assert_eq!(daemon.virsh(&["domstate", "web"]), "paused");
    // What a person changed is told, and kept.
    daemon.virsh(&["destroy", "web"]);
    second.render.machine.memory_bytes = 512 << 20;
    daemon.virsh(&["setmaxmem", "web", "128M", "--config"]);
    let drifted = define(&second, i64::MAX).unwrap();
    let finding = drifted.findings.first().map(|finding| finding.code.as_str());
    assert_eq!((drifted.unchanged, finding), (true, Some("libvirt-domain-changed")), "{:?}", drifted.findings);
}

/// The lines of a document in an order of their own: libvirt puts controllers elsewhere when it reads its own.
fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// The command, on the result of a migration.
fn command(room: &Room, daemon: &Libvirtd, more: &[&str]) -> Outcome {
    let (out, uri) = (room.path("out"), daemon.uri());
    let mut words = vec!["define", out.to_str().unwrap(), "--connect", &uri, "--set", "target.libvirt.accelerator=tcg"];
    words.extend(more);
    room.run(room.command(&words))
}

fn codes(outcome: &Outcome) -> Vec<&str> {
    let findings = outcome.json["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

#[test]
fn the_result_of_a_migration_is_defined_by_the_command() {
    let daemon = Libvirtd::start();
    let room = Room::new();
    room.run(room.migrate("out", &[])).expect(0);
    let before = contents(&room.path("out"));
    let name = |outcome: &Outcome| outcome.json["name"].as_str().unwrap().to_owned();
    let network = "VM Network=lab";
    let defined = command(&room, &daemon, &["--pool", "images", "--network", network, "--network", "*=lab"]).expect(0);
    assert_eq!((defined.json["target"].as_str(), defined.json["unchanged"].as_bool()), (Some("libvirt"), Some(false)));
    assert!(codes(&defined).is_empty(), "{}", defined.json["findings"]);
    assert_eq!(contents(&room.path("out")), before);
    assert_eq!(daemon.virsh(&["domstate", &name(&defined)]), "shut off");
    assert_eq!(contents(&daemon.pool()).len(), 1);
    let again = command(&room, &daemon, &["--pool", "images", "--network", network, "--network", "*=lab"]).expect(0);
    assert_eq!((again.json["unchanged"].as_bool(), name(&again)), (Some(true), name(&defined)));

    // The images where they are; what will keep it from starting is said now.
    let other = command(&room, &daemon, &["--replace", "--network", "*=nowhere"]).expect(0);
    assert!(codes(&other).contains(&"libvirt-volume-left"), "{:?}", codes(&other));
    let xml = daemon.virsh(&["dumpxml", &name(&other)]);
    assert!(xml.contains(&format!("{}/out/slow-disk1.qcow2", room.path("").display()).replace("//", "/")), "{xml}");

    let pool = command(&room, &daemon, &["--pool", "nowhere"]).expect(73);
    assert_eq!(
        (pool.message(), pool.hint()),
        ("there is no pool nowhere", "virsh pool-list --all shows those that are")
    );
    let (out, uri) = (room.path("out"), "qemu+unix:///system?socket=/nonexistent/x");
    let daemon = room.run(room.command(&["define", out.to_str().unwrap(), "--connect", uri])).expect(69);
    assert!(daemon.message().contains("no connection to libvirt"), "{}", daemon.message());
    let missing = room.run(room.command(&["define", room.path("nothing").to_str().unwrap()])).expect(65);
    assert!(missing.message().contains("report.json"), "{}", missing.message());
}

#[test]
fn a_run_that_is_killed_is_made_up_for_by_the_next() {
    let daemon = Libvirtd::start();
    let room = Room::new();
    let name = room.run(room.migrate("out", &[])).expect(0).json["vm"]["name"].as_str().unwrap().to_owned();
    let (out, uri) = (room.path("out"), daemon.uri());
    let words = ["define", out.to_str().unwrap(), "--connect", &uri, "--pool", "images", "--network", "*=lab"];
    let words = [&words[..], &["--set", "target.libvirt.accelerator=tcg"]].concat();
    let empty = daemon.state();
    let whole = Instant::now();
    room.run(room.command(&words)).expect(0);
    let (whole, expected) = (whole.elapsed(), contents(&daemon.pool()));
    // At any moment of it.
    for moment in 0..10 {
        daemon.virsh(&["undefine", &name]);
        for volume in contents(&daemon.pool()).keys() {
            daemon.virsh(&["vol-delete", volume, "--pool", "images"]);
        }
        assert_eq!(daemon.state(), empty);
        let mut run = Running::start(room.command(&words));
        std::thread::sleep(whole * moment / 10);
        run.signal(Signal::KILL);
        run.wait_for_end();
        // Its worker ends by itself. A folder of one that had no worker yet stays, in what goes when the machine restarts.
        while !run.pids().is_empty() {
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(run);
        let defined = room.run(room.command(&words)).expect(0);
        assert_eq!(defined.json["name"].as_str(), Some(&*name), "moment {moment}");
        assert_eq!(contents(&daemon.pool()), expected, "moment {moment}");
        assert_eq!(daemon.virsh(&["domstate", &name]), "shut off");
        assert_eq!(room.run(room.command(&words)).expect(0).json["unchanged"], true);
    }
}

#[test]
fn a_driver_inside_of_the_run_defines_too() {
    let room = Room::new();
    room.run(room.migrate("out", &[])).expect(0);
    let root = tempfile::Builder::new().prefix("lv").tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    fs::write(root.path().join("etc/qemu.conf"), "stdio_handler = \"file\"\n").unwrap();
    let uri = format!("qemu:///embed?root={}", root.path().display());
    let (out, define) = (room.path("out"), "define");
    let run = || {
        let words = [define, out.to_str().unwrap(), "--connect", &uri, "--set", "target.libvirt.accelerator=tcg"];
        room.run(room.command(&[&words[..], &open_for_driver()].concat())).expect(0).json
    };
    let first: Value = run();
    assert_eq!(first["unchanged"], false);
    let stored = root.path().join(format!("etc/qemu/{}.xml", first["name"].as_str().unwrap()));
    assert!(fs::read_to_string(stored).unwrap().contains("vmdk2kvm.github.io"));
    assert_eq!(run()["unchanged"], true);
}

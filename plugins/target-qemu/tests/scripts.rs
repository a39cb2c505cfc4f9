//! The scripts: as text, to shellcheck, and to qemu itself.
//! Requires: bash, shellcheck, qemu-system-x86_64 (package qemu-system-x86), qemu-img (qemu-utils), and ovmf.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use vmdk2kvm_plugin_api::model::{
    Card, CardModel, CardNetwork, Chipset, Cpus, DiskBus, Firmware, Machine, MachineDisk, MachineDrive, RemovableKind,
    Render, Rendered, Severity,
};
use vmdk2kvm_plugin_api::{Plugin, Result};
use vmdk2kvm_plugin_testing::{FakeHost, shellcheck};
use vmdk2kvm_target_qemu::{TARGET, TargetQemu};

/// Writes `up` to the first serial port, and halts.
const SECTOR: [u8; 12] = [0xba, 0xf8, 0x03, 0xb0, b'u', 0xee, 0xb0, b'p', 0xee, 0xf4, 0xeb, 0xfd];

fn render(machine: &Machine, file_name: &str) -> Result<Rendered> {
    let converter = TargetQemu::new(FakeHost::new().without_settings()).unwrap().converter().unwrap();
    assert_eq!(converter.targets(), [TARGET]);
    converter.render(&Render::new(TARGET, machine.clone(), file_name))
}

fn text(machine: &Machine) -> String {
    render(machine, "web").unwrap().files.remove(0).text
}

fn machine(disks: usize, bus: DiskBus) -> Machine {
    Machine::new("web", Firmware::Bios, Cpus::new(2, 2), 256 << 20).with(|machine| {
        machine.uuid = Some("564d1234-5678-9abc-def0-123456789abc".to_owned());
        machine.disks = (1..=disks).map(|number| disk(number, bus)).collect();
        machine.drives = vec![MachineDrive::new(RemovableKind::Cdrom, DiskBus::Sata)];
        machine.cards = vec![card(CardModel::Virtio)];
        machine.paravirtual = true;
    })
}

fn disk(number: usize, bus: DiskBus) -> MachineDisk {
    MachineDisk::new("raw", 1 << 20, bus).with(|disk| {
        disk.image = format!("/out/web-disk{number}.raw");
        disk.serial = Some(format!("disk{number}"));
        disk.boot_order = u32::try_from(number).ok();
    })
}

fn card(model: CardModel) -> Card {
    Card::new(model).with(|card| card.mac = Some("00:50:56:aa:bb:01".to_owned()))
}

fn uefi(machine: Machine) -> Machine {
    machine.with(|machine| machine.firmware = Firmware::Uefi)
}

/// The nine that every target is held against, on small disks, and some more.
fn shapes() -> Vec<(&'static str, Machine)> {
    let small = |machine: Machine| {
        machine.with(|machine| {
            machine.memory_bytes = 256 << 20;
            for disk in &mut machine.disks {
                (disk.format, disk.size_bytes) = ("raw".to_owned(), 1 << 20);
            }
        })
    };
    let plain = |disks| {
        machine(disks, DiskBus::Sata).with(|machine| {
            machine.paravirtual = false;
            machine.cards = vec![card(CardModel::E1000e)];
        })
    };
    let own = [
        ("many SATA disks", plain(14)),
        ("an unknown guest", plain(2)),
        ("no card, no console", {
            machine(1, DiskBus::Virtio).with(|machine| {
                machine.cards.clear();
                machine.serial_console = false;
            })
        }),
    ];
    vmdk2kvm_plugin_testing::shapes().into_iter().map(|(shape, machine)| (shape, small(machine))).chain(own).collect()
}

/// A folder with a script and its images, whose names are awkward.
struct Bench {
    folder: tempfile::TempDir,
    script: PathBuf,
}

impl Bench {
    /// The images hold the sector when the firmware can read it; the script names them where they are not any more.
    fn of(machine: &Machine) -> Self {
        let folder = tempfile::Builder::new().prefix("it's, a \"$(folder)\"").tempdir().unwrap();
        let name = "we'b, $HOME";
        let mut machine = machine.clone();
        for (index, disk) in machine.disks.iter_mut().enumerate() {
            let image = format!("{name}-disk{}.raw", index + 1);
            let mut sector = vec![0; 1 << 20];
            sector[..SECTOR.len()].copy_from_slice(&SECTOR);
            sector[510..512].copy_from_slice(&[0x55, 0xaa]);
            std::fs::write(folder.path().join(&image), sector).unwrap();
            disk.image = format!("/moved away/{image}");
        }
        let file = render(&machine, name).unwrap().files.remove(0);
        let script = folder.path().join(file.name);
        std::fs::write(&script, file.text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(file.mode)).unwrap();
        Self { folder, script }
    }

    /// The script under translation, without a screen, whatever this machine has.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.script);
        command.env("QEMU_ACCEL", "tcg").env("QEMU_DISPLAY", "none");
        command
    }
}

#[test]
fn the_script_can_be_run_by_its_owner() {
    let rendered = render(&machine(2, DiskBus::Virtio), "web").unwrap();
    let [file] = &rendered.files[..] else { panic!("{rendered:?}") };
    assert_eq!((file.name.as_str(), file.mode), ("web.qemu.sh", 0o700));
    assert!(rendered.findings.is_empty());
}

#[test]
fn a_network_that_the_script_cannot_join_is_said() {
    let bridged = machine(1, DiskBus::Virtio).with(|machine| {
        machine.cards[0].network = Some(CardNetwork::Bridge("br0".to_owned()));
    });
    let rendered = render(&bridged, "web").unwrap();
    let [finding] = &rendered.findings[..] else { panic!("{rendered:?}") };
    assert_eq!((finding.code.as_str(), finding.severity), ("target-lost-network", Severity::Warn));
    assert_eq!(finding.message, "the script connects no card to the network br0: it has user networking");
}

#[test]
fn shellcheck_is_content_with_every_shape() {
    for (shape, machine) in shapes() {
        assert_eq!(shellcheck(&text(&machine)), "", "{shape}");
    }
}

#[test]
fn hostile_values_stay_values() {
    let hostile = "'\"; touch owned; $(touch owned) `touch owned` \\ ,x=y\n\u{1b}[2J\u{202e}#";
    let mut machine = machine(1, DiskBus::Virtio);
    machine.name = hostile.to_owned();
    machine.uuid = Some(hostile.to_owned());
    machine.genid = Some(hostile.to_owned());
    machine.disks[0].serial = Some(hostile.to_owned());
    machine.cards[0].mac = Some(hostile.to_owned());
    machine.cpus.sockets = u32::MAX;
    machine.cpus.cores_per_socket = u32::MAX;
    assert_eq!(shellcheck(&text(&machine)), "");
    let bench = Bench::of(&machine);
    let script = std::fs::read_to_string(&bench.script).unwrap();
    assert!(!script.contains(['\u{1b}', '\u{202e}']), "{script}");

    // In place of qemu: shows what it was started with.
    let program = bench.folder.path().join("show");
    std::fs::write(&program, "#!/bin/sh\nprintf '%s\\0' \"$@\"\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let work = tempfile::tempdir().unwrap();
    let output = bench.command().env("QEMU", &program).args(["-S", "a b"]).current_dir(work.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 0, "something was run");
    let words = String::from_utf8(output.stdout).unwrap();
    let words: Vec<&str> = words.trim_end_matches('\0').split('\0').collect();
    let name = "guest='\"; touch owned; $(touch owned) `touch owned` \\ ,,x=y__[2J_#";
    assert_eq!(words[..2], ["-name", name]);
    let image = format!("{}-disk1.raw", "we'b, $HOME");
    let image = bench.folder.path().join(image).to_str().unwrap().replace(',', ",,");
    let node = "driver=raw,node-name=disk0,discard=unmap,file.driver=file,file.discard=unmap,file.filename=";
    assert!(words.contains(&format!("{node}{image}").as_str()), "{words:?}");
    assert!(!words.contains(&"-uuid") && words.contains(&"virtio-blk-pci,drive=disk0,bootindex=1"), "{words:?}");
    assert!(words.contains(&"virtio-net-pci,netdev=net0") && words.contains(&"2,sockets=2,cores=1,threads=1"));
    assert_eq!(words[words.len() - 2..], ["-S", "a b"]);
}

#[test]
fn what_cannot_be_written_is_said() {
    let refused = |change: fn(&mut Machine)| render(&machine(1, DiskBus::Virtio).with(change), "web").unwrap_err();
    let error = refused(|machine| machine.disks[0].image = "web.raw".to_owned());
    assert_eq!(
        (error.kind.exit_code(), error.message.as_str()),
        (73, "\"web.raw\": the path of an image cannot be written")
    );
    let error = refused(|machine| machine.disks[0].format = "raw,x".to_owned());
    assert_eq!(error.message, "qemu opens no disks of the format \"raw,x\"");
    let error = refused(|machine| machine.cards = vec![card(CardModel::Virtio); 30]);
    assert_eq!(
        error.message,
        "the machine has 31 controllers, disks and cards, more than the 24 that the target qemu attaches"
    );
    let error = refused(|machine| {
        machine.chipset = Chipset::Pc;
        machine.disks = (1..=5).map(|number| disk(number, DiskBus::Ide)).collect();
    });
    assert_eq!(error.message, "the older board takes 4 IDE drives, not more");
}

/// qemu takes every word of every shape: each is started paused and asked to end.
#[test]
fn qemu_starts_every_shape() {
    for (shape, machine) in shapes() {
        let bench = Bench::of(&machine);
        let mut child = bench
            .command()
            .env("QEMU_SERIAL", "null")
            .args(["-S", "-qmp", "stdio"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"quit\"}\n";
        // When it ended before that, the status says so below.
        let _ = child.stdin.as_mut().unwrap().write_all(commands);
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let (said, warned) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success() && said.contains("\"QMP\""), "{shape}: {said} {warned}");
        assert_eq!(warned.contains("starts without its TPM"), machine.tpm && !installed("swtpm"), "{shape}: {warned}");
        let nvram = bench.folder.path().join("we'b, $HOME.nvram.fd");
        assert_eq!(nvram.exists(), machine.firmware == Firmware::Uefi, "{shape}");
        if nvram.exists() {
            assert_eq!(std::fs::metadata(&nvram).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}

#[test]
fn a_guest_boots_from_the_disk_that_is_told() {
    let mut machine = machine(2, DiskBus::Virtio);
    (machine.disks[0].boot_order, machine.disks[1].boot_order) = (None, Some(1));
    let bench = Bench::of(&machine);
    std::fs::write(bench.folder.path().join("we'b, $HOME-disk1.raw"), vec![0; 1 << 20]).unwrap();
    let mut child =
        bench.command().env("QEMU_SERIAL", "stdio").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = Vec::new();
    let mut console = child.stdout.take().unwrap();
    let mut buffer = [0; 64];
    while !said.windows(2).any(|two| two == b"up") {
        match console.read(&mut buffer).unwrap() {
            0 => panic!("qemu ended: {}", String::from_utf8_lossy(&said)),
            read => said.extend_from_slice(&buffer[..read]),
        }
    }
    // The script has become qemu.
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_is_missing_is_named() {
    let run = |bench: &Bench, variable: &str, value: &str| bench.command().env(variable, value).output().unwrap();
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let bench = Bench::of(&machine(1, DiskBus::Virtio));
    let output = run(&bench, "QEMU", "no-such-qemu");
    assert_eq!(output.status.code(), Some(69));
    assert!(said(&output).contains("no-such-qemu is not installed: install the package qemu-system-x86"));
    std::fs::remove_file(bench.folder.path().join("we'b, $HOME-disk1.raw")).unwrap();
    let output = run(&bench, "QEMU", "true");
    assert_eq!(output.status.code(), Some(65));
    assert!(said(&output).contains("/moved away/we'b, $HOME-disk1.raw is missing"), "{}", said(&output));

    let bench = Bench::of(&uefi(machine(1, DiskBus::Virtio)));
    let output = run(&bench, "QEMU_CODE", "/nowhere");
    assert_eq!(output.status.code(), Some(69));
    assert!(said(&output).contains("there is no UEFI firmware: install the package ovmf"), "{}", said(&output));
}

fn installed(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| Path::new(&folder).join(program).exists())
}

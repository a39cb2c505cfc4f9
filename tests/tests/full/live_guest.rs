//! A real guest of the lab that runs on devices like VMware's, fixed while it runs, taken back, fixed again, and then booted: on the devices that
//! it had, and on those of KVM. Starts machines one after the other.
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use vmdk2kvm_tests::{LabGuest, lab, run};

/// Under emulation on a busy machine a boot takes minutes.
const PATIENCE: Duration = Duration::from_secs(900);

/// The guest on the devices that it was made for, with what the program needs to get in.
struct OnVmware {
    qemu: Child,
    port: u16,
    work: tempfile::TempDir,
}

impl Drop for OnVmware {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

impl OnVmware {
    /// Boots an overlay of its disk, which stays.
    fn boot(guest: &LabGuest) -> Self {
        let work = tempfile::tempdir().unwrap();
        let overlay = work.path().join("disk.qcow2");
        let made = Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
            .args([&guest.folder.join("disk.raw"), &overlay])
            .status();
        assert!(made.expect("qemu-img (package qemu-utils)").success());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (address, mac) = (guest.fact("ADDRESS"), guest.fact("MAC"));
        // As tests/lab/boot has them.
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args([
            "-machine",
            "q35,graphics=off",
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max",
            "-smp",
            "2",
            "-m",
            "1024",
        ])
        .args(["-nodefaults", "-display", "none", "-vga", "std", "-no-reboot", "-serial"])
        .arg(format!("file:{}", work.path().join("console.log").display()))
        .arg("-drive")
        .arg(format!("if=none,id=disk,format=qcow2,file={}", overlay.display()))
        .args(["-device", "ide-cd,bus=ide.1", "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"]);
        for (port, slot) in [("1", "1"), ("2", "2"), ("3", "3"), ("4", "192")] {
            let at = port.parse::<u32>().unwrap() + 1;
            qemu.arg("-device")
                .arg(format!("pcie-root-port,id=port{port},bus=pcie.0,addr={at:#x},chassis={port},slot={slot}"));
        }
        qemu.args(["-device", "pvscsi,id=scsi,bus=port3"])
            .args(["-device", "scsi-hd,bus=scsi.0,scsi-id=0,lun=0,drive=disk,bootindex=1", "-device"])
            .arg(format!("vmxnet3,bus=port4,netdev=net,mac={mac},romfile="))
            .arg("-netdev")
            .arg(format!("user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-{address}:22"))
            .stdin(Stdio::null());
        let key = work.path().join("key");
        std::fs::copy(guest.folder.join("id_ed25519"), &key).unwrap();
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let known = work.path().join("known");
        let config = format!(
            "Host *\nIdentityFile {}\nIdentitiesOnly yes\nUserKnownHostsFile {}\nGlobalKnownHostsFile /dev/null\n",
            key.display(),
            known.display()
        );
        std::fs::write(work.path().join("config"), config).unwrap();
        let qemu = qemu.spawn().expect("qemu-system-x86_64 (package qemu-system-x86)");
        let mut machine = Self { qemu, port, work };
        machine.wait();
        machine
    }

    /// Waits until root can log in. Whoever runs the test takes the key that the guest shows for its own, as a user would the first time.
    fn wait(&mut self) {
        let begin = Instant::now();
        while self.try_ssh("true").is_none() {
            assert!(
                self.qemu.try_wait().unwrap().is_none() && begin.elapsed() < PATIENCE,
                "no login: {}",
                self.console()
            );
            std::thread::sleep(Duration::from_secs(2));
        }
    }

    fn console(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.work.path().join("console.log")).unwrap_or_default()).into_owned()
    }

    fn try_ssh(&self, command: &str) -> Option<String> {
        let output = Command::new("ssh")
            .arg("-F")
            .arg(self.work.path().join("config"))
            .args(["-o", "StrictHostKeyChecking=accept-new", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"])
            .args(["-p", &self.port.to_string(), "root@127.0.0.1", command])
            .stdin(Stdio::null())
            .output()
            .expect("ssh (package openssh-client)");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn ssh(&self, command: &str) -> String {
        self.try_ssh(command).unwrap_or_else(|| panic!("`{command}` failed in the guest"))
    }

    fn program(&self, command: &str, more: &[&str]) -> vmdk2kvm_tests::Outcome {
        let address = format!("ssh://root@127.0.0.1:{}", self.port);
        let config = format!("plugin.ssh.config={}", self.work.path().join("config").display());
        let folders = format!("containment.folders=[\"{}\"]", self.work.path().display());
        run(&[&[command, &address, "--set", &config, "--set", &folders][..], more].concat())
    }

    /// Shuts the guest down; its disk stays.
    fn shut_down(&mut self) -> PathBuf {
        let _ = self.try_ssh("systemctl poweroff");
        let begin = Instant::now();
        while self.qemu.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < PATIENCE, "it does not shut down: {}", self.console());
            std::thread::sleep(Duration::from_secs(1));
        }
        self.work.path().join("disk.qcow2")
    }
}

/// How a disk comes up on a bus, in the word of tests/lab/boot.
fn boots(guest: &LabGuest, disk: &Path, bus: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("lab/boot");
    let mut boot = Command::new(script);
    boot.arg(disk).args(["--bus", bus, "--mac", guest.fact("MAC"), "--timeout", "900", "--ssh"]);
    boot.arg(guest.folder.join("id_ed25519")).arg(guest.fact("ADDRESS"));
    let output = boot.stderr(Stdio::inherit()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_guest_that_is_fixed_while_it_runs_boots_on_both() {
    let guest = lab("bookworm-bios");
    let mut machine = OnVmware::boot(&guest);
    let state = "sha256sum /etc/fstab /etc/default/grub /boot/grub/grub.cfg /boot/initrd.img-* /etc/initramfs-tools/modules; \
                 ls -lR /etc /boot --time-style=+ | sha256sum";
    let before = machine.ssh(state);

    let inspection = machine.program("inspect", &[]).expect(0).json;
    assert_eq!((&inspection["live"], &inspection["root"]), (&true.into(), &"/dev/sda1".into()));
    assert_eq!(inspection["vm"]["nics"][0]["guest_name"], guest.fact("CARD"));
    assert_eq!(machine.ssh(state), before, "looking changes nothing");

    let fixed = machine.program("live-fix", &["--live"]).expect(0);
    let targets: Vec<&str> =
        fixed.json["changes"].as_array().unwrap().iter().map(|change| change["target"].as_str().unwrap()).collect();
    assert_eq!(fixed.json["converged"], true, "{targets:?}");
    assert!(targets.contains(&"/etc/fstab") && targets.iter().any(|target| target.starts_with("/boot/initrd.img-")));
    let fstab = machine.ssh("cat /etc/fstab");
    assert!(
        !fstab.lines().any(|line| line.starts_with("/dev/disk/by-path") || line.starts_with("/dev/sda")),
        "{fstab}"
    );
    machine.program("live-fix", &["--live", "--rollback"]).expect(0);
    assert_eq!(machine.ssh(state), before, "taken back");
    machine.program("live-fix", &["--live"]).expect(0);
    assert_eq!(machine.ssh("systemctl --failed --no-legend --plain | grep vmdk2kvm || true"), "");

    let disk = machine.shut_down();
    assert_eq!(boots(&guest, &disk, "vmware"), "login");
    assert_eq!(boots(&guest, &disk, "virtio"), "login");
}

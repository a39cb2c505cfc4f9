//! A migrated guest, booted once more, independently of the program, and logged into over ssh at its static address.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::LabGuest;

/// How long a guest may take until its sshd lets us in. Under emulation on a busy machine a boot takes minutes.
const PATIENCE: Duration = Duration::from_secs(420);

/// A running guest; ended when dropped.
pub struct Booted {
    qemu: Child,
    port: u16,
    key: std::path::PathBuf,
    _work: tempfile::TempDir,
}

impl Drop for Booted {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// Boots an overlay of `image` on virtio with fresh firmware variables, its network reached only at the guest's own static address, and
/// waits until root can log in.
pub fn boot(guest: &LabGuest, image: &Path) -> Booted {
    let work = tempfile::tempdir().unwrap();
    let overlay = work.path().join("overlay.qcow2");
    let made = Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"])
        .args([image, &overlay])
        .status()
        .expect("qemu-img (package qemu-utils)");
    assert!(made.success());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (address, mac) = (guest.fact("ADDRESS"), guest.fact("MAC"));
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-nodefaults", "-display", "none", "-machine", "q35", "-m", "1024", "-smp", "2", "-no-reboot"])
        .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-vga", "std"])
        .arg("-serial")
        .arg(format!("file:{}", work.path().join("console.log").display()))
        .arg("-drive")
        .arg(format!("if=none,id=disk,format=qcow2,file={}", overlay.display()))
        .args(["-device", "virtio-blk-pci,drive=disk"])
        .arg("-netdev")
        .arg(format!("user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-{address}:22"))
        .arg("-device")
        .arg(format!("virtio-net-pci,netdev=net,mac={mac}"));
    if guest.fact("FIRMWARE") == "uefi" {
        let vars = work.path().join("vars.fd");
        std::fs::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", &vars).expect("OVMF (package ovmf)");
        qemu.args(["-drive", "if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd"])
            .arg("-drive")
            .arg(format!("if=pflash,unit=1,format=raw,file={}", vars.display()));
    }
    let qemu = qemu.stdin(Stdio::null()).spawn().expect("qemu-system-x86_64 (package qemu-system-x86)");
    let key = work.path().join("key");
    std::fs::copy(guest.folder.join("id_ed25519"), &key).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut booted = Booted { qemu, port, key, _work: work };
    booted.wait();
    booted
}

impl Booted {
    fn wait(&mut self) {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            assert!(self.qemu.try_wait().unwrap().is_none(), "qemu ended: {}", self.console());
            if self.try_ssh("true").is_some() {
                return;
            }
            std::thread::sleep(Duration::from_secs(2));
        }
        panic!("no login within {} s; the console:\n{}", PATIENCE.as_secs(), self.console());
    }

    fn console(&self) -> String {
        let text = std::fs::read(self._work.path().join("console.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines().rev().take(30).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn try_ssh(&self, command: &str) -> Option<String> {
        let output = Command::new("ssh")
            .arg("-i")
            .arg(&self.key)
            .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"])
            .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-p", &self.port.to_string()])
            .args(["root@127.0.0.1", command])
            .stdin(Stdio::null())
            .output()
            .expect("ssh (package openssh-client)");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a command in the guest and returns what it printed.
    pub fn ssh(&self, command: &str) -> String {
        self.try_ssh(command).unwrap_or_else(|| panic!("`{command}` failed in the guest"))
    }
}

//! A migrated guest, booted once more, independently of the program, and logged into over ssh at its static address.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::LabGuest;
use crate::peer::Peer;
use crate::turn::Turn;

/// How long a guest may take until its sshd lets us in. Under emulation on a busy machine a boot takes minutes.
const PATIENCE: Duration = Duration::from_secs(420);

/// A running guest; ended when dropped.
pub struct Booted {
    command: Command,
    qemu: Child,
    port: u16,
    key: PathBuf,
    /// A connection that commands share: under emulation each new one takes seconds.
    connection: Option<Child>,
    work: tempfile::TempDir,
    /// Somebody in the VLAN of a guest that has one.
    peer: Option<Peer>,
    _turn: Option<Arc<Turn>>,
}

impl Drop for Booted {
    fn drop(&mut self) {
        self.disconnect();
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// Boots overlays of the images in `folder` on virtio with fresh firmware variables, its network reached only at the guest's own
/// static address, and waits until root can log in. A second card is in a network of its own, with a DHCP server or, where the guest has a
/// VLAN, with a member of that; the cards of a bond are in the same network as both.
pub fn boot(guest: &LabGuest, folder: &Path) -> Booted {
    let work = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-nodefaults", "-display", "none", "-machine", "q35", "-m", "1024", "-smp", "2", "-no-reboot"])
        .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-vga", "std"])
        .arg("-serial")
        .arg(format!("file:{}", work.path().join("console.log").display()));
    for number in 1.. {
        let image = folder.join(format!("{}-disk{number}.qcow2", guest.name));
        if !image.is_file() {
            break;
        }
        let overlay = work.path().join(format!("overlay{number}.qcow2"));
        let made = Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"])
            .args([&image, &overlay])
            .status()
            .expect("qemu-img (package qemu-utils)");
        assert!(made.success());
        qemu.arg("-drive")
            .arg(format!("if=none,id=disk{number},format=qcow2,file={}", overlay.display()))
            .arg("-device")
            .arg(format!("virtio-blk-pci,drive=disk{number},bootindex={number}"));
    }
    let peer = guest.find_fact("VLAN").map(|_| Peer::new());
    qemu.args(network(guest, port, peer.as_ref()));
    if guest.fact("FIRMWARE") == "uefi" {
        let secure = guest.find_fact("SECURE_BOOT").is_some();
        let kind = if secure { "4M.ms" } else { "4M" };
        let vars = work.path().join("vars.fd");
        std::fs::copy(format!("/usr/share/OVMF/OVMF_VARS_{kind}.fd"), &vars).expect("OVMF (package ovmf)");
        if secure {
            qemu.args(["-machine", "smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on"]);
        }
        qemu.arg("-drive")
            .arg(format!("if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_{kind}.fd"))
            .arg("-drive")
            .arg(format!("if=pflash,unit=1,format=raw,file={}", vars.display()));
    }
    qemu.stdin(Stdio::null());
    let key = work.path().join("key");
    std::fs::copy(guest.folder.join("id_ed25519"), &key).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut booted =
        Booted { qemu: start(&mut qemu), command: qemu, port, key, connection: None, work, peer, _turn: guest.turn() };
    booted.wait();
    booted
}

/// The guest's cards and their networks.
fn network(guest: &LabGuest, port: u16, peer: Option<&Peer>) -> Vec<String> {
    let address = guest.fact("ADDRESS");
    let second =
        peer.map_or_else(|| "user,id=second,restrict=on,net=192.168.77.0/24".to_owned(), |peer| peer.netdev("second"));
    let mut networks = vec![format!("user,id=first,restrict=on,hostfwd=tcp:127.0.0.1:{port}-{address}:22"), second];
    let mut ends = ["first", "second"];
    if guest.find_fact("ONE_NETWORK").is_some() {
        for (number, end) in ends.into_iter().enumerate() {
            networks.push(format!("hubport,id=port{number},hubid=0,netdev={end}"));
        }
        networks.extend(["card1", "card2"].map(|card| format!("hubport,id={card},hubid=0")));
        ends = ["card1", "card2"];
    } else if guest.find_fact("MAC_2").is_none() {
        networks.pop();
    }
    let macs = ["MAC", "MAC_2"].into_iter().filter_map(|key| guest.find_fact(key));
    let cards = macs.zip(ends).map(|(mac, end)| format!("virtio-net-pci,netdev={end},mac={mac}"));
    let networks = networks.into_iter().flat_map(|network| ["-netdev".to_owned(), network]);
    networks.chain(cards.flat_map(|card| ["-device".to_owned(), card])).collect()
}

fn start(command: &mut Command) -> Child {
    command.spawn().expect("qemu-system-x86_64 (package qemu-system-x86)")
}

impl Booted {
    /// Lets the guest restart itself, on what it wrote, and waits until root can log in again.
    pub fn reboot(&mut self) {
        self.ssh("systemctl reboot");
        self.disconnect();
        // With -no-reboot the machine ends where it would start anew.
        assert!(self.qemu.wait().unwrap().success());
        self.qemu = start(&mut self.command);
        self.wait();
    }

    /// Cuts its power. Its disks as they are then, what had not left its memory lost.
    pub fn cut(&mut self) -> Vec<PathBuf> {
        self.disconnect();
        self.qemu.kill().unwrap();
        self.qemu.wait().unwrap();
        let overlays = (1..).map(|number| self.work.path().join(format!("overlay{number}.qcow2")));
        overlays.take_while(|overlay| overlay.is_file()).collect()
    }

    fn wait(&mut self) {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            assert!(self.qemu.try_wait().unwrap().is_none(), "qemu ended: {}", self.console());
            if self.try_ssh("true").is_some() {
                let connection =
                    self.ssh_command().args(["-M", "-N"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
                self.connection = Some(connection.unwrap());
                return;
            }
            std::thread::sleep(Duration::from_secs(2));
        }
        panic!("no login within {} s; the console:\n{}", PATIENCE.as_secs(), self.console());
    }

    fn console(&self) -> String {
        let text = std::fs::read(self.work.path().join("console.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines().rev().take(30).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn disconnect(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            let _ = connection.kill();
            let _ = connection.wait();
            // One that was killed leaves it.
            let _ = std::fs::remove_file(self.work.path().join("ssh"));
        }
    }

    /// ssh to the guest, through the connection that is there or, while it is not, by itself.
    fn ssh_command(&self) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.arg("-i")
            .arg(&self.key)
            .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"])
            .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-p", &self.port.to_string()])
            .arg("-S")
            .arg(self.work.path().join("ssh"))
            .arg("root@127.0.0.1")
            .stdin(Stdio::null());
        ssh
    }

    fn try_ssh(&self, command: &str) -> Option<String> {
        let output = self.ssh_command().arg(command).output().expect("ssh (package openssh-client)");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a command in the guest and returns what it printed.
    pub fn ssh(&self, command: &str) -> String {
        self.try_ssh(command).unwrap_or_else(|| panic!("`{command}` failed in the guest"))
    }
}

/// Panics unless each card has its name, and every address is where it was and answers.
fn has_network(guest: &LabGuest, booted: &Booted) {
    let has = |interface: &str, address: &str| {
        let there = booted.ssh(&format!("ip -4 -o addr show dev {interface}"));
        assert!(there.contains(&format!(" {address}")), "{address} is not on {interface}: {there}");
    };
    for (card, mac) in [("CARD", "MAC"), ("CARD_2", "MAC_2")] {
        if let Some(mac) = guest.find_fact(mac) {
            // A card of a bond bears its own address as `permaddr`.
            let there = booted.ssh(&format!("ip -o link show dev {}", guest.fact(card)));
            let own = there.split_once(" permaddr ").or_else(|| there.split_once(" link/ether ")).map(|(_, own)| own);
            assert!(own.is_some_and(|own| own.starts_with(mac)), "{mac} is not {}: {there}", guest.fact(card));
        }
    }
    let card = guest.fact("CARD");
    has(guest.find_fact("ADDRESS_ON").unwrap_or(card), &format!("{}/24 ", guest.fact("ADDRESS")));
    if let (Some(peer), Some(vlan)) = (&booted.peer, guest.find_fact("VLAN")) {
        let address = guest.fact("VLAN_ADDRESS");
        has(guest.fact("VLAN_ON"), &format!("{address}/24 "));
        peer.reaches(address.parse().unwrap(), vlan.parse().unwrap());
    } else if guest.find_fact("MAC_2").is_some() {
        has(guest.fact("CARD_2"), "192.168.77.");
    }
}

/// Panics unless the guest has its network, its name, every filesystem and swap of its fstab, and no broken service.
pub fn is_whole(guest: &LabGuest, booted: &Booted) {
    has_network(guest, booted);
    assert_eq!(booted.ssh("hostname").trim(), guest.fact("HOSTNAME"));
    if guest.find_fact("SECURE_BOOT").is_some() {
        // The variable's value follows four bytes of attributes.
        assert_eq!(booted.ssh("tail -c 1 /sys/firmware/efi/efivars/SecureBoot-* | od -An -tu1").trim(), "1");
    }
    if let Some(mode) = guest.find_fact("SELINUX") {
        assert_eq!(booted.ssh("getenforce").trim().to_lowercase(), mode);
        // What was written while no policy was there to give labels.
        assert_eq!(booted.ssh("find / /boot -xdev -context '*:unlabeled_t:*'"), "");
    }
    // Every filesystem and swap that its fstab names is there, from a device of the new machine.
    booted.ssh("findmnt --verify >&2; mount -a");
    let unmounted = "awk '$1 !~ /^#/ && NF >= 4 && $4 !~ /noauto/ && $3 != \"swap\" { print $2 }' /etc/fstab \
                     | while read -r where; do mountpoint -q \"$where\" || echo \"$where\"; done";
    assert_eq!(booted.ssh(unmounted), "");
    let swaps = booted.ssh("grep -cE '^[^#]+[[:space:]]swap[[:space:]]' /etc/fstab; tail -n +2 /proc/swaps | wc -l");
    let counts: Vec<&str> = swaps.lines().collect();
    assert_eq!(counts[0], counts[1], "swaps in fstab and in use");
    // A service that only ran out of time, under emulation on a busy machine, starts when it is asked again; a broken one does not.
    let broken = "systemctl --failed --no-legend --plain | while read -r unit rest; do \
                  systemctl restart \"$unit\" </dev/null || systemctl status \"$unit\" </dev/null; done";
    assert_eq!(booted.ssh(broken), "");
}

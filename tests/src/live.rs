//! A guest that is only a tree of files and a real sshd in it: what a running guest is to whoever comes over SSH, without a machine around it.
//!
//! The tree is Debian's, made by the lab. Its sshd runs with the tree as its root and in a process space of its own, so that ending it ends
//! whatever runs in there, as a power cut does.

use std::collections::BTreeMap;
use std::io::{BufRead, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{lgetxattr, llistxattr};

use crate::{Outcome, digest, run};

/// Neither the guest's own nor to be compared: the kernel's, what runs leave behind on purpose, and the program's own notes.
const NOT_COMPARED: [&str; 5] = ["/proc", "/dev", "/sys", "/run", "/var/lib/vmdk2kvm"];

/// What aged on VMware, as far as it needs no disk.
const AGED: [(&str, &str); 7] = [
    (
        "/etc/fstab",
        "UUID=aaaa / ext4 defaults 0 1\n.host:/ /mnt/hgfs fuse.vmhgfs-fuse defaults 0 0\n/dev/fd0 /media/f auto noauto 0 0\n",
    ),
    ("/etc/modprobe.d/vm ware's.conf", "blacklist virtio_net\n"),
    (
        "/etc/network/interfaces",
        "auto lo\niface lo inet loopback\nauto eth0\niface eth0 inet dhcp\n up ethtool -K eth0 lro off\n",
    ),
    ("/boot/grub/device.map", "(hd0) /dev/sda\n"),
    ("/etc/cloud/cloud.cfg", "x\n"),
    ("/var/lib/cloud/instance/obj.pkl", "x\n"),
    ("/etc/hostname", "tree\n"),
];

/// A tree, and its sshd while that runs.
pub struct Tree {
    folder: tempfile::TempDir,
    sshd: Option<Child>,
    port: u16,
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Tree {
    /// A tree that aged on VMware, with a kernel whose boot archive has no drivers for KVM. Nothing runs in it.
    pub fn aged() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("lab/tree");
        let output = Command::new(&script).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "{} failed: {}", script.display(), output.status);
        let base = String::from_utf8(output.stdout).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let tree = Self { folder, sshd: None, port: 0 };
        std::fs::create_dir(tree.root()).unwrap();
        let unpacked =
            Command::new("tar").args(["--zstd", "--xattrs", "-xpf", base.trim(), "-C"]).arg(tree.root()).status();
        assert!(unpacked.expect("tar and zstd").success());
        for (path, text) in AGED {
            tree.write(path, text.as_bytes());
        }
        tree.add_kernel();
        // What a change must keep.
        let fstab = tree.path("/etc/fstab");
        std::fs::set_permissions(&fstab, PermissionsExt::from_mode(0o640)).unwrap();
        std::os::unix::fs::chown(&fstab, Some(0), Some(4)).unwrap();
        tree.make_keys();
        tree
    }

    /// The same as it is now, elsewhere.
    pub fn copy(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let copied = Command::new("cp").arg("-a").arg(self.root()).arg(folder.path()).status();
        assert!(copied.unwrap().success());
        let copy = Self { folder, sshd: None, port: 0 };
        copy.make_keys();
        copy
    }

    fn add_kernel(&self) {
        let kernel = "6.1.0-1-amd64";
        self.write(&format!("/boot/vmlinuz-{kernel}"), b"x");
        let modules = format!("/lib/modules/{kernel}");
        let names = ["virtio", "virtio_ring", "virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net"];
        let line = |name: &&str| match *name {
            "virtio" | "virtio_ring" => format!("kernel/{name}.ko:\n"),
            _ => format!("kernel/{name}.ko: kernel/virtio.ko kernel/virtio_ring.ko\n"),
        };
        self.write(&format!("{modules}/modules.dep"), names.iter().map(line).collect::<String>().as_bytes());
        for name in names {
            self.write(&format!("{modules}/kernel/{name}.ko"), name.repeat(20_000).as_bytes());
        }
        self.write(&format!("/boot/initrd.img-{kernel}"), &cpio(&[("init", b"#!/bin/sh\n")]));
    }

    fn make_keys(&self) {
        let _ = std::fs::remove_file(self.beside("key"));
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(self.beside("key")).status();
        assert!(made.expect("ssh-keygen (package openssh-client)").success());
        self.let_in("root", "/root");
        std::fs::write(
            self.beside("config"),
            format!(
                "Host *\nIdentityFile {key}\nIdentitiesOnly yes\nUserKnownHostsFile {known}\nGlobalKnownHostsFile /dev/null\nHostKeyAlias tree\n\
                 HostKeyAlgorithms ssh-ed25519\n",
                key = self.beside("key").display(),
                known = self.beside("known").display()
            ),
        )
        .unwrap();
        self.know(&format!("tree {}", self.host_key()));
    }

    /// The key by which the tree's sshd shows who it is: kind and text.
    pub fn host_key(&self) -> String {
        let text = self.read("/etc/ssh/ssh_host_ed25519_key.pub");
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// Makes these the only known hosts.
    pub fn know(&self, lines: &str) {
        std::fs::write(self.beside("known"), format!("{lines}\n")).unwrap();
    }

    /// Lets the test's key log in as a user.
    pub fn let_in(&self, user: &str, home: &str) {
        let key = std::fs::read(self.beside("key.pub")).unwrap();
        self.write(&format!("{home}/.ssh/authorized_keys"), &key);
        self.inside(&format!("chown -R {user}: {home}/.ssh && chmod 700 {home}/.ssh"));
    }

    /// Runs a script with the tree as its root.
    #[track_caller]
    pub fn inside(&self, script: &str) {
        let status = Command::new("chroot").arg(self.root()).args(["sh", "-ec", script]).status().unwrap();
        assert!(status.success(), "`{script}` failed in the tree");
    }

    /// The tree.
    pub fn root(&self) -> PathBuf {
        self.beside("tree")
    }

    /// The folder beside the tree, with the key and the configuration of ssh.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path of the tree, on this machine.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// Writes a file of the tree.
    pub fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// A file of the tree.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }

    /// Starts its sshd.
    pub fn start(&mut self) {
        self.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {}\nHostKey /etc/ssh/ssh_host_ed25519_key\nUsePAM no\nStrictModes no\nPidFile none\n\
             PermitRootLogin yes\nPasswordAuthentication no\n",
            self.port
        );
        self.write("/run/sshd_config", config.as_bytes());
        let script = "hostname tree && mkdir -p \"$0/run/sshd\" && mount -t proc proc \"$0/proc\" && exec chroot \"$0\" /usr/sbin/sshd -D -e -f /run/sshd_config";
        let log = std::fs::File::create(self.beside("sshd.log")).unwrap();
        let mut sshd = Command::new("unshare");
        sshd.args(["--mount", "--uts", "--pid", "--fork", "--kill-child", "sh", "-c", script]).arg(self.root());
        self.sshd = Some(sshd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(60), "no sshd: {}", self.beside("sshd.log").display());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends everything that runs in the tree at once.
    pub fn stop(&mut self) {
        if let Some(mut sshd) = self.sshd.take() {
            let _ = sshd.kill();
            let _ = sshd.wait();
        }
    }

    /// The address of a user.
    pub fn address(&self, user: &str) -> String {
        self.address_at(user, self.port)
    }

    /// The address of a user, at another port that leads here.
    pub fn address_at(&self, user: &str, port: u16) -> String {
        format!("ssh://{user}@127.0.0.1:{port}")
    }

    /// Runs a command in the tree, among what runs there, and waits for its first line. Its standard input ends when the answer is dropped.
    pub fn runs(&self, command: &str) -> Inside {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(self.beside("config")).args(["-p", &self.port.to_string(), "root@127.0.0.1", command]);
        let mut ssh = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        std::io::BufReader::new(ssh.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "`{command}` says nothing");
        Inside(ssh)
    }

    /// The port of its sshd.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs the program with what it needs to get in here.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let settings = [
            format!("plugin.ssh.config={}", self.beside("config").display()),
            format!("containment.folders=[\"{}\"]", self.folder.path().display()),
        ];
        let settings = settings.iter().flat_map(|setting| ["--set", setting.as_str()]);
        run(&arguments.iter().copied().chain(settings).collect::<Vec<_>>())
    }
}

/// A command that runs in a tree.
pub struct Inside(Child);

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A newc archive (the kernel's "initramfs buffer format").
fn cpio(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, (name, data)) in files.iter().chain(&[("TRAILER!!!", &b""[..])]).enumerate() {
        let fields = [number + 1, 0o100_755, 0, 0, 1, 0, data.len(), 0, 0, 0, 0, name.len() + 1, 0];
        let fields: String = fields.iter().map(|field| format!("{field:08x}")).collect();
        out.extend_from_slice(format!("070701{fields}{name}\0").as_bytes());
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

/// Everything in a tree that counts: kind and mode, owner, content, attributes, of each path.
pub fn snapshot(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let inside = format!("/{}", path.strip_prefix(root).unwrap().to_str().unwrap());
            if NOT_COMPARED.contains(&inside.as_str()) {
                continue;
            }
            let stat = path.symlink_metadata().unwrap();
            let content = if stat.is_dir() {
                folders.push(path.clone());
                String::new()
            } else if stat.is_symlink() {
                std::fs::read_link(&path).unwrap().to_str().unwrap().to_owned()
            } else if stat.is_file() {
                digest(&path)
            } else {
                String::new()
            };
            let about = format!("{:o} {}:{} {content} {}", stat.mode(), stat.uid(), stat.gid(), attributes(&path));
            found.insert(inside, about);
        }
    }
    found
}

fn attributes(path: &Path) -> String {
    let mut names = vec![0u8; 4096];
    let length = llistxattr(path, &mut names).unwrap();
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0u8; 4096];
        let length = lgetxattr(path, name, &mut value).unwrap();
        format!("{}={:?}", String::from_utf8_lossy(name), &value[..length])
    };
    names.map(value).collect::<Vec<_>>().join(",")
}

/// A way to a port that is cut once so many bytes went there, both ways and for good.
pub struct Relay {
    port: u16,
    sent: Arc<AtomicUsize>,
}

impl Relay {
    /// A way that is cut after so many bytes.
    pub fn new(to: u16, cut_after: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sent = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&sent);
        // One connection, and nobody afterwards.
        std::thread::spawn(move || {
            let (mut near, _) = listener.accept().unwrap();
            let mut far = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let (mut back_from, mut back_to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut back_from, &mut back_to);
                let _ = back_to.shutdown(Shutdown::Both);
            });
            let mut buffer = vec![0; 4096];
            loop {
                let left = cut_after - count.load(Ordering::Relaxed);
                let room = left.min(buffer.len());
                match near.read(&mut buffer[..room]) {
                    Ok(length) if length > 0 && far.write_all(&buffer[..length]).is_ok() => {
                        count.fetch_add(length, Ordering::Relaxed);
                    }
                    _ => break,
                }
            }
            let _ = near.shutdown(Shutdown::Both);
            let _ = far.shutdown(Shutdown::Both);
        });
        Self { port, sent }
    }

    /// Where it begins.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Bytes that went to the other side.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }
}

//! An ESXi host that is none: a real sshd of this machine on loopback, with the algorithms of a host, whose every command goes to `tests/esxi-shell`.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::esxi_disk::{descriptor, sparse_extent, value_of};
use crate::{Outcome, Running, binary, digest, names};

/// The datastore, and its id.
const DATASTORE: &str = "ds 1";
const ID: &str = "5e00aa11-bb22cc33-dd44-001122334455";
/// A shell that is the first one reads what the user of this machine has for it, at each command: a second one does not.
const SECOND_SHELL: &str = "SetEnv SHLVL=1";
/// What an ESXi 8 takes.
const ALGORITHMS: &str = "Ciphers aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr
MACs hmac-sha2-256,hmac-sha2-512,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com
KexAlgorithms ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512";

/// The host, and a folder for results.
pub struct Esxi {
    sshd: Child,
    root: tempfile::TempDir,
    port: u16,
    /// The folder.
    pub results: tempfile::TempDir,
}

impl Esxi {
    /// One without VMs.
    pub fn start() -> Self {
        Self::start_with("PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no", None)
    }

    /// One that asks for a password, by a conversation (keyboard-interactive) as hosts do. The password of this user is another one there: in a mount namespace of
    /// its own. Needs root.
    pub fn start_asking(password: &str) -> Self {
        assert!(rustix::process::geteuid().is_root(), "an sshd that asks for a password needs root");
        Self::start_with(
            "PasswordAuthentication no\nKbdInteractiveAuthentication yes\nPubkeyAuthentication no\nUsePAM yes",
            Some(password),
        )
    }

    fn start_with(login: &str, password: Option<&str>) -> Self {
        let root = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .unwrap();
        let results = tempfile::tempdir().unwrap();
        std::fs::create_dir(results.path().join("runtime")).unwrap();
        std::fs::create_dir_all(root.path().join("volumes").join(ID)).unwrap();
        std::os::unix::fs::symlink(ID, root.path().join("volumes").join(DATASTORE)).unwrap();
        std::fs::write(root.path().join("host.json"), json!({"vms": []}).to_string()).unwrap();
        for name in ["hostkey", "other_hostkey", "user"] {
            make_key(&root.path().join(name));
        }
        std::fs::copy(root.path().join("user.pub"), root.path().join("authorized_keys")).unwrap();
        let shell = shell();
        // Another program may take the port in between: then the next one is tried.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let at = root.path().display();
            let config = format!(
                "ListenAddress 127.0.0.1:{port}\nHostKey {at}/hostkey\nPidFile none\nAuthorizedKeysFile {at}/authorized_keys\nStrictModes no\n{ALGORITHMS}\n\
                 {login}\nPermitRootLogin yes\nMaxSessions 10\nAllowTcpForwarding no\nPrintMotd no\nPrintLastLog no\nLogLevel VERBOSE\n\
                 {SECOND_SHELL}\nForceCommand {} {at}\n",
                shell.display()
            );
            std::fs::write(root.path().join("sshd_config"), config).unwrap();
            let mut sshd = sshd(root.path(), password);
            if answers(&mut sshd, port) {
                let host = Self { sshd, root, port, results };
                host.know("hostkey");
                return host;
            }
            let _ = sshd.wait();
        }
        panic!("sshd does not start: {}", std::fs::read_to_string(root.path().join("sshd.log")).unwrap_or_default());
    }

    /// Writes a list of known hosts with this key.
    pub fn know(&self, key: &str) {
        self.write_known(&format!("{} {}\n", self.known_as(), self.public_key(key)));
    }

    /// Writes a list of known hosts.
    pub fn write_known(&self, list: &str) {
        std::fs::write(self.root.path().join("known_hosts"), list).unwrap();
    }

    /// The name that a list has for the host.
    pub fn known_as(&self) -> String {
        format!("[127.0.0.1]:{}", self.port)
    }

    /// A public key: algorithm and letters.
    pub fn public_key(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.root.path().join(format!("{name}.pub"))).unwrap();
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// The fingerprint of a key, as ssh-keygen says it.
    pub fn fingerprint(&self, name: &str) -> String {
        let shown =
            Command::new("ssh-keygen").arg("-lf").arg(self.root.path().join(format!("{name}.pub"))).output().unwrap();
        String::from_utf8(shown.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
    }

    /// A path of the host's folder: `user` is the private key that opens it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The folder of a VM on this machine.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.path("volumes").join(ID).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Writes a flat disk, and returns the name of its descriptor.
    pub fn flat(&self, folder: &str, stem: &str, bytes: &[u8]) -> String {
        let at = self.folder(folder);
        let extent = format!("{stem}-flat.vmdk");
        std::fs::write(at.join(&extent), bytes).unwrap();
        let text =
            descriptor(0x100 + bytes.len() as u32, None, "vmfs", bytes.len() as u64 / 512, "VMFS", &extent, None);
        std::fs::write(at.join(format!("{stem}.vmdk")), text).unwrap();
        format!("{stem}.vmdk")
    }

    /// Writes a snapshot's layer over a disk, in which these sectors were written. `parent` is as the layer's descriptor names it.
    pub fn layer(&self, folder: &str, stem: &str, parent: &str, written: &[(usize, [u8; 512])]) -> String {
        let at = self.folder(folder);
        let below = match parent.strip_prefix("/vmfs/volumes/") {
            Some(inside) => self.path("volumes").join(inside),
            None => at.join(parent),
        };
        let below = std::fs::read_to_string(below).unwrap();
        let sectors: u64 =
            below.lines().find_map(|line| line.strip_prefix("RW ")?.split(' ').next()?.parse().ok()).unwrap();
        let extent = format!("{stem}-delta.vmdk");
        std::fs::write(at.join(&extent), sparse_extent(sectors, written)).unwrap();
        let cid = 0x200 + written.len() as u32;
        let text = descriptor(
            cid,
            value_of(&below, "CID").as_deref(),
            "vmfsSparse",
            sectors,
            "VMFSSPARSE",
            &extent,
            Some(parent),
        );
        std::fs::write(at.join(format!("{stem}.vmdk")), text).unwrap();
        format!("{stem}.vmdk")
    }

    /// Adds a VM with these disks to the host's list. `more` goes into its VMX. Returns its path on the host.
    pub fn add(&self, name: &str, power: &str, disks: &[&str], more: &str) -> String {
        let escaped = name.replace('|', "|7C").replace('"', "|22");
        let mut vmx = format!(
            ".encoding = \"UTF-8\"\ndisplayName = \"{escaped}\"\nguestOS = \"debian12-64\"\nfirmware = \"bios\"\nmemsize = \"1024\"\nnumvcpus = \"2\"\n\
             scsi0.present = \"TRUE\"\nscsi0.virtualDev = \"pvscsi\"\nethernet0.present = \"TRUE\"\nethernet0.networkName = \"VM Network\"\n\
             ethernet0.addressType = \"static\"\nethernet0.address = \"00:50:56:aa:bb:cc\"\n{more}"
        );
        for (unit, disk) in disks.iter().enumerate() {
            vmx += &format!("scsi0:{unit}.present = \"TRUE\"\nscsi0:{unit}.fileName = \"{disk}\"\n");
        }
        std::fs::write(self.folder(name).join(format!("{name}.vmx")), vmx).unwrap();
        let mut state: Value = serde_json::from_slice(&std::fs::read(self.path("host.json")).unwrap()).unwrap();
        let vms = state["vms"].as_array_mut().unwrap();
        // Numbers of a host have gaps.
        let id = 3 + 4 * vms.len();
        vms.push(json!({"id": id, "name": name, "vmx": format!("[{DATASTORE}] {name}/{name}.vmx"), "power": power, "notes": "by hand\n7 [x] y.vmx"}));
        std::fs::write(self.path("host.json"), state.to_string()).unwrap();
        format!("/vmfs/volumes/{DATASTORE}/{name}/{name}.vmx")
    }

    /// Switches a VM.
    pub fn power(&self, name: &str, power: &str) {
        let mut state = self.state();
        let vms = state["vms"].as_array_mut().unwrap();
        vms.iter_mut().find(|vm| vm["name"] == name).unwrap()["power"] = power.into();
        std::fs::write(self.path("host.json"), state.to_string()).unwrap();
    }

    /// What the host's list has.
    pub fn state(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path("host.json")).unwrap()).unwrap()
    }

    /// The URI of a path.
    pub fn uri(&self, path: &str) -> String {
        let user = Command::new("id").arg("-un").output().unwrap();
        let escaped = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        format!("esxi+ssh://{}@127.0.0.1:{}{escaped}", String::from_utf8(user.stdout).unwrap().trim(), self.port)
    }

    /// The port of its sshd.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets the faults.
    pub fn faults(&self, faults: &Value) {
        std::fs::write(self.path("faults.json"), faults.to_string()).unwrap();
    }

    /// What the host noted.
    pub fn log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Every command that was run.
    pub fn commands(&self) -> Vec<String> {
        self.log().iter().filter_map(|entry| entry["command"].as_str().map(str::to_owned)).collect()
    }

    /// The most commands that ran at once.
    pub fn peak(&self) -> usize {
        let (mut running, mut peak) = (std::collections::BTreeSet::new(), 0);
        for entry in self.log() {
            if let Some(pid) = entry["begin"].as_u64() {
                running.insert(pid);
            }
            if let Some(pid) = entry["end"].as_u64() {
                running.remove(&pid);
            }
            peak = peak.max(running.len());
        }
        peak
    }

    /// A run, to be started: with the user's key and the list of known hosts.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut all = self.bare_command(arguments);
        all.args(["--set", &format!("plugin.ssh.key={:?}", self.path("user"))]);
        all
    }

    /// The same without a key.
    pub fn bare_command(&self, arguments: &[&str]) -> Command {
        let mut all = Command::new(binary());
        all.args(arguments)
            .args(["--set", &format!("plugin.ssh.known_hosts={:?}", self.path("known_hosts"))])
            .args(["--set", "plugin.ssh.patience=3"])
            .env_remove("SSH_AUTH_SOCK")
            .env("XDG_STATE_HOME", self.results.path().join("state"));
        all
    }

    /// Runs the program.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        Running::start(self.command(arguments)).end()
    }

    /// The arguments of `flatten` of a path into a folder of this name.
    pub fn flattening(&self, path: &str, output: &str, options: &[&str]) -> Vec<String> {
        let out = self.results.path().join(output);
        let all = ["flatten", &self.uri(path), "-o", out.to_str().unwrap(), "--format", "raw"];
        all.iter().chain(options).map(|it| (*it).to_owned()).collect()
    }

    /// `flatten` of a path.
    pub fn flatten(&self, path: &str, output: &str, options: &[&str]) -> Outcome {
        let arguments = self.flattening(path, output, options);
        self.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The digest of the one raw image in the folder of this name.
    #[track_caller]
    pub fn image(&self, output: &str) -> String {
        let folder = self.results.path().join(output);
        let images: Vec<String> = names(&folder).into_iter().filter(|name| name.ends_with(".raw")).collect();
        assert_eq!(images.len(), 1, "{images:?}");
        digest(&folder.join(&images[0]))
    }
}

impl Drop for Esxi {
    fn drop(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

/// The program that stands for the host's shell, built with the tests.
fn shell() -> PathBuf {
    let path = crate::program::target().join("esxi-shell");
    assert!(path.is_file(), "{} is missing: run `cargo build --workspace` first", path.display());
    path
}

fn make_key(path: &Path) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ecdsa", "-N", "", "-f"]).arg(path).status();
    assert!(made.expect("ssh-keygen (package openssh-client)").success());
}

/// Starts the server; it ends with the test's process.
fn sshd(root: &Path, password: Option<&str>) -> Child {
    let log = root.join("sshd.log");
    let config = root.join("sshd_config");
    let mut command = match password {
        // A server of root wants this folder; without PAM it is all that it wants of /run.
        None => {
            let _ = std::fs::create_dir("/run/sshd");
            Command::new("/usr/sbin/sshd")
        }
        Some(password) => {
            let hash = Command::new("openssl").args(["passwd", "-6", password]).output().expect("openssl");
            let shadow = format!("root:{}:19000:0:99999:7:::\n", String::from_utf8(hash.stdout).unwrap().trim());
            std::fs::write(root.join("shadow"), shadow).unwrap();
            let mut unshare = Command::new("unshare");
            unshare
                .args(["--mount", "--propagation", "private", "sh", "-c"])
                .arg("mount -t tmpfs tmpfs /run && mkdir /run/sshd && mount --bind \"$1\" /etc/shadow && shift && exec /usr/sbin/sshd \"$@\"")
                .arg("sh")
                .arg(root.join("shadow"));
            unshare
        }
    };
    command.arg("-D").arg("-f").arg(&config).arg("-E").arg(&log).stdin(Stdio::null());
    // SAFETY: prctl is async-signal-safe, and its arguments are numbers.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(&mut command, || {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM)).map_err(Into::into)
        });
    }
    command.spawn().expect("sshd (package openssh-server)")
}

/// Waits until the server answers.
fn answers(sshd: &mut Child, port: u16) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(30) {
        if sshd.try_wait().unwrap().is_some() {
            return false;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

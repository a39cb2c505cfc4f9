//! A libvirt daemon of a test's own. It has the system's folders for itself in namespaces of mounts and networks, so that it neither sees nor
//! leaves anything of the system's; its socket and its pool lie in the test's folder. Requires root, `libvirtd` with the driver for qemu
//! (libvirt-daemon-system, libvirt-daemon-driver-qemu) and `virsh` (libvirt-clients).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::contents;

/// What opens to a contained run the folder that libvirt's driver, inside of the run of root, keeps what it knows of devices in.
pub fn open_for_driver() -> [&'static str; 2] {
    fs::create_dir_all("/run/libvirt").unwrap();
    ["--set", "containment.folders=[\"/run/libvirt\"]"]
}

/// How long a daemon may take until it answers.
const PATIENCE: Duration = Duration::from_secs(120);

/// Mounts what the daemon has for itself, and becomes the daemon. `$1` is the test's folder.
const START: &str = r#"
set -eu
mount --make-rprivate /
for folder in /run /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
    mkdir -p "$folder"
    mount -t tmpfs -o mode=0755 none "$folder"
done
mkdir /etc/libvirt/qemu
# Without it consoles and logs want another daemon; the groups of processes are the test's machine's business.
printf '%s\n' 'stdio_handler = "file"' 'cgroup_controllers = []' 'security_driver = "none"' >/etc/libvirt/qemu.conf
ip link set lo up
exec libvirtd -f "$1/libvirtd.conf" -p "$1/pid"
"#;

/// A daemon; ended, with all its domains, when it is dropped.
pub struct Libvirtd {
    folder: tempfile::TempDir,
    daemon: Child,
}

impl Libvirtd {
    /// Starts it, with a pool `images` and an isolated network `lab`, and waits until it answers.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("lv").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let settings = format!(
            "unix_sock_dir = \"{}\"\nauth_unix_rw = \"none\"\nauth_unix_ro = \"none\"\nlog_outputs = \"3:file:{0}/log\"\n",
            folder.path().display()
        );
        fs::write(folder.path().join("libvirtd.conf"), settings).unwrap();
        let daemon = Command::new("unshare")
            .args(["--mount", "--net", "sh", "-c", START, "sh"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("stderr")).unwrap())
            .spawn()
            .expect("unshare (package util-linux)");
        let mut daemon = Self { folder, daemon };
        let began = Instant::now();
        while !daemon.try_virsh(&["uri"]).0 {
            let ended = daemon.daemon.try_wait().unwrap();
            assert!(
                ended.is_none() && began.elapsed() < PATIENCE,
                "libvirtd did not start: {ended:?}\n{}",
                daemon.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        fs::create_dir(daemon.pool()).unwrap();
        daemon.virsh(&["pool-create-as", "images", "dir", "--target", daemon.pool().to_str().unwrap()]);
        let network = daemon.file("network.xml", "<network><name>lab</name><bridge name='lab0'/></network>");
        daemon.virsh(&["net-create", network.to_str().unwrap()]);
        daemon
    }

    /// Its URI.
    pub fn uri(&self) -> String {
        format!("qemu+unix:///system?socket={}/libvirt-sock", self.folder.path().display())
    }

    /// The folder of the pool `images`.
    pub fn pool(&self) -> PathBuf {
        self.folder.path().join("images")
    }

    /// A file with a text, for virsh to read.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// What virsh prints; panics when it fails.
    #[track_caller]
    pub fn virsh(&self, words: &[&str]) -> String {
        let (is_well, text) = self.try_virsh(words);
        assert!(is_well, "virsh {words:?}: {text}\n{}", self.log());
        text
    }

    /// Whether virsh succeeds, and what it prints.
    pub fn try_virsh(&self, words: &[&str]) -> (bool, String) {
        let mut virsh = Command::new("virsh");
        let output = virsh.args(["-q", "-c", &self.uri()]).args(words).output().expect("virsh (libvirt-clients)");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).trim().to_owned())
    }

    /// Defines a domain without disks.
    #[track_caller]
    pub fn foreign(&self, name: &str, uuid: &str) {
        let xml = format!(
            "<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory>\
             <os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"
        );
        let file = self.file(&format!("{name}.xml"), &xml);
        self.virsh(&["define", file.to_str().unwrap()]);
    }

    /// Everything that it knows and has: domains with their documents and states, volumes with their digests, networks.
    pub fn state(&self) -> Vec<String> {
        let mut state = Vec::new();
        for name in self.virsh(&["list", "--all", "--name"]).lines().filter(|name| !name.is_empty()) {
            state.push(format!("{name}: {}", self.virsh(&["domstate", name])));
            state.push(self.virsh(&["dumpxml", name]));
            state.push(self.virsh(&["dumpxml", name, "--inactive"]));
            state.push(self.virsh(&["dominfo", name]).lines().filter(|line| !line.starts_with("CPU time")).collect());
        }
        self.virsh(&["pool-refresh", "images"]);
        state.push(self.virsh(&["vol-list", "images"]));
        state.extend(contents(&self.pool()).into_iter().map(|(name, digest)| format!("{name} {digest}")));
        state.push(self.virsh(&["net-list", "--all"]));
        state
    }

    fn log(&self) -> String {
        let text = |name: &str| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        text("stderr") + &text("log")
    }

    /// The test's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Libvirtd {
    fn drop(&mut self) {
        let (_, names) = self.try_virsh(&["list", "--name"]);
        for name in names.lines().filter(|name| !name.is_empty()) {
            self.try_virsh(&["destroy", name]);
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

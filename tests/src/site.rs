//! The lab's vCenter with small VMs, and runs of the program on it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{Outcome, Running, Vcenter, binary, digest, names};

/// Bytes of a disk.
pub const DISK: usize = 24 << 20;

/// Which catalog asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The plugin without a program.
    Soap,
    /// The one with the real govc.
    Govc,
}

impl By {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Soap, Self::Govc];

    /// The plugin.
    pub fn plugin(self) -> &'static str {
        match self {
            Self::Soap => "vsphere-soap",
            Self::Govc => "vsphere-govc",
        }
    }
}

/// A vCenter with some VMs, their disks, and a folder for results.
pub struct Site {
    /// The vCenter.
    pub lab: Vcenter,
    /// The folder.
    pub results: tempfile::TempDir,
    by: By,
}

impl Site {
    /// One with these VMs, started with these flags of the lab.
    pub fn new(by: By, vms: &[Value], flags: &[&str]) -> Self {
        Self::with(by, vms, flags, |datastore| {
            for (seed, vm) in (1..).zip(vms) {
                for disk in vm["disks"].as_array().unwrap() {
                    write_disk(&datastore.join(disk["file"].as_str().unwrap()), seed);
                }
            }
        })
    }

    /// One whose disks `fill` puts into the datastore's folder.
    pub fn with(by: By, vms: &[Value], flags: &[&str], fill: impl FnOnce(&Path)) -> Self {
        let lab = Vcenter::start(&json!(vms), flags, fill);
        let results = tempfile::tempdir().unwrap();
        // What lies in memory alone as long as this machine runs: here it can be looked at.
        std::fs::create_dir(results.path().join("runtime")).unwrap();
        Self { lab, results, by }
    }

    /// The same vCenter, asked otherwise.
    pub fn asked_by(self, by: By) -> Self {
        Self { by, ..self }
    }

    /// A run, to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut all = Command::new(binary());
        let chosen = format!("plugins.fetcher={}", self.by.plugin());
        all.args(arguments).args(["--password-file", self.lab.password_file(), "--set", &chosen]);
        if self.by == By::Govc {
            all.args(["--set", &format!("plugin.vsphere-govc.program={:?}", Vcenter::govc())]);
        }
        self.alone(all)
    }

    /// Keeps a run's traces in the folder.
    pub fn alone(&self, mut command: Command) -> Command {
        command
            .env("XDG_STATE_HOME", self.results.path().join("state"))
            .env("XDG_RUNTIME_DIR", self.results.path().join("runtime"));
        command
    }

    /// Runs the program.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        Running::start(self.command(arguments)).end()
    }

    /// `flatten` of what is at a path, into a folder of this name.
    pub fn flatten(&self, path: &str, more: &str, output: &str, options: &[&str]) -> Outcome {
        let (uri, out) = (self.lab.uri(path, more), self.results.path().join(output));
        self.run(&[&["flatten", &uri, "-o", out.to_str().unwrap(), "--format", "raw"], options].concat())
    }

    /// What the guest sees, as digest.
    pub fn truth(&self, vm: &str, more: &str) -> String {
        let name: String = vm.bytes().map(|byte| format!("%{byte:02x}")).collect();
        format!("{:x}", Sha256::digest(self.lab.control("GET", &format!("/content?vm={name}&disk=0{more}"), b"")))
    }

    /// The digest of the raw image in the folder of this name.
    pub fn sha256(&self, output: &str) -> String {
        let made = names(&self.results.path().join(output)).into_iter().find(|name| name.ends_with(".raw")).unwrap();
        digest(&self.results.path().join(output).join(made))
    }

    /// Nothing is left at the source.
    #[track_caller]
    pub fn nothing_is_left(&self) {
        let state = self.lab.state();
        assert_eq!((&state["sessions"], &state["leases"], &state["snapshots"]), (&json!(0), &json!(0), &json!({})));
    }

    /// What `inventory` lists at a path.
    pub fn vms(&self, path: &str) -> Vec<Value> {
        let listed = self.run(&["inventory", &self.lab.uri(path, "")]).expect(0).json;
        listed["vms"].as_array().unwrap().clone()
    }
}

/// Writes a disk whose bytes do not repeat, but for a hole in its middle.
fn write_disk(path: &Path, seed: u64) {
    let mut bytes = noise(seed, DISK);
    bytes[DISK / 2..DISK / 2 + (4 << 20)].fill(0);
    std::fs::write(path, bytes).unwrap();
}

/// So many bytes that do not repeat, always the same ones for a seed: whole words of eight.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let (mut state, mut bytes) = (seed, Vec::with_capacity(length));
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}

/// A VM with one disk.
pub fn vm(name: &str, folder: &str, running: bool) -> Value {
    json!({"name": name, "folder": folder, "guest_id": "debian12_64Guest", "running": running, "cpus": 2, "memory_mb": 1024,
        "disks": [{"file": format!("{}.raw", disk_name(name, folder)), "controller": "pvscsi"}],
        "nics": [{"model": "vmxnet3", "mac": "00:50:56:aa:bb:cc", "network": "prod & net"}]})
}

/// The name of its disk's file, without its ending.
pub fn disk_name(name: &str, folder: &str) -> String {
    format!("{:x}", Sha256::digest(format!("{folder}/{name}")))[..12].to_owned()
}

/// A path of a URI with these names.
pub fn uri_path(names: &[&str]) -> String {
    let escaped = |name: &&str| name.replace('%', "%25").replace('?', "%3f").replace('#', "%23").replace('/', "%2f");
    format!("/{}", names.iter().map(escaped).collect::<Vec<_>>().join("/"))
}

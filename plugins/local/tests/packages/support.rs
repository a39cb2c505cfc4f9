//! A folder to pack in, the programs that pack, and the fetcher's view of the result.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::Digest;
use vmdk2kvm_local::Local;
use vmdk2kvm_local::ovf::Choices;
use vmdk2kvm_plugin_api::model::{Disk, Finding, Link, SourceRef, VmSpec, Way};
use vmdk2kvm_plugin_api::{Fetcher, PluginError, Result, Transport, read_exact_at};

use crate::documents::{disk, usual};

pub struct Lab {
    dir: tempfile::TempDir,
    local: Local,
}

impl Lab {
    pub fn new() -> Self {
        Self::choosing(Choices::default())
    }

    /// The fetcher of a user with these choices.
    pub fn choosing(choices: Choices) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), local: Local::choosing(choices) }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.root().join(name)).unwrap()
    }

    /// Runs a program in the folder `inside`.
    pub fn run(&self, inside: &str, line: &str) -> &Self {
        let mut words = line.split_whitespace();
        let program = words.next().unwrap();
        let done = Command::new(program).args(words).current_dir(self.root().join(inside)).output();
        let done = done.unwrap_or_else(|error| panic!("{program} (see tests/packages): {error}"));
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        self
    }

    pub fn reference(&self, name: &str, vm: Option<&str>) -> SourceRef {
        SourceRef::new(self.root().join(name).to_str().unwrap()).with(|it| it.vm = vm.map(String::from))
    }

    pub fn describe(&self, name: &str, vm: Option<&str>) -> Result<VmSpec> {
        self.local.catalog(&self.reference(name, vm))?.describe()
    }

    pub fn inventory(&self, name: &str) -> Result<Vec<VmSpec>> {
        let found = self.local.catalog(&self.reference(name, None))?.inventory()?;
        Ok(found.into_iter().map(|found| found.vm).collect())
    }

    pub fn transport(&self, name: &str, vm: &VmSpec, disk: &Disk) -> Box<dyn Transport> {
        let way = disk.ways.first().cloned().unwrap_or_else(|| Way::new("file", "", "raw"));
        self.local.transport(&Link::new(self.reference(name, None), vm.clone(), 0, way)).unwrap()
    }

    /// Holds a disk's file against the digests that its source states, as the host does; `false`: it states none.
    pub fn verify(&self, name: &str, disk: &Disk) -> Result<bool> {
        let vm = self.describe(name, None)?;
        let transport = self.transport(name, &vm, disk);
        let stated = transport.stated_digests(&disk.ways[0].object)?;
        for stated in &stated {
            let source = transport.open(&stated.object)?;
            let mut content = vec![0; source.size() as usize];
            read_exact_at(&*source, 0, &mut content)?;
            let found = match stated.algorithm.as_str() {
                "sha1" => hex(&sha1::Sha1::digest(&content)),
                "sha256" => hex(&sha2::Sha256::digest(&content)),
                _ => hex(&sha2::Sha512::digest(&content)),
            };
            if found != stated.hex {
                return Err(PluginError::unusable(format!("{}: {found} is not {}", stated.object, stated.hex)));
            }
        }
        Ok(!stated.is_empty())
    }

    /// The bytes of every disk.
    pub fn contents(&self, name: &str) -> Result<Vec<Option<Vec<u8>>>> {
        let vm = self.describe(name, None)?;
        let content = |disk: &Disk| {
            let (transport, path) = (self.transport(name, &vm, disk), &disk.ways[0].object);
            let source = transport.open(path)?;
            let mut content = vec![0xa5; source.size() as usize];
            read_exact_at(&*source, 0, &mut content)?;
            assert!(!transport.fingerprint(path)?.is_empty());
            Ok(content)
        };
        let content = |disk: &Disk| (!disk.ways.is_empty()).then(|| content(disk)).transpose();
        vm.disks.iter().map(content).collect()
    }

    /// What is odd about the machine, each as its code and its sentence, the own folder written as `DIR`.
    pub fn findings(&self, name: &str) -> Vec<(String, String)> {
        self.told(&self.describe(name, None).unwrap())
    }

    /// The same of a machine that was described.
    pub fn told(&self, vm: &VmSpec) -> Vec<(String, String)> {
        let told =
            |finding: &Finding| (finding.code.clone(), finding.message.replace(self.root().to_str().unwrap(), "DIR"));
        vm.findings.iter().map(told).collect()
    }

    /// The objects of a machine's disks.
    pub fn paths(&self, vm: &VmSpec) -> Vec<Option<String>> {
        vm.disks.iter().map(|disk| disk.ways.first().map(|way| way.object.clone())).collect()
    }

    /// The sentence of an error, its own folder written as `DIR`.
    pub fn sentence(&self, error: &PluginError) -> String {
        assert!(error.hint.is_some(), "no hint: {error}");
        error.message.replace(self.root().to_str().unwrap(), "DIR")
    }

    /// The sentence a source is refused with: when it is described, or when a disk is read.
    pub fn refusal(&self, name: &str) -> (u8, String) {
        let error = self.contents(name).unwrap_err();
        (error.kind.exit_code(), self.sentence(&error))
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The usual machine as files in `folder`.
pub fn usual_folder(lab: &Lab, folder: &str) {
    lab.file(&format!("{folder}/web.ovf"), usual("ovf:href=\"web-disk1.vmdk\"", "ovf:href=\"web-disk2.vmdk\""))
        .file(&format!("{folder}/web-disk1.vmdk"), disk(1))
        .file(&format!("{folder}/web-disk2.vmdk"), disk(2));
}

/// Whether `part` is beneath `whole`.
pub fn beneath(whole: &Path, part: &str) -> bool {
    Path::new(part).starts_with(whole)
}

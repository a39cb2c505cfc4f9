//! A folder to pack in, the programs that pack, OVF documents, and the fetcher's view of the result.

use std::path::{Path, PathBuf};
use std::process::Command;

use vmdk2kvm_local::Local;
use vmdk2kvm_plugin_api::model::{SourceRef, VmSpec};
use vmdk2kvm_plugin_api::{Fetcher, PluginError, Result, Transport, read_exact_at};

pub struct Lab {
    dir: tempfile::TempDir,
    local: Local,
}

impl Lab {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), local: Local::default() }
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
        SourceRef {
            uri: self.root().join(name).to_str().unwrap().into(),
            extra_disks: Vec::new(),
            vm: vm.map(String::from),
        }
    }

    pub fn describe(&self, name: &str, vm: Option<&str>) -> Result<VmSpec> {
        self.local.catalog(&self.reference(name, vm))?.unwrap().describe()
    }

    pub fn inventory(&self, name: &str) -> Result<Vec<VmSpec>> {
        self.local.catalog(&self.reference(name, None))?.unwrap().inventory()
    }

    pub fn transport(&self, name: &str) -> Box<dyn Transport> {
        self.local.transport(&self.reference(name, None)).unwrap().unwrap()
    }

    /// The bytes of every disk.
    pub fn contents(&self, name: &str) -> Result<Vec<Option<Vec<u8>>>> {
        let vm = self.describe(name, None)?;
        let transport = self.transport(name);
        let content = |path: &String| {
            let source = transport.open(path)?;
            let mut content = vec![0xa5; source.size() as usize];
            read_exact_at(&*source, 0, &mut content)?;
            assert!(!transport.fingerprint(path)?.is_empty());
            Ok(content)
        };
        vm.disks.iter().map(|disk| disk.path.as_ref().map(content).transpose()).collect()
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

/// `count` bytes that compress badly and differ by `seed`.
pub fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// What begins like a VMDK; the fetcher looks no further.
pub fn disk(seed: u64) -> Vec<u8> {
    [b"KDMV".to_vec(), noise(seed, 150_000)].concat()
}

pub const VMDK: &str = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";

/// An envelope around these parts.
pub fn envelope(files: &str, disks: &str, systems: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" \
         xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData\" \
         xmlns:vssd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData\" xmlns:vmw=\"http://www.vmware.com/schema/ovf\" \
         xmlns:vbox=\"http://www.virtualbox.org/ovf/machine\">\n<References>{files}</References>\n<DiskSection><Info/>{disks}</DiskSection>\n{systems}\n</Envelope>\n"
    )
}

/// A system with this hardware.
pub fn system(id: &str, name: &str, hardware: &str) -> String {
    format!(
        "<VirtualSystem ovf:id=\"{id}\"><Info/><Name>{name}</Name><OperatingSystemSection ovf:id=\"94\" vmw:osType=\"debian10_64Guest\"/>\
         <VirtualHardwareSection><System><vssd:VirtualSystemType>vmx-14</vssd:VirtualSystemType></System>{hardware}</VirtualHardwareSection></VirtualSystem>"
    )
}

/// An item from `Element=text` words; a text may hold `_` for a space.
pub fn item(kind: u32, id: u32, words: &str) -> String {
    let mut text =
        format!("<Item><rasd:InstanceID>{id}</rasd:InstanceID><rasd:ResourceType>{kind}</rasd:ResourceType>");
    for word in words.split_whitespace() {
        let (element, value) = word.split_once('=').unwrap();
        text.push_str(&format!("<rasd:{element}>{}</rasd:{element}>", value.replace('_', " ")));
    }
    text + "</Item>"
}

/// The usual machine: two disks of a SCSI controller, in files of these names with these further attributes.
pub fn usual(first: &str, second: &str) -> String {
    let files = format!("<File ovf:id=\"f1\" {first}/><File ovf:id=\"f2\" {second}/>");
    let disks = format!(
        "<Disk ovf:diskId=\"d1\" ovf:fileRef=\"f1\" ovf:capacity=\"2\" ovf:capacityAllocationUnits=\"byte * 2^30\" ovf:format=\"{VMDK}\"/>\
         <Disk ovf:diskId=\"d2\" ovf:fileRef=\"f2\" ovf:capacity=\"1073741824\" ovf:format=\"{VMDK}\"/>"
    );
    let hardware = [
        item(3, 1, "VirtualQuantity=2"),
        item(4, 2, "AllocationUnits=byte_*_2^20 VirtualQuantity=1024"),
        item(6, 3, "Address=0 ResourceSubType=VirtualSCSI"),
        // The second in the document is the first on the bus.
        item(17, 5, "AddressOnParent=1 Parent=3 HostResource=ovf:/disk/d2"),
        item(17, 4, "AddressOnParent=0 Parent=3 HostResource=ovf:/disk/d1"),
    ];
    envelope(&files, &disks, &system("web", "Web", &hardware.concat()))
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

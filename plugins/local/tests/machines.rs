//! Whole sources through the fetcher's two faces: a VMX, bare disks, folders, and what each of them is called.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use vmdk2kvm_local::Local;
use vmdk2kvm_plugin_api::model::{Controller, Disk, Firmware, Link, SourceRef, VmSpec};
use vmdk2kvm_plugin_api::{ErrorKind, Fetcher, PluginError, Transport, read_exact_at};

const DESCRIPTOR: &str = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n";

/// The transport of a machine's first disk.
fn transport(source: &SourceRef, vm: &VmSpec) -> Box<dyn Transport> {
    let link = Link::new(source.clone(), vm.clone(), 0, vm.disks[0].ways[0].clone());
    Local::default().transport(&link).unwrap()
}

struct Source {
    dir: tempfile::TempDir,
}

impl Source {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// A flat disk of one MiB: a descriptor and its extent.
    fn disk(&self, name: &str, parent: Option<&str>) -> &Self {
        let mut text = DESCRIPTOR.to_owned();
        if let Some(parent) = parent {
            text.push_str(&format!("parentFileNameHint=\"{parent}\"\n"));
        }
        text.push_str(&format!("RW 2048 FLAT \"{name}-flat.vmdk\" 0\n"));
        self.file(&format!("{name}.vmdk"), text).file(&format!("{name}-flat.vmdk"), vec![0; 1 << 20])
    }

    fn vmx(&self, name: &str, display: &str, disk: &str) -> &Self {
        let text = format!(
            "displayName = \"{display}\"\nmemsize = \"1024\"\nnumvcpus = \"2\"\nfirmware = \"bios\"\nscsi0.present = \"TRUE\"\n\
             scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"{disk}\"\n"
        );
        self.file(name, text)
    }

    fn reference(&self, name: &str, extra: &[&str], vm: Option<&str>) -> SourceRef {
        let text = |name: &str| self.root().join(name).to_str().unwrap().to_owned();
        SourceRef::new(text(name)).with(|it| {
            it.extra_disks = extra.iter().map(|name| text(name)).collect();
            it.vm = vm.map(String::from);
        })
    }

    fn describe(&self, name: &str, extra: &[&str], vm: Option<&str>) -> Result<VmSpec, PluginError> {
        Local::default().catalog(&self.reference(name, extra, vm))?.describe()
    }

    fn inventory(&self, name: &str) -> Result<Vec<VmSpec>, PluginError> {
        Local::default()
            .catalog(&self.reference(name, &[], None))?
            .inventory()
            .map(|found| found.into_iter().map(|found| found.vm).collect())
    }

    /// The sentence a source is refused with, its own folder written as `DIR`.
    fn refusal(&self, name: &str, extra: &[&str], vm: Option<&str>) -> String {
        let error = self.describe(name, extra, vm).unwrap_err();
        assert!(error.hint.is_some(), "no hint: {error}");
        error.message.replace(self.root().to_str().unwrap(), "DIR")
    }

    fn name_of(&self, disk: &Disk) -> String {
        Path::new(&disk.ways[0].object).strip_prefix(self.root()).unwrap().to_str().unwrap().to_owned()
    }
}

#[test]
fn a_vmx_gives_its_machine_and_its_bytes() {
    let source = Source::new();
    source.disk("web", None).disk("sub/data", None).file(
        "web.vmx",
        "displayName = \"Web\"\nmemsize = \"2048\"\nnumvcpus = \"2\"\nfirmware = \"efi\"\n\
         scsi0:1.present = \"TRUE\"\nscsi0:1.fileName = \"sub/data.vmdk\"\n\
         scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"web.vmdk\"\n",
    );
    assert_eq!(Local::default().accepts(&source.reference("web.vmx", &[], None)).unwrap(), 100);
    let vm = source.describe("web.vmx", &[], None).unwrap();
    assert_eq!((vm.name.as_str(), vm.firmware, vm.memory_bytes), ("Web", Firmware::Uefi, 2 << 30));
    assert!(vm.guessed.is_empty(), "{:?}", vm.guessed);
    assert_eq!(vm.origin.as_ref().unwrap().fetcher, "local");
    let disks: Vec<_> =
        vm.disks.iter().map(|disk| (source.name_of(disk), disk.ways[0].format.as_str(), disk.unit)).collect();
    assert_eq!(disks, [("web.vmdk".to_owned(), "vmdk", 0), ("sub/data.vmdk".to_owned(), "vmdk", 1)]);
    assert_eq!(source.inventory("web.vmx").unwrap(), std::slice::from_ref(&vm));
    // The document crosses the boundary as JSON.
    let json = serde_json::to_string(&vm).unwrap();
    assert_eq!(serde_json::from_str::<VmSpec>(&json).unwrap(), vm);

    let transport = transport(&source.reference("web.vmx", &[], None), &vm);
    let object = vm.disks[1].ways[0].object.as_str();
    let extent = transport.resolve(object, "data-flat.vmdk").unwrap();
    assert_eq!(transport.open(&extent).unwrap().size(), 1 << 20);
    let mut head = [0; 21];
    read_exact_at(&*transport.open(object).unwrap(), 0, &mut head).unwrap();
    assert_eq!(&head, b"# Disk DescriptorFile");
}

#[test]
fn a_bare_disk_is_a_machine_full_of_guesses() {
    let source = Source::new();
    source.disk("web", None).file("db.raw", vec![7; 4096]).file("c.img", b"QFI\xfb\0\0\0\x03");
    let vm = source.describe("web.vmdk", &["db.raw", "c.img"], None).unwrap();
    let disks: Vec<_> = vm
        .disks
        .iter()
        .map(|disk| {
            (
                disk.name.as_str(),
                disk.ways[0].format.as_str(),
                disk.controller,
                disk.bus,
                disk.unit,
                disk.capacity_bytes,
            )
        })
        .collect();
    assert_eq!(
        disks,
        [
            ("web.vmdk", "vmdk", Controller::Scsi, 0, 0, 0),
            ("db.raw", "raw", Controller::Scsi, 0, 1, 4096),
            ("c.img", "qcow2", Controller::Scsi, 0, 2, 0),
        ]
    );
    assert_eq!((vm.name.as_str(), vm.cpus.count, vm.memory_bytes, vm.nics.len()), ("web", 2, 2 << 30, 1));
    for member in ["name", "firmware", "cpus", "memory_bytes", "nics", "disks[0].controller", "disks[2].controller"] {
        assert!(vm.guessed.iter().any(|guess| guess == member), "{member}");
    }
    assert_eq!(source.describe("web.vmdk", &[], Some("web")).unwrap().disks.len(), 1);
    assert_eq!(source.refusal("web.vmdk", &[], Some("db")), "DIR/web.vmdk: there is no virtual machine 'db'");
}

#[test]
fn further_disks_come_behind_those_of_a_vmx() {
    let source = Source::new();
    source.disk("web", None).vmx("web.vmx", "Web", "web.vmdk").file("more/db.raw", vec![7; 4096]);
    let vm = source.describe("web.vmx", &["more/db.raw"], None).unwrap();
    assert_eq!((vm.disks[1].name.as_str(), vm.disks[1].bus, vm.disks[1].unit), ("db.raw", 0, 1));
    assert_eq!(vm.guessed, ["disks[1].controller"]);
    let transport = transport(&source.reference("web.vmx", &["more/db.raw"], None), &vm);
    assert_eq!(transport.open(vm.disks[1].ways[0].object.as_str()).unwrap().size(), 4096);

    assert_eq!(source.refusal("web.vmx", &["web.vmx"], None), "DIR/web.vmx: a further disk is a VMX, not a disk");
    assert_eq!(source.refusal("web.vmx", &["web.vmdk"], None), "DIR/web.vmdk: the disk is given twice");
    assert_eq!(
        source.refusal("web.vmx", &["more"], None),
        "DIR/more: a further disk must be a file, and this is a folder"
    );
}

#[test]
fn a_folder_is_its_one_vmx_or_its_one_chain() {
    let source = Source::new();
    source.disk("vm/web", None).disk("vm/other", None).vmx("vm/web.vmx", "Web", "web.vmdk");
    source.file("vm/web.nvram", [0; 16]).file("vm/vmware.log", "log").file("vm/._web.vmx", "resource fork");
    let vm = source.describe("vm", &[], None).unwrap();
    assert_eq!((vm.name.as_str(), vm.disks.len()), ("Web", 1));
    assert_eq!(source.inventory("vm").unwrap().len(), 1);
    assert_eq!(source.describe("vm", &[], Some("Web")).unwrap(), vm);
    assert!(source.describe("vm", &[], Some("nobody")).is_err());

    source
        .disk("chain/web", None)
        .disk("chain/web-000001", Some("web.vmdk"))
        .disk("chain/web-000002", Some("web-000001.vmdk"));
    source.file("chain/web-ctk.vmdk", "tracking").file("chain/install.iso", "x").file("chain/notes.txt", "x");
    let vm = source.describe("chain", &[], None).unwrap();
    assert_eq!(source.name_of(&vm.disks[0]), "chain/web-000002.vmdk");
}

#[test]
fn of_several_machines_one_is_chosen_by_name() {
    let source = Source::new();
    source.disk("a", None).disk("b", None).vmx("a.vmx", "Alpha", "a.vmdk").vmx("b.vmx", "Beta", "b.vmdk");
    let names: Vec<_> = source.inventory(".").unwrap().into_iter().map(|vm| vm.name).collect();
    assert_eq!(names, ["Alpha", "Beta"]);
    for wanted in ["Beta", "b", "b.vmx"] {
        assert_eq!(source.describe(".", &[], Some(wanted)).unwrap().name, "Beta");
    }
    let several = source.refusal(".", &[], None);
    assert!(several.ends_with("the folder holds several virtual machines: a.vmx, b.vmx"), "{several}");
    assert_eq!(source.refusal(".", &[], Some("Gamma")), "there is no virtual machine 'Gamma' among a.vmx, b.vmx");
    source.vmx("c.vmx", "Beta", "b.vmdk");
    assert_eq!(source.refusal(".", &[], Some("Beta")), "several virtual machines are called 'Beta': b.vmx, c.vmx");
    // A torn VMX beside does not hide the others from who names one.
    source.file("d.vmx", "displayName = \"torn");
    assert_eq!(source.describe(".", &[], Some("Alpha")).unwrap().name, "Alpha");
    assert!(source.inventory(".").is_err());
}

#[test]
fn folders_without_a_machine_say_what_they_have() {
    let source = Source::new();
    std::fs::create_dir(source.root().join("empty")).unwrap();
    source.file("iso/web.iso", "x").disk("two/a", None).disk("two/b", None).file("torn/web.vmdk", [1; 600]);
    assert_eq!(source.refusal("empty", &[], None), "DIR/empty: the folder has no OVF, VMX or disk");
    assert_eq!(
        source.refusal("iso", &[], None),
        "DIR/iso: the folder has no OVF, VMX or disk; web.iso is a CD-ROM image, which is not read"
    );
    assert_eq!(source.refusal("two", &[], None), "DIR/two: the folder has no VMX and several disks: a.vmdk, b.vmdk");
    assert_eq!(
        source.refusal("torn", &[], None),
        "DIR/torn/web.vmdk: it is named like a VMDK and does not begin like one"
    );
}

#[test]
fn a_vmx_cannot_reach_outside_of_its_folder() {
    let source = Source::new();
    source.file("secret.vmdk", DESCRIPTOR).file("vm/empty.vmdk", "").file("vm/text.vmdk", "hello");
    std::os::unix::fs::symlink("../secret.vmdk", source.root().join("vm/link.vmdk")).unwrap();
    std::os::unix::fs::symlink("..", source.root().join("vm/up")).unwrap();
    let name = |disk: &str, reason: &str| format!("DIR/vm/web.vmx: the name '{disk}' is refused: it is {reason}");
    for (disk, expected) in [
        ("/etc/passwd", name("/etc/passwd", "an absolute path")),
        ("../secret.vmdk", name("../secret.vmdk", "a path that leads outside of its folder")),
        ("C:\\\\VMs\\\\a.vmdk", name("C:\\\\VMs\\\\a.vmdk", "an absolute path of a Windows machine")),
        ("/vmfs/volumes/x/a.vmdk", name("/vmfs/volumes/x/a.vmdk", "an absolute path")),
        (
            "link.vmdk",
            "DIR/vm/web.vmx: disk scsi0:0: DIR/vm/link.vmdk: it is a symbolic link, which is not followed, not a regular file"
                .into(),
        ),
        (
            "missing.vmdk",
            "DIR/vm/web.vmx: disk scsi0:0: DIR/vm/missing.vmdk: there is no such file".into(),
        ),
        ("nbd:localhost:1", "DIR/vm/web.vmx: disk scsi0:0: DIR/vm/nbd:localhost:1: there is no such file".into()),
        ("empty.vmdk", "DIR/vm/web.vmx: disk scsi0:0: DIR/vm/empty.vmdk: the file is empty".into()),
        ("text.vmdk", "DIR/vm/web.vmx: disk scsi0:0: DIR/vm/text.vmdk: it is a text file, not a disk".into()),
    ] {
        source.vmx("vm/web.vmx", "Web", disk);
        assert_eq!(source.refusal("vm/web.vmx", &[], None), expected);
    }
    source.vmx("vm/web.vmx", "Web", "up/secret.vmdk");
    let through = source.refusal("vm/web.vmx", &[], None);
    assert!(through.ends_with("symbolic link, which is not followed"), "{through}");
}

#[test]
fn sources_that_are_none_have_their_sentence_and_kind() {
    let source = Source::new();
    source
        .file("empty.vmdk", "")
        .file("notes.txt", "hello")
        .file("web.vhdx", b"not a vhdx\0\0")
        .file("odd.jpg", [1, 0, 3]);
    source.file("locked.vmx", "encryption.keySafe = \"x\"");
    for (name, expected) in [
        ("nothing.vmdk", "DIR/nothing.vmdk: there is no such file or folder"),
        ("empty.vmdk", "DIR/empty.vmdk: the file is empty"),
        ("notes.txt", "DIR/notes.txt: it is a text file, not a disk"),
        ("web.vhdx", "DIR/web.vhdx: it is named like a VHDX image and does not begin like one"),
        ("odd.jpg", "DIR/odd.jpg: its format is not recognised"),
        ("locked.vmx", "DIR/locked.vmx: the virtual machine is encrypted"),
    ] {
        assert_eq!(source.refusal(name, &[], None), expected);
        assert_eq!(source.describe(name, &[], None).unwrap_err().kind, ErrorKind::Unusable);
    }
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(source.root().as_os_str()).to_vec();
    let strange = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&[&bytes, &b"/m\xff.vmx"[..]].concat())
        .to_owned();
    std::fs::write(strange, "memsize = \"1\"").unwrap();
    assert_eq!(source.refusal(".", &[], None), "DIR/m\\xff.vmx: the name is not UTF-8");
}

#[test]
fn a_disk_whose_name_has_another_case_is_found() {
    let source = Source::new();
    source.disk("Web", None).vmx("web.vmx", "Web", "WEB.VMDK");
    assert_eq!(source.describe("web.vmx", &[], None).unwrap().disks[0].name, "Web.vmdk");
    source.disk("wEB", None);
    assert_eq!(source.refusal("web.vmx", &[], None), "DIR/web.vmx: disk scsi0:0: DIR/WEB.VMDK: there is no such file");
}

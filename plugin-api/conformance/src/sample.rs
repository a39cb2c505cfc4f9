//! Machines and contexts to start from: every member is public, so a test changes what it is about.

use std::path::Path;

use vmdk2kvm_plugin_api::Guest;
use vmdk2kvm_plugin_api::model::{
    Controller, Cpus, Disk, FinalImage, Firmware, Inspection, Nic, NicKind, OsFamily, OsInfo, PlanContext, SourceRef,
    TestRequest, VmSpec,
};

use crate::MemoryGuest;

/// A BIOS machine with one processor, 1 GiB of memory, a SCSI disk and a card.
pub fn vm(name: &str) -> VmSpec {
    let disk = Disk {
        name: format!("{name}.vmdk"),
        controller: Controller::Scsi,
        bus: 0,
        unit: 0,
        capacity_bytes: 4 << 30,
        format: "vmdk".to_owned(),
        path: None,
    };
    let nic = Nic {
        mac: Some("00:50:56:aa:bb:01".to_owned()),
        model: Some("vmxnet3".to_owned()),
        network: None,
        kind: NicKind::Network,
    };
    VmSpec {
        schema: 1,
        name: name.to_owned(),
        uuid: None,
        genid: None,
        guest_id: None,
        firmware: Firmware::Bios,
        secure_boot: false,
        tpm: false,
        cpus: Cpus { count: 1, sockets: 1, cores_per_socket: 1 },
        memory_bytes: 1 << 30,
        disks: vec![disk],
        removable: Vec::new(),
        nics: vec![nic],
        guessed: Vec::new(),
        origin: None,
    }
}

/// What an inspector says of a system of which only this is known.
pub fn inspection(os: OsInfo) -> Inspection {
    Inspection {
        schema: 1,
        os,
        firmware: Some(Firmware::Bios),
        bootloader: None,
        bootloader_config: None,
        root: None,
        mounts: Vec::new(),
        kernels: Vec::new(),
        network: Default::default(),
        vmware_tools: Default::default(),
        disks: Vec::new(),
        findings: Vec::new(),
    }
}

/// The context of a system of this family that is not running.
pub fn context(family: OsFamily) -> PlanContext {
    let (distro, version, product) = match family {
        OsFamily::Linux => ("debian", "12", "Debian GNU/Linux 12 (bookworm)"),
        OsFamily::Windows => ("windows", "10.0", "Windows Server 2022"),
        OsFamily::Unknown => ("", "", ""),
    };
    let os = OsInfo {
        family,
        distro: distro.to_owned(),
        version: version.to_owned(),
        product: product.to_owned(),
        arch: "x86_64".to_owned(),
        ..OsInfo::default()
    };
    PlanContext { vm: vm("web"), inspection: inspection(os), live: false, grown: Vec::new() }
}

/// The context of a Debian 12.
pub fn linux() -> PlanContext {
    context(OsFamily::Linux)
}

/// The context of a Windows Server 2022.
pub fn windows() -> PlanContext {
    context(OsFamily::Windows)
}

/// A small guest of this family as VMware leaves it: what `plugin check` tries a fixer on when it is given no other.
pub fn guest(family: OsFamily) -> MemoryGuest {
    if family != OsFamily::Linux {
        return MemoryGuest::default();
    }
    MemoryGuest::new(&[
        ("/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
        ("/etc/hostname", "web\n"),
        ("/etc/fstab", "/dev/sda1 / ext4 errors=remount-ro 0 1\n/dev/sda5 none swap sw 0 0\n"),
        ("/etc/default/grub", "GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n"),
        ("/boot/grub/grub.cfg", "linux /vmlinuz-6.1.0-18-amd64 root=/dev/sda1 ro quiet\n"),
        ("/etc/network/interfaces", "auto lo\niface lo inet loopback\nauto ens192\niface ens192 inet dhcp\n"),
        ("/etc/initramfs-tools/modules", "# List of modules\n"),
        ("/usr/lib/systemd/system/serial-getty@.service", "[Unit]\nDescription=Serial Getty on %I\n"),
        ("/usr/lib/systemd/system/open-vm-tools.service", "[Unit]\nDescription=Open VM Tools\n"),
    ])
    .dir("/etc/systemd/system/getty.target.wants")
    .symlink("/lib", "usr/lib")
}

/// The context of a guest of which only its files are known: the distribution is the one that its os-release names, if any.
pub fn context_of(family: OsFamily, guest: &MemoryGuest) -> PlanContext {
    let mut context = context(family);
    let text = guest.read_text("/etc/os-release").ok().flatten();
    for (key, value) in text.iter().flat_map(|text| text.lines()).filter_map(|line| line.split_once('=')) {
        let value = value.trim_matches('"').to_owned();
        match key {
            "ID" => context.inspection.os.distro = value,
            "VERSION_ID" => context.inspection.os.version = value,
            "PRETTY_NAME" => context.inspection.os.product = value,
            _ => {}
        }
    }
    context
}

/// A test of one raw image, with folders beside it and a domain of a disk and a card.
pub fn test_request(image: &Path, virtual_size: u64) -> TestRequest {
    let folder = image.parent().unwrap_or(Path::new("/"));
    let text = |path: &Path| path.to_string_lossy().into_owned();
    TestRequest {
        vm: vm("web"),
        inspection: None,
        images: vec![FinalImage { path: text(image), format: "raw".to_owned(), virtual_size }],
        domain_xml: DOMAIN.to_owned(),
        evidence_dir: text(&folder.join("boot")),
        work_dir: text(&folder.join("work")),
        timeout_seconds: 5,
        expect: Default::default(),
    }
}

/// The domain of [`test_request`]; a tester takes devices from it, and images from the request.
const DOMAIN: &str = "<domain type='kvm'><name>web</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>\
    <os><type arch='x86_64' machine='q35'>hvm</type></os><devices>\
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><target dev='vda' bus='virtio'/></disk>\
    <interface type='network'><source network='default'/><model type='virtio'/></interface>\
    </devices></domain>\n";

/// A source of this URI, as the user names it.
pub fn source(uri: &str) -> SourceRef {
    SourceRef { uri: uri.to_owned(), extra_disks: Vec::new(), vm: None }
}

//! Machines and contexts to start from: every member is public, so a test changes what it is about.

use std::path::Path;

use vmdk2kvm_plugin_api::Guest;
use vmdk2kvm_plugin_api::model::{
    Card, CardModel, Controller, Cpus, Disk, DiskBus, Firmware, Inspection, Machine, MachineDisk, Nic, NicKind,
    OsFamily, OsInfo, PlanContext, SourceRef, TestRequest, VmSpec,
};

use crate::MemoryGuest;

/// A BIOS machine with one processor, 1 GiB of memory, a SCSI disk and a card.
pub fn vm(name: &str) -> VmSpec {
    let disk = Disk::new(format!("{name}.vmdk"), Controller::Scsi, 0, 0).with(|it| it.capacity_bytes = 4 << 30);
    let nic = Nic::new(NicKind::Network).with(|it| {
        it.mac = Some("00:50:56:aa:bb:01".to_owned());
        it.model = Some("vmxnet3".to_owned());
    });
    VmSpec::new(name, Firmware::Bios, Cpus::new(1, 1), 1 << 30).with(|it| {
        it.disks = vec![disk];
        it.nics = vec![nic];
    })
}

/// What an inspector says of a system of which only this is known.
pub fn inspection(os: OsInfo) -> Inspection {
    Inspection::new(os).with(|it| it.firmware = Some(Firmware::Bios))
}

/// The context of a system of this family that is not running.
pub fn context(family: OsFamily) -> PlanContext {
    let (distro, version, product) = match family {
        OsFamily::Linux => ("debian", "12", "Debian GNU/Linux 12 (bookworm)"),
        OsFamily::Windows => ("windows", "10.0", "Windows Server 2022"),
        _ => ("", "", ""),
    };
    let os = OsInfo::new(family).with(|it| {
        it.distro = distro.to_owned();
        it.version = version.to_owned();
        it.product = product.to_owned();
        it.arch = "x86_64".to_owned();
    });
    PlanContext::new(vm("web"), inspection(os))
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

/// A machine with one processor, 256 MiB of memory, this raw image as its disk, and a card.
pub fn machine(image: &Path, size_bytes: u64) -> Machine {
    let disk = MachineDisk::new("raw", size_bytes, DiskBus::Virtio).with(|disk| {
        disk.image = image.to_string_lossy().into_owned();
        disk.boot_order = Some(1);
    });
    Machine::new("web", Firmware::Bios, Cpus::new(1, 1), 256 << 20).with(|machine| {
        machine.disks.push(disk);
        machine.cards.push(Card::new(CardModel::Virtio));
    })
}

/// A test of one raw image, with folders beside it.
pub fn test_request(image: &Path, size_bytes: u64) -> TestRequest {
    let folder = image.parent().unwrap_or(Path::new("/"));
    let text = |name: &str| folder.join(name).to_string_lossy().into_owned();
    TestRequest::new(machine(image, size_bytes), text("boot"), text("work"), text("s"))
        .with(|request| request.timeout_seconds = 5)
}

/// A source of this URI, as the user names it.
pub fn source(uri: &str) -> SourceRef {
    SourceRef::new(uri)
}

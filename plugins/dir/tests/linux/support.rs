//! Trees of files with the VM they belong to, and the host's part of planning and applying.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use vmdk2kvm_dir::guest::DirGuest;
use vmdk2kvm_linux_guest::{DiskLayout, FixSettings, fixers, inspect};
use vmdk2kvm_plugin_api::Guest;
use vmdk2kvm_plugin_api::model::{
    Action, Change, Controller, Cpus, Disk, Firmware, FixerPlan, GuestBlockDevice, GuestDiskInfo, Inspection, Nic,
    NicKind, PlanContext, VmSpec,
};

/// Disk `index` with these partitions; UUIDs are `uuid-DISK-PART`.
pub fn disk(index: u32, partitions: &[(u32, &str)]) -> GuestDiskInfo {
    let letter = char::from(b'a' + index as u8);
    let devices = partitions.iter().map(|(partition, fstype)| {
        GuestBlockDevice::new(format!("/dev/sd{letter}{partition}"), *partition).with(|it| {
            it.fstype = Some((*fstype).to_owned());
            it.uuid = Some(format!("uuid-{index}-{partition}"));
            it.partuuid = Some(format!("part-{index}-{partition}"));
        })
    });
    GuestDiskInfo::new(index, 4 << 30, "mbr".to_owned()).with(|it| it.devices = devices.collect())
}

/// A guest in a folder of its own.
pub struct Tree {
    folder: tempfile::TempDir,
    layout: DiskLayout,
}

impl Tree {
    /// A guest whose disks are these, with the device of its root.
    pub fn new(firmware: Firmware, root: Option<&str>, disks: Vec<GuestDiskInfo>) -> Self {
        let layout = DiskLayout { firmware: Some(firmware), root: root.map(str::to_owned), mounts: vec![], disks };
        let tree = Self { folder: tempfile::tempdir().unwrap(), layout };
        tree.write("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
        tree
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// An installed kernel with its modules.
    pub fn kernel(&self, version: &str) {
        self.write(&format!("boot/vmlinuz-{version}"), "image");
        self.modules(version);
    }

    /// A kernel's modules.
    pub fn modules(&self, version: &str) {
        let at = format!("lib/modules/{version}");
        let virtio = "kernel/drivers/virtio";
        let mut dep = format!("{virtio}/virtio.ko:\n{virtio}/virtio_ring.ko: {virtio}/virtio.ko\n");
        for file in ["virtio/virtio_pci.ko", "block/virtio_blk.ko", "scsi/virtio_scsi.ko", "net/virtio_net.ko"] {
            dep.push_str(&format!("kernel/drivers/{file}: {virtio}/virtio_ring.ko {virtio}/virtio.ko\n"));
        }
        for file in dep.lines().map(|line| line.split(':').next().unwrap()) {
            self.write(&format!("{at}/{file}"), format!("the bytes of {file}"));
        }
        self.write(&format!("{at}/modules.dep"), dep);
        self.write(&format!("{at}/modules.builtin"), "kernel/fs/ext2/ext2.ko\n");
    }

    /// A boot archive with these files, gzipped.
    pub fn initramfs(&self, path: &str, files: &[(&str, &str)]) {
        let mut cpio = Vec::new();
        for (name, data) in files.iter().chain([&("TRAILER!!!", "")]) {
            let mode = if data.is_empty() { 0 } else { 0o100_644 };
            let fields = [1, mode, 0, 0, 1, 0, data.len(), 0, 0, 0, 0, name.len() + 1, 0];
            cpio.extend_from_slice(b"070701");
            fields.iter().for_each(|field| cpio.extend_from_slice(format!("{field:08x}").as_bytes()));
            for part in [[name.as_bytes(), b"\0"].concat(), data.as_bytes().to_vec()] {
                cpio.extend_from_slice(&part);
                cpio.resize(cpio.len().next_multiple_of(4), 0);
            }
        }
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&cpio).unwrap();
        self.write(path, gzip.finish().unwrap());
    }

    /// A program of this machine with the libraries it needs.
    pub fn program(&self, program: &str) {
        let output = std::process::Command::new("ldd").arg(program).output().expect("ldd (package libc-bin)");
        let text = String::from_utf8(output.stdout).unwrap();
        let libraries = text.split_whitespace().filter(|word| word.starts_with('/'));
        for file in libraries.chain([program]) {
            self.write(&file[1..], fs::read(file).unwrap());
            fs::set_permissions(self.path(&file[1..]), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
    }

    pub fn guest(&self) -> DirGuest {
        DirGuest::open(self.folder.path().to_str().unwrap(), true).unwrap()
    }

    pub fn inspection(&self) -> Inspection {
        inspect(&self.guest(), &self.layout).unwrap()
    }

    /// What all fixers say, in the host's order; a later fixer sees an earlier one's changes, as on a host, because they are
    /// tried on a copy of the tree.
    pub fn plan(&self) -> FixerPlan {
        let context = PlanContext::new(self.vm(), self.inspection());
        let copy = tempfile::tempdir().unwrap();
        let copied =
            std::process::Command::new("cp").arg("-a").arg(self.folder.path().join(".")).arg(copy.path()).status();
        assert!(copied.unwrap().success());
        let guest = DirGuest::open(copy.path().to_str().unwrap(), true).unwrap();
        let mut all = fixers(&FixSettings::default());
        all.sort_by_key(|fixer| (fixer.order(), fixer.name()));
        let mut plan = FixerPlan::default();
        for fixer in all {
            let own = fixer.plan(&context, &guest).unwrap();
            plan.findings.extend(own.findings);
            for mut change in own.changes {
                change.fixer = fixer.name();
                carry_out(&guest, copy.path(), &change);
                plan.changes.push(change);
            }
        }
        plan
    }

    pub fn apply(&self, plan: &FixerPlan) {
        let guest = self.guest();
        for change in &plan.changes {
            carry_out(&guest, self.folder.path(), change);
        }
    }

    pub fn layout(&self) -> &DiskLayout {
        &self.layout
    }

    pub fn vm(&self) -> VmSpec {
        let disks = self.layout.disks.iter().map(|disk| {
            Disk::new(format!("web_{}.vmdk", disk.index), Controller::Scsi, 0, disk.index)
                .with(|it| it.capacity_bytes = disk.size_bytes)
        });
        VmSpec::new("web".to_owned(), self.layout.firmware.unwrap_or(Firmware::Bios), Cpus::new(1, 1), 1 << 30).with(
            |it| {
                it.disks = disks.collect();
                it.nics = vec![Nic::new(NicKind::Network).with(|it| {
                    it.mac = Some("00:50:56:aa:bb:01".to_owned());
                    it.model = Some("vmxnet3".to_owned());
                })];
            },
        )
    }
}

/// A change of this target that does nothing in particular.
pub fn change(target: &str) -> Change {
    Change::new(Action::Remove { old_sha256: None }, target.to_owned(), String::new(), String::new()).with(|it| {
        it.id = "c1".to_owned();
        it.fixer = "test".to_owned();
        it.critical = true;
    })
}

/// Applies a change. No package manager is in a tree: what it would take away by which a package is known goes.
fn carry_out(guest: &DirGuest, folder: &Path, change: &Change) {
    if matches!(change.action, Action::RemovePackages { .. }) {
        for path in ["usr/bin/vmtoolsd", "lib/apk/db/installed", "var/lib/dpkg/status"] {
            fs::remove_file(folder.join(path)).ok();
        }
        return;
    }
    guest.apply(change).unwrap_or_else(|error| panic!("{}: {error}", change.target));
}

/// Fixer, kind and target of each change.
pub fn kinds(plan: &FixerPlan) -> Vec<String> {
    plan.changes.iter().map(|change| format!("{} {} {}", change.fixer, change.action.kind(), change.target)).collect()
}

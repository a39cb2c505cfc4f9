//! Images that a system's daemon could not open for a guest, said when the domain is defined.

use std::collections::BTreeSet;
use std::path::Path;

use vmdk2kvm_libvirt::reach::{closed_folder, is_local_system};
use vmdk2kvm_plugin_api::model::{Finding, Machine, Severity};
use vmdk2kvm_plugin_api::text::escape;

/// A finding for each folder that the user as which a system's daemon runs guests cannot enter.
pub(super) fn folders(uri: &str, machine: &Machine) -> Vec<Finding> {
    if !is_local_system(uri) {
        return Vec::new();
    }
    let closed = machine.disks.iter().filter_map(|disk| closed_folder(Path::new(&disk.image), None));
    let closed: BTreeSet<String> = closed.map(|folder| folder.display().to_string()).collect();
    let finding = |folder: String| {
        let folder = escape(&folder).into_owned();
        let message = format!("{folder} is closed to the user that libvirt runs guests as: the domain will not start");
        Finding::new("libvirt-folder-closed", Severity::Warn, message)
            .hint(format!("chmod o+x '{folder}', or have the images copied into a pool: --pool NAME"))
    };
    closed.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use vmdk2kvm_plugin_api::model::{Cpus, DiskBus, Firmware, MachineDisk};

    use super::*;

    #[test]
    fn a_closed_folder_is_named_once_and_for_the_systems_daemon_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |mode| std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(mode)).unwrap();
        let machine = Machine::new("web", Firmware::Bios, Cpus::new(1, 1), 1 << 30).with(|machine| {
            let disk = |name: &str| {
                MachineDisk::new("raw", 1 << 20, DiskBus::Virtio)
                    .with(|disk| disk.image = folder.path().join(name).display().to_string())
            };
            machine.disks = vec![disk("a"), disk("b")];
        });
        mode(0o700);
        let codes = |uri: &str| folders(uri, &machine).iter().map(|it| it.code.clone()).collect::<Vec<_>>();
        assert_eq!(codes("qemu:///system"), ["libvirt-folder-closed"]);
        assert!(codes("qemu:///session").is_empty());
        mode(0o711);
        assert!(codes("qemu:///system").is_empty());
    }
}

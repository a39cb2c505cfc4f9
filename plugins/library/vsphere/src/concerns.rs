//! What stands in the way of a VM, seen from its configuration, before a byte moves.

use vmdk2kvm_plugin_api::model::{Finding, Severity};
use vmdk2kvm_plugin_api::text::escape;

use crate::disks::VirtualDisk;
use crate::inventory::shown_path;
use crate::machine::Machine;

/// Whether files on a datastore of this type are the bytes of disks. What is not known is tried.
fn has_files(kind: &str) -> bool {
    !matches!(kind.to_ascii_lowercase().as_str(), "vsan" | "vsand" | "vvol")
}

/// The findings of a VM. Disks that cannot be read as files lose that way.
pub fn examine(machine: &mut Machine) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !machine.connected {
        findings.push(
            Finding::new("host-disconnected", Severity::Block, "its host is not reachable for the vCenter")
                .hint("connect the host again, or name it itself as the source when it can be reached from here"),
        );
    }
    let snapshots = machine.snapshots.len();
    if snapshots > 0 {
        let message =
            format!("it has {snapshots} snapshot{}: what it is now is migrated", if snapshots == 1 { "" } else { "s" });
        findings.push(
            Finding::new("snapshots-present", Severity::Warn, message)
                .hint("?snapshot=NAME in the source takes an older state"),
        );
    }
    if machine.consolidation_needed {
        findings.push(
            Finding::new(
                "consolidation-needed",
                Severity::Warn,
                "redo logs are left that no snapshot needs: reading gets slower",
            )
            .hint("consolidate its disks in the vSphere client"),
        );
    }
    if machine.spec.tpm {
        findings.push(
            Finding::new("tpm-secrets-stay", Severity::Warn, "the secrets in its virtual TPM stay behind")
                .hint("have the recovery keys of encrypted volumes at hand, or suspend BitLocker before"),
        );
    }
    let kinds: Vec<Option<String>> = machine
        .disks
        .iter()
        .map(|disk| {
            disk.backing.files.first().and_then(|file| machine.datastore_kind(&file.datastore)).map(str::to_owned)
        })
        .collect();
    for (index, kind) in kinds.into_iter().enumerate() {
        let disk = &machine.disks[index];
        let found = of_disk(disk, kind.as_deref());
        if found.iter().any(|finding| finding.code == "datastore-not-file") {
            machine.spec.disks[index].ways.clear();
        }
        findings.extend(found);
    }
    findings
}

fn of_disk(disk: &VirtualDisk, datastore: Option<&str>) -> Vec<Finding> {
    let (backing, name) = (&disk.backing, escape(&disk.disk.name));
    let mut findings = Vec::new();
    let mut add = |code: &str, severity, why: String, hint: &str| {
        findings.push(Finding::new(code, severity, format!("{name}: {why}")).hint(hint));
    };
    let is_raw_device = backing.kind.contains("RawDisk");
    if is_raw_device && backing.physical {
        add(
            "disk-rdm-physical",
            Severity::Block,
            "it is a raw device in physical mode, of which no copy can be made here".to_owned(),
            "detach it and copy it on its storage, or change it to virtual mode",
        );
    }
    if backing.multi_writer {
        add(
            "disk-multiwriter",
            Severity::Block,
            "several machines may write to it".to_owned(),
            "shut all of them down, and turn sharing off for the copy",
        );
    }
    if disk.shared_bus {
        add(
            "disk-shared-bus",
            Severity::Block,
            "its controller is shared with other machines".to_owned(),
            "shut all of them down, and turn bus sharing off for the copy",
        );
    }
    if backing.encrypted {
        add(
            "disk-encrypted",
            Severity::Block,
            "it is encrypted by the host, which gives its bytes to nobody by this way".to_owned(),
            "decrypt it first: change its storage policy in the vSphere client",
        );
    }
    if backing.is_independent() {
        add(
            "disk-independent",
            Severity::Warn,
            "it is independent: snapshots leave it out".to_owned(),
            "shut the machine down before, and leave it off until the copy is made",
        );
    }
    let by_file = datastore.is_none_or(has_files) && !is_raw_device;
    if !by_file {
        let why = if is_raw_device {
            "it is a raw device, whose bytes lie in no file of a datastore".to_owned()
        } else {
            format!("its datastore is of type {}, which keeps no file with its bytes", datastore.unwrap_or_default())
        };
        add("datastore-not-file", Severity::Block, why, "move its storage to a VMFS or NFS datastore");
    }
    if backing.files.is_empty() {
        add(
            "disk-without-file",
            Severity::Block,
            "the API names no file of it".to_owned(),
            "look at its settings in the vSphere client",
        );
    }
    let folder = backing.files.first().map(|file| (&file.datastore, file.folder()));
    if let Some(parent) = backing.files.iter().find(|file| Some((&file.datastore, file.folder())) != folder) {
        add(
            "linked-clone",
            Severity::Warn,
            format!("it is a linked clone: the disk that it was made from lies at {}", escape(&parent.to_string())),
            "leave that disk where it is until the copy is made",
        );
    }
    findings
}

/// The finding of a VM that runs, for a list: whether that is in the way is for a run to say.
pub fn running(machine: &Machine) -> Option<Finding> {
    let hint = "allow a snapshot with --snapshot, or a shut-down with --power-off";
    let message = format!("{} runs", escape(&shown_path(&machine.path)));
    machine.runs().then(|| Finding::new("vm-running", Severity::Block, message).hint(hint))
}

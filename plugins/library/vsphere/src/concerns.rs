//! What stands in the way of a VM, seen from its configuration, before a byte moves.

use vmdk2kvm_plugin_api::model::{Finding, Severity};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{ErrorKind, PluginError};

use crate::disks::VirtualDisk;
use crate::inventory::shown_path;
use crate::machine::Machine;
use crate::tree::Tree;
use crate::{datastore, ways};

/// Whether files on a datastore of this type are the bytes of disks. What is not known is tried.
fn has_files(kind: &str) -> bool {
    !matches!(kind.to_ascii_lowercase().as_str(), "vsan" | "vsand" | "vvol")
}

/// The findings of a VM. Disks lose the ways by which they cannot be read.
pub fn examine(machine: &mut Machine) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !machine.connected {
        findings.push(
            Finding::new("host-disconnected", Severity::Block, "the vCenter does not reach its host")
                .hint("connect the host again, or name it itself as the source when it can be reached from here"),
        );
    }
    let snapshots = machine.snapshots.len();
    if snapshots > 0 {
        let message = format!(
            "it has {snapshots} snapshot{}: its current state is migrated",
            if snapshots == 1 { "" } else { "s" }
        );
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
    if !machine.forbidden.is_empty() {
        let message = format!("this user may not read all of it: {}", escape(&machine.forbidden.join(", ")));
        findings.push(
            Finding::new("privilege-missing", Severity::Block, message)
                .hint("give the user a role with the privilege System > Read on the VM and on what is above it"),
        );
    }
    if machine.runs() && !machine.tools_run {
        let message = "VMware's tools do not run in its guest: it cannot be asked to shut down";
        findings.push(
            Finding::new("tools-absent", Severity::Warn, message)
                .hint("for a cut-over shut it down from within, or start the tools"),
        );
    }
    if let Some(why) = &machine.not_trackable {
        let message = format!("its changed blocks cannot be tracked: {why}");
        findings.push(
            Finding::new("cbt-unsupported", Severity::Info, message)
                .hint("migrate it in one go; for rounds while it runs upgrade its virtual hardware first"),
        );
    }
    if let Some(busy) = resting(machine) {
        findings.push(busy.finding());
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
        let is_found = |code: &str| found.iter().any(|finding| finding.code == code);
        let open = &mut machine.spec.disks[index].ways;
        if is_found("datastore-not-file") {
            open.retain(|way| way.scheme != datastore::SCHEME);
        }
        if is_found("disk-encrypted") || is_found("disk-rdm-physical") {
            open.retain(|way| way.scheme == ways::DISK);
        }
        findings.extend(found);
    }
    findings
}

/// The findings that forbid all ways but that of the vendor's library: where it reads the disks they are in nobody's way.
const OF_OTHER_WAYS: [&str; 3] = ["disk-encrypted", "datastore-not-file", "privilege-missing"];

/// Whether a finding is about other ways than that of the vendor's library alone.
pub fn is_of_other_ways(finding: &Finding, machine: &Machine) -> bool {
    // What may not be read at all is in every way.
    machine.forbidden.is_empty() && OF_OTHER_WAYS.contains(&finding.code.as_str())
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
            "it is encrypted by the host, which gives its bytes to the vendor's library alone".to_owned(),
            "decrypt it first: change its storage policy in the vSphere client; or set up VDDK, and give the user the privilege Cryptographic \
             operations > Direct access",
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
        // A lease streams what no file has.
        let is_exported = disk.disk.ways.iter().any(|way| way.scheme == ways::LEASE);
        let severity = if is_exported { Severity::Warn } else { Severity::Block };
        let hint = "it is exported as a stream, which only a command that copies it can read; or move its storage to a VMFS or NFS datastore";
        add("datastore-not-file", severity, why, hint);
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

/// What goes on with a VM, and has to end before it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    code: &'static str,
    why: String,
}

impl Busy {
    /// For whoever only looks.
    pub fn finding(&self) -> Finding {
        Finding::new(self.code, Severity::Warn, &self.why).hint(LATER)
    }

    /// For whoever is about to read.
    pub fn error(&self, vm: &str) -> PluginError {
        let message = format!("{}: {} ({})", escape(vm), self.why, self.code);
        PluginError::new(ErrorKind::Temporary, message).hint(LATER)
    }
}

const LATER: &str = "run the same command again when that is over";

/// That of a host that is being maintained: VMs are moved away from it, and tasks refused.
pub fn resting(machine: &Machine) -> Option<Busy> {
    let host = machine.host.as_deref().filter(|_| machine.host_rests)?;
    Some(Busy { code: "host-in-maintenance", why: format!("its host {} is in maintenance mode", escape(host)) })
}

/// That of a task by its `info`, unless it has ended.
pub fn working(info: &Tree) -> Option<Busy> {
    if !matches!(info.text("state"), Some("queued" | "running")) {
        return None;
    }
    let kind = info.text("descriptionId").unwrap_or("a task");
    let moves = ["relocate", "migrate", "vmotion"].iter().any(|word| kind.to_ascii_lowercase().contains(word));
    Some(match moves {
        true => Busy { code: "vm-migrating", why: "it is being moved to another host or datastore".to_owned() },
        false => Busy { code: "task-running", why: format!("a task works on it: {}", escape(kind)) },
    })
}

/// The finding of a VM that runs, for a list: whether that is in the way is for a run to say.
pub fn running(machine: &Machine) -> Option<Finding> {
    let hint = "allow a snapshot with --snapshot, or a shut-down with --power-off";
    let message = format!("{} runs", escape(&shown_path(&machine.path)));
    machine.runs().then(|| Finding::new("vm-running", Severity::Block, message).hint(hint))
}

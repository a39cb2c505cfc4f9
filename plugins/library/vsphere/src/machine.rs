//! A VM as its properties tell it: the description that the pipeline takes, and what else decides how it is read.

use vmdk2kvm_plugin_api::model::{Cpus, Firmware, PowerState, VmSpec};

use crate::collector::Object;
use crate::disks::{self, VirtualDisk};
use crate::inventory::Names;
use crate::request::Moref;
use crate::tree::Tree;
use crate::{cards, escape};

/// The properties that this is made of.
pub const PROPERTIES: [&str; 27] = [
    "name",
    "parent",
    "parentVApp",
    "datastore",
    "snapshot",
    "config.uuid",
    "config.guestId",
    "config.firmware",
    "config.template",
    "config.keyId",
    "config.changeTrackingEnabled",
    "config.bootOptions",
    "config.flags.diskUuidEnabled",
    "config.files.vmPathName",
    "config.hardware.numCPU",
    "config.hardware.numCoresPerSocket",
    "config.hardware.memoryMB",
    "config.hardware.device",
    "runtime.powerState",
    "runtime.connectionState",
    "runtime.consolidationNeeded",
    "runtime.host",
    "guest.toolsRunningStatus",
    "summary.storage.committed",
    "config.version",
    "capability.changeTrackingSupported",
    "recentTask",
];

/// A VM.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The object.
    pub moref: Moref,
    /// What the pipeline takes. Without findings.
    pub spec: VmSpec,
    /// Its disks in the order of `spec.disks`.
    pub disks: Vec<VirtualDisk>,
    /// Its path, as people see the names.
    pub path: Vec<String>,
    /// Whether it runs.
    pub power: PowerState,
    /// Its snapshots, each before those that were made from it.
    pub snapshots: Vec<Snapshot>,
    /// Whether changed blocks are tracked.
    pub tracking: Option<bool>,
    /// Why they cannot be; `None` where they can, or nobody says.
    pub not_trackable: Option<String>,
    /// Redo logs are left that no snapshot needs.
    pub consolidation_needed: bool,
    /// VMware's tools run in the guest, so that it can be asked to shut down.
    pub tools_run: bool,
    /// Its host is reachable.
    pub connected: bool,
    /// The host's name.
    pub host: Option<String>,
    /// The host is being maintained.
    pub host_rests: bool,
    /// Tasks that were begun lately, which may run.
    pub tasks: Vec<Moref>,
    /// Properties that the user may not read.
    pub forbidden: Vec<String>,
    /// The datastores that it lies on: name and type.
    pub datastores: Vec<(String, String)>,
    /// Bytes that it takes there.
    pub used_bytes: Option<u64>,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The object.
    pub moref: Moref,
    /// Its name, as people see it.
    pub name: String,
}

impl Machine {
    /// The VM of these properties. `devices` stands in place of its own: those of a snapshot.
    pub fn new(object: &Object, names: &Names, devices: Option<&Tree>) -> Self {
        let none = Tree::default();
        let devices = devices.or_else(|| object.get("config.hardware.device")).unwrap_or(&none);
        let datacenter = names.datacenter(object);
        let disks = disks::disks(devices, &object.moref.id, &datacenter);
        let datastore =
            |tree: &Tree| names.datastore(tree.text.trim()).map(|found| (found.name.clone(), found.kind.clone()));
        let datastores = object
            .get("datastore")
            .map(|list| list.children.iter().filter_map(datastore).collect())
            .unwrap_or_default();
        Self {
            moref: object.moref.clone(),
            spec: spec(object, devices, &disks, names),
            disks,
            path: names.path(object),
            power: power(object),
            snapshots: object.get("snapshot").map(snapshots).unwrap_or_default(),
            tracking: object.is_on("config.changeTrackingEnabled"),
            not_trackable: not_trackable(object),
            consolidation_needed: object.is_on("runtime.consolidationNeeded") == Some(true),
            tools_run: object.text("guest.toolsRunningStatus") == Some("guestToolsRunning"),
            connected: object.text("runtime.connectionState").is_none_or(|state| state == "connected"),
            host_rests: object.text("runtime.host").is_some_and(|id| names.rests(id)),
            tasks: object
                .get("recentTask")
                .map(|list| list.children.iter().filter_map(Moref::of).collect())
                .unwrap_or_default(),
            forbidden: object.forbidden.clone(),
            host: object.text("runtime.host").map(|id| names.other(id).unwrap_or(id).to_owned()),
            datastores,
            used_bytes: object.number("summary.storage.committed"),
        }
    }

    /// Whether something may write to its disks: a VM whose state is not known counts as running.
    pub fn runs(&self) -> bool {
        !matches!(self.power, PowerState::Off)
    }

    /// The type of a datastore.
    pub fn datastore_kind(&self, name: &str) -> Option<&str> {
        self.datastores.iter().find(|(known, _)| known == name).map(|(_, kind)| kind.as_str())
    }
}

/// The oldest hardware version whose changed blocks can be tracked.
const TRACKABLE: u32 = 7;

fn not_trackable(object: &Object) -> Option<String> {
    let version = object.text("config.version").and_then(|text| text.strip_prefix("vmx-")?.parse::<u32>().ok());
    match version.filter(|version| *version < TRACKABLE) {
        Some(version) => Some(format!("its hardware version is {version}, and {TRACKABLE} is needed")),
        None if object.is_on("capability.changeTrackingSupported") == Some(false) => {
            Some("its host says that they cannot".to_owned())
        }
        None => None,
    }
}

/// The state that `runtime.powerState` tells.
pub fn power(object: &Object) -> PowerState {
    match object.text("runtime.powerState") {
        Some("poweredOn") => PowerState::On,
        Some("poweredOff") => PowerState::Off,
        Some("suspended") => PowerState::Suspended,
        _ => PowerState::Unknown,
    }
}

fn spec(object: &Object, devices: &Tree, disks: &[VirtualDisk], names: &Names) -> VmSpec {
    let firmware = match object.text("config.firmware") {
        Some("efi") => Firmware::Uefi,
        Some("bios") => Firmware::Bios,
        _ => Firmware::Unknown,
    };
    let mut guessed = Vec::new();
    let memory = object.number::<u64>("config.hardware.memoryMB").and_then(|size| size.checked_mul(1 << 20));
    let count = object.number("config.hardware.numCPU");
    for (member, known) in
        [("memory_bytes", memory.is_some()), ("cpus", count.is_some()), ("firmware", firmware != Firmware::Unknown)]
    {
        if !known {
            guessed.push(member.to_owned());
        }
    }
    let cpus = Cpus::new(count.unwrap_or(1), object.number("config.hardware.numCoresPerSocket").unwrap_or(1));
    let name = escape::shown_name(object.text("name").unwrap_or(&object.moref.id));
    VmSpec::new(name, firmware, cpus, memory.unwrap_or(2 << 30)).with(|it| {
        it.uuid = object.text("config.uuid").map(str::to_lowercase);
        it.guest_id = object.text("config.guestId").map(str::to_owned);
        let boot = object.get("config.bootOptions");
        it.secure_boot = boot.and_then(|boot| boot.is_on("efiSecureBootEnabled")) == Some(true);
        it.tpm = devices.children.iter().any(|device| device.kind == "VirtualTPM");
        it.disks = disks.iter().map(|disk| disk.disk.clone()).collect();
        it.boot_order = boot.map(|boot| boot_order(boot, disks)).unwrap_or_default();
        it.removable = disks::removable(devices);
        it.nics = cards::cards(devices, &|id| names.other(id).map(escape::shown_name));
        it.shows_disk_serials = object.is_on("config.flags.diskUuidEnabled");
        it.guessed = guessed;
    })
}

/// The disks among what the firmware was told to start from.
fn boot_order(boot: &Tree, disks: &[VirtualDisk]) -> Vec<u32> {
    let index = |key: i64| disks.iter().position(|disk| disk.key == key).and_then(|at| u32::try_from(at).ok());
    boot.all("bootOrder").filter_map(|entry| index(entry.number("deviceKey")?)).collect()
}

/// The tree of `snapshot` as a list.
pub fn snapshots(tree: &Tree) -> Vec<Snapshot> {
    fn walk(list: &Tree, member: &str, found: &mut Vec<Snapshot>) {
        for entry in list.all(member) {
            let moref = entry.find("snapshot").and_then(Moref::of);
            if let (Some(moref), Some(name)) = (moref, entry.find("name")) {
                found.push(Snapshot { moref, name: escape::shown_name(&name.text) });
            }
            walk(entry, "childSnapshotList", found);
        }
    }
    let mut found = Vec::new();
    walk(tree, "rootSnapshotList", &mut found);
    found
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;

//! A VM of a host: its VMX, the list of its snapshots and its disks' descriptors, read where they lie, and what stands in the way of reading it.

use vmdk2kvm_plugin_api::model::{Disk, Finding, Origin, PowerState, Severity, VmSpec};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};
use vmdk2kvm_vmx::{MAX_SIZE, VmxDisk};

use super::descriptor::{self, Descriptor, Obstacle};
use super::place::Place;
use super::server::{Server, absent, too_large};
use super::snapshots::{self, Snapshot};
use super::transport;
use super::vim;

/// The longest chain of a disk.
const CHAIN: usize = 256;
/// Why the way stands where it does, for people.
const SLOW: &str = "the host's shell sends every byte, zeros too, through its own SSH, which is slow; where the API is open, vsphere:// with files by \
                    HTTPS or a lease is faster";

/// A VM as the host's list has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The host's number for it; `None`: it is in no list.
    pub id: Option<u32>,
    /// Its VMX.
    pub vmx: Place,
    /// Its name, as far as the list has one.
    pub name: String,
    /// Whether changed blocks are tracked.
    pub tracking: Option<bool>,
}

/// A VM.
pub struct Machine {
    /// Where it is.
    pub registered: Registered,
    /// Its description.
    pub spec: VmSpec,
    /// Whether it runs.
    pub power: PowerState,
    /// Its snapshots.
    pub snapshots: Vec<Snapshot>,
    /// The topmost file of each disk.
    pub files: Vec<Place>,
    /// The name of a disk that snapshots leave out.
    pub independent: Option<String>,
    /// What stands in the way, or is worth knowing.
    pub findings: Vec<Finding>,
}

impl Machine {
    /// Whether it may write to its disks.
    pub fn runs(&self) -> bool {
        !matches!(self.power, PowerState::Off)
    }

    /// Reads one. `choose` picks the snapshot whose disks are read.
    pub fn read(
        server: &Server,
        registered: &Registered,
        choose: &dyn Fn(&[Snapshot]) -> Result<Option<Snapshot>>,
    ) -> Result<Self> {
        let vmx = &registered.vmx;
        let bytes = server.read(vmx, MAX_SIZE)?;
        let described = vmdk2kvm_vmx::read(&bytes, &escape(vmx.path()), vmx.stem())?;
        let snapshots = snapshots(server, vmx)?;
        let chosen = choose(&snapshots)?;
        let power = match registered.id {
            Some(id) => power(server, id)?,
            None => PowerState::Off,
        };
        let origin = format!("esxi+ssh://{}{}", server.address.server(), vmx.path());
        let mut machine = Self {
            registered: registered.clone(),
            spec: described.vm.with(|it| it.origin = Some(Origin::new(super::PLUGIN, origin))),
            power,
            snapshots,
            files: Vec::new(),
            independent: None,
            findings: Vec::new(),
        };
        for disk in &described.disks {
            machine.add(server, disk, chosen.as_ref())?;
        }
        machine.look_around();
        Ok(machine)
    }

    fn add(&mut self, server: &Server, disk: &VmxDisk, snapshot: Option<&Snapshot>) -> Result<()> {
        let vmx = &self.registered.vmx;
        // A disk that came later than the snapshot, or is left out by it, has no other file.
        let name = snapshot.and_then(|snapshot| snapshot.files.get(&disk.key)).unwrap_or(&disk.file_name);
        let top = named(vmx, name).map_err(|error| error.context(format!("disk {}", disk.key)))?;
        let (descriptor, parents) = chain(server, &top)?;
        self.examine(disk, &top, descriptor.as_ref(), &parents);
        let twice = self.spec.disks.iter().any(|other| other.name == top.name());
        let shown = if twice { top.path() } else { top.name() };
        let capacity = descriptor.as_ref().map_or(0, |it| it.capacity);
        let open = descriptor.as_ref().and_then(Descriptor::obstacle).is_none();
        self.spec.disks.push(Disk::new(shown, disk.controller, disk.bus, disk.unit).with(|it| {
            it.id.clone_from(&disk.key);
            it.capacity_bytes = capacity;
            it.ways.push(transport::way(&top, &parents, if open { SLOW } else { "" }));
        }));
        if disk.is_independent() {
            self.independent.get_or_insert_with(|| shown.to_owned());
        }
        self.files.push(top);
        Ok(())
    }

    fn examine(&mut self, disk: &VmxDisk, top: &Place, descriptor: Option<&Descriptor>, parents: &[Place]) {
        let name = escape(top.name()).into_owned();
        let mut add = |code: &str, severity, why: &str, hint: &str| {
            self.findings.push(Finding::new(code, severity, format!("{name}: {why}")).hint(hint));
        };
        match descriptor.and_then(Descriptor::obstacle) {
            Some(Obstacle::RawPhysical) => add(
                "disk-rdm-physical",
                Severity::Block,
                "it is a raw device in physical mode, of which no copy can be made here",
                "detach it and copy it on its storage, or change it to virtual mode",
            ),
            Some(Obstacle::RawVirtual) => add(
                "datastore-not-file",
                Severity::Block,
                "it is a raw device, whose bytes lie in no file of a datastore",
                "export it by the API (vsphere://), or clone it to a disk on a VMFS or NFS datastore",
            ),
            Some(Obstacle::NoFile) => add(
                "datastore-not-file",
                Severity::Block,
                "it is on object storage (vSAN, vVol), where no file holds its bytes",
                "export it by the API (vsphere://), or move its storage to a VMFS or NFS datastore",
            ),
            None => {}
        }
        if disk.shared {
            add(
                "disk-multiwriter",
                Severity::Block,
                "several machines may write to it",
                "shut all of them down, and turn sharing off for the copy",
            );
        }
        if disk.is_independent() {
            add(
                "disk-independent",
                Severity::Warn,
                "it is independent: snapshots leave it out",
                "shut the machine down before, and leave it off until the copy is made",
            );
        }
        if let Some(parent) = parents.iter().find(|parent| parent.folder() != top.folder()) {
            add(
                "linked-clone",
                Severity::Warn,
                &format!("it is a linked clone: the disk that it was made from lies at {parent}"),
                "leave that disk where it is until the copy is made",
            );
        }
    }

    /// What is to be told of the VM itself.
    fn look_around(&mut self) {
        if self.registered.id.is_none() {
            let message =
                format!("{} is in no list of the host: whether it runs elsewhere is not known", self.registered.vmx);
            self.findings.push(
                Finding::new("vm-not-registered", Severity::Warn, message)
                    .hint("make sure that no other host runs it; a file that is locked is refused"),
            );
        }
        let others = self.snapshots.iter().filter(|snapshot| !snapshot.is_ours()).count();
        if others > 0 {
            let message = format!(
                "it has {others} snapshot{}: its current state is migrated",
                if others == 1 { "" } else { "s" }
            );
            self.findings.push(
                Finding::new("snapshots-present", Severity::Warn, message)
                    .hint("?snapshot=NAME in the source takes an older state"),
            );
        }
        if self.spec.tpm {
            self.findings.push(
                Finding::new("tpm-secrets-stay", Severity::Warn, "the secrets in its virtual TPM stay behind")
                    .hint("have the recovery keys of encrypted volumes at hand, or suspend BitLocker before"),
            );
        }
    }
}

/// The file that a VMX or a list of snapshots names: beside it, or anywhere on the host's volumes, where disks on other datastores lie.
fn named(from: &Place, name: &str) -> Result<Place> {
    if name.starts_with('/') { Place::parse(name) } else { from.beside(name) }
}

/// The descriptor of a disk and the files of its parents, nearest first.
fn chain(server: &Server, top: &Place) -> Result<(Option<Descriptor>, Vec<Place>)> {
    let first = describe(server, top)?;
    let (mut parents, mut from) = (Vec::new(), top.clone());
    let mut next = first.as_ref().and_then(|descriptor| descriptor.parent.clone());
    while let Some(name) = next {
        let parent = named(&from, &name)?;
        if parent == *top || parents.contains(&parent) || parents.len() == CHAIN {
            return Err(PluginError::unusable(format!("{top}: its chain of snapshots has no end"))
                .hint("consolidate the VM's disks, or clone it"));
        }
        next = describe(server, &parent)?.and_then(|descriptor| descriptor.parent);
        from = parent.clone();
        parents.push(parent);
    }
    Ok((first, parents))
}

/// A descriptor; `None`: the file is none, which is for the flattener to judge.
fn describe(server: &Server, place: &Place) -> Result<Option<Descriptor>> {
    let (told, bytes) = server.small(place, descriptor::LONGEST)?.ok_or_else(|| absent(place))?;
    Ok(if told.size > descriptor::LONGEST { None } else { Descriptor::parse(&bytes) })
}

/// The snapshots of a VM.
pub fn snapshots(server: &Server, vmx: &Place) -> Result<Vec<Snapshot>> {
    let list = vmx.beside(&format!("{}.vmsd", vmx.stem()))?;
    // A VM that never had one may have no list.
    let Some((told, bytes)) = server.small(&list, snapshots::LONGEST)? else { return Ok(Vec::new()) };
    if told.size > snapshots::LONGEST {
        return Err(too_large(&list, told.size, snapshots::LONGEST));
    }
    snapshots::parse(&bytes).map_err(|error| error.context(&list))
}

/// Whether a VM runs.
pub fn power(server: &Server, id: u32) -> Result<PowerState> {
    let (output, ended) = server.ask(&format!("vim-cmd vmsvc/power.getstate {id}"), vim::LONGEST)?;
    Ok(if ended.is_good() { vim::power(&String::from_utf8_lossy(&output)) } else { PowerState::Unknown })
}

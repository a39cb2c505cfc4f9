//! An OVF with its files: the machines in it, their disks found and recognised, and the manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use vmdk2kvm_plugin_api::model::{Disk, Finding, Severity, StatedDigest, VmSpec};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::tracing::{error_span, warn};
use vmdk2kvm_plugin_api::{BlockSource, PluginError, Result};

use super::choices::Choices;
use super::envelope::{Disk as OvfDisk, Envelope, bad, root, systems};
use super::files::{Files, covers};
use super::machine::{Described, Placed, describe};
use super::manifest::{self, Manifest};
use super::xml;
use crate::detect::{self, Kind};
use crate::magic::DiskFormat;
use crate::names::{file_name, stem};
use crate::roots::Roots;

/// The formats whose deltas are read: their reader asks for the parent, and refuses a delta without one.
const WITH_DELTAS: [DiskFormat; 2] = [DiskFormat::Vmdk, DiskFormat::Qcow2];

/// The machines of an OVF's bytes. `stem` names one that has neither name nor id.
pub fn read(bytes: &[u8], stem: &str, choices: &Choices) -> Result<Vec<Described>> {
    let text = xml::decode(bytes)?;
    let document = xml::parse(&text)?;
    let root = root(&document)?;
    let envelope = Envelope::read(root, choices.configuration.as_deref())?;
    let machines = systems(root)?.into_iter().map(|system| describe(&envelope, system, stem, choices));
    let mut machines: Vec<Described> = machines.collect::<Result<_>>()?;
    let disks = machines.iter().flat_map(|machine| &machine.disks);
    let used: BTreeSet<String> =
        disks.filter_map(|placed| placed.disk.file.as_ref().map(|file| file.href.clone())).collect();
    for other in envelope.others(&used) {
        let file = other.file.as_ref().map_or("", |file| &file.href);
        let what = format!(
            "disk '{}' with the file '{}' is in no virtual machine of the OVF, and is not moved",
            escape(&other.id),
            escape(file)
        );
        let finding = Finding::new("ovf-disk-unused", Severity::Warn, what)
            .hint("when it belongs to this virtual machine, give its file with --disk");
        machines.iter_mut().for_each(|machine| machine.findings.push(finding.clone()));
    }
    Ok(machines)
}

/// A package, which is bound to the folder or the archive its OVF lies in.
pub struct Package<'a> {
    roots: &'a Roots,
    object: &'a str,
    choices: &'a Choices,
}

impl<'a> Package<'a> {
    /// The package of the OVF `object`.
    pub fn new(roots: &'a Roots, object: &'a str, choices: &'a Choices) -> Self {
        Self { roots, object, choices }
    }

    /// Its machines, without their disks' files. The OVF itself is held against the manifest here.
    pub fn machines(&self) -> Result<Vec<Described>> {
        let source = self.roots.source(self.object)?;
        let _span = error_span!("ovf", file = source.name()).entered();
        self.verify()?;
        let bytes = source.document("an OVF", xml::MAX_SIZE)?;
        read(&bytes, &stem(Path::new(self.object)), self.choices).map_err(|error| error.context(source.name()))
    }

    /// The machine with its disks.
    pub fn attach(&self, described: Described) -> Result<VmSpec> {
        self.attach_or(described, |error, _| Err(error))
    }

    /// The machine with its disks, for a list of machines: one whose file is not as it should be is in it, and is told of.
    pub fn attach_as_far_as_it_goes(&self, described: Described) -> Result<VmSpec> {
        self.attach_or(described, |error, placed| {
            // The host reads the chain of a disk without a capacity, and there is no file to read.
            let Some(capacity_bytes) = placed.capacity.filter(|capacity| *capacity > 0) else { return Err(error) };
            let name = placed.disk.file.as_ref().map_or(&placed.disk.id, |file| &file.href);
            let disk = Disk::new(file_name(Path::new(name)), placed.controller, placed.bus, placed.unit)
                .with(|it| it.capacity_bytes = capacity_bytes);
            let finding = Finding::new("ovf-disk-unreadable", Severity::Block, error.message);
            Ok((disk, finding.hint(error.hint.unwrap_or_default())))
        })
    }

    /// The machine with its disks, of which one that cannot be had is what `instead` makes of it.
    fn attach_or(
        &self,
        described: Described,
        instead: impl Fn(PluginError, Placed) -> Result<(Disk, Finding)>,
    ) -> Result<VmSpec> {
        let Described { mut vm, disks, mut findings, .. } = described;
        let covered = self.covered()?;
        let files = Files::new(self.roots, self.object, covered.as_deref());
        for (index, placed) in disks.into_iter().enumerate() {
            if placed.guessed {
                vm.guessed.push(format!("disks[{index}].controller"));
            }
            let context = format!("{}: disk '{}'", escape(self.object), escape(&placed.disk.id));
            let disk = match self.disk(&files, &placed, &mut findings) {
                Ok(disk) => disk,
                Err(error) => {
                    let (disk, finding) = instead(error.context(&context), placed)?;
                    findings.push(finding);
                    disk
                }
            };
            if let (Some(covered), Some(path)) = (&covered, crate::object_of_disk(&disk)) {
                if !covered.iter().any(|object| covers(object, path)) {
                    warn!("{}: the manifest has no digest of it", escape(path));
                }
            }
            vm.disks.push(disk);
        }
        let certificate = Path::new(self.object).with_extension("cert");
        if certificate.to_str().is_some_and(|object| self.roots.has(object)) {
            warn!("{}: the package is signed, and the signature is not checked", escape(self.object));
        }
        vm.findings.extend(findings);
        Ok(vm)
    }

    /// The objects of deltas, each with that of the disk it is a delta on. Files that are not there are left out.
    pub fn parents(&self) -> Result<BTreeMap<String, String>> {
        let bytes = self.roots.source(self.object)?.document("an OVF", xml::MAX_SIZE)?;
        let text = xml::decode(&bytes)?;
        let document = xml::parse(&text)?;
        let envelope = Envelope::read(root(&document)?, self.choices.configuration.as_deref())?;
        let files = Files::new(self.roots, self.object, None);
        let object = |disk: &OvfDisk| files.path(disk.file.as_ref()?, &mut Vec::new()).ok();
        let mut parents = BTreeMap::new();
        for (delta, parent) in envelope.deltas() {
            let (Some(child), Some(below)) = (object(delta), object(parent)) else { continue };
            if parents.insert(child, below.clone()).is_some_and(|other| other != below) {
                return Err(bad(&format!(
                    "{}: the file of disk '{}' is a delta on two disks",
                    escape(self.object),
                    escape(&delta.id)
                )));
            }
        }
        Ok(parents)
    }

    /// The digests that the manifest, if there is one, has of everything that `object` is made of.
    pub fn stated_digests(&self, object: &str) -> Result<Vec<StatedDigest>> {
        let Some(manifest) = self.manifest()? else { return Ok(Vec::new()) };
        let files = Files::new(self.roots, self.object, None);
        let mut stated = Vec::new();
        for entry in manifest.entries() {
            match files.find(&entry.name) {
                Some(file) if covers(&file, object) => stated.push(entry.stated(file)),
                None if files.is_part(&entry.name, object) => {
                    let (object, part) = (escape(object), escape(&entry.name));
                    return Err(PluginError::unusable(format!(
                        "{object}: its part '{part}' is in the manifest, and not there"
                    ))
                    .hint("the package is incomplete: copy it again"));
                }
                _ => {}
            }
        }
        Ok(stated)
    }

    /// Holds the OVF itself against the manifest.
    fn verify(&self) -> Result<()> {
        let Some(manifest) = self.manifest()? else { return Ok(()) };
        let files = Files::new(self.roots, self.object, None);
        let of_ovf = |entry: &&manifest::Entry| files.find(&entry.name).as_deref() == Some(self.object);
        manifest.entries().iter().filter(of_ovf).try_for_each(|entry| entry.verify(&self.roots.source(self.object)?))
    }

    /// The objects that the manifest has digests of; `None` without a manifest.
    fn covered(&self) -> Result<Option<Vec<String>>> {
        let files = Files::new(self.roots, self.object, None);
        let manifest = self.manifest()?;
        Ok(manifest.map(|manifest| manifest.entries().iter().filter_map(|entry| files.find(&entry.name)).collect()))
    }

    fn manifest(&self) -> Result<Option<Manifest>> {
        let path = Path::new(self.object).with_extension("mf");
        let Some(object) = path.to_str().filter(|object| self.roots.has(object)) else { return Ok(None) };
        let source = self.roots.source(object)?;
        let bytes = source.document("a manifest", manifest::MAX_SIZE)?;
        Ok(Some(Manifest::parse(source.name(), &bytes)))
    }

    fn disk(&self, files: &Files<'_>, placed: &Placed, findings: &mut Vec<Finding>) -> Result<Disk> {
        let Placed { controller, bus, unit, disk, capacity, .. } = placed;
        let (controller, bus, unit) = (*controller, *bus, *unit);
        let Some(file) = &disk.file else {
            let capacity_bytes = capacity.filter(|capacity| *capacity > 0).ok_or_else(|| {
                PluginError::unusable("it has neither a file nor a capacity").hint("export the virtual machine again")
            })?;
            return Ok(Disk::new(escape(&disk.id), controller, bus, unit).with(|it| it.capacity_bytes = capacity_bytes));
        };
        let path = files.path(file, findings)?;
        // The path of a revision ends in its number, which says nothing of a format.
        let name = Files::name(file);
        let format = match disk.format {
            // What a compressed file holds is looked at by whoever reads the disk; unpacking it here would cost minutes.
            Some(format) if file.gzip => format,
            Some(format) => {
                detect::declared(&self.roots.source(&path)?, format)?;
                format
            }
            None => match detect::detect(&self.roots.source(&path)?, Path::new(&name))? {
                Kind::Disk(format) => format,
                other => {
                    return Err(PluginError::unusable(format!(
                        "'{}' is {}, not a disk",
                        escape(&file.href),
                        other.what()
                    )));
                }
            },
        };
        if let Some(parent) = disk.parent.as_ref().filter(|_| !WITH_DELTAS.contains(&format)) {
            return Err(PluginError::unusable(format!(
                "it is a delta on '{}' in the format {}, whose deltas are not read",
                escape(parent),
                format.as_str()
            ))
            .hint("consolidate the snapshots of the virtual machine, then export it again"));
        }
        let capacity_bytes = match (capacity, format) {
            (_, DiskFormat::Raw) => self.roots.source(&path)?.size(),
            (capacity, _) => capacity.unwrap_or(0),
        };
        Ok(Disk::new(file_name(Path::new(&name)), controller, bus, unit).with(|it| {
            it.capacity_bytes = capacity_bytes;
            it.ways = vec![crate::way(&path, format.as_str())];
        }))
    }
}

//! The control plane: which virtual machines a source holds, and what they are.

use std::path::Path;
use std::sync::Arc;

use vmdk2kvm_plugin_api::model::{Disk, Origin, SourceRef, VmSpec, VmSummary};
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::tracing::warn;
use vmdk2kvm_plugin_api::{BlockSource, Catalog, ErrorKind, PluginError, Result};

use crate::container::shelf::Shelf;
use crate::content::{self, Content, list};
use crate::detect::{self, Kind};
use crate::given::Given;
use crate::magic::DiskFormat;
use crate::names::{file_name, object_of};
use crate::ovf::{Choices, Described, Package};
use crate::roots::Roots;
use crate::{NAME, bare, object_of_disk, slots, vmx_disks};

/// The catalog of one source.
#[derive(Debug)]
pub struct LocalCatalog {
    roots: Roots,
    choices: Arc<Choices>,
    vm: Option<String>,
}

const CHOOSE: &str =
    "choose one with --vm by its id, its display name or its file name, or name its file as the source";

impl LocalCatalog {
    /// Follows the user's words to the file system; reads no file yet.
    pub fn open(source: &SourceRef, shelf: Arc<Shelf>, choices: Arc<Choices>) -> Result<Self> {
        Ok(Self { roots: Roots::open(source, shelf)?, choices, vm: source.vm.clone() })
    }

    /// Adds the further disks behind those of the machine.
    fn with_extra(&self, mut vm: VmSpec) -> Result<VmSpec> {
        for (object, format) in self.extra()? {
            let disk = self.disk(&vm.disks, &object, format)?;
            vm.guessed.push(format!("disks[{}].controller", vm.disks.len()));
            vm.disks.push(disk);
        }
        Ok(vm)
    }

    /// The machine that the VMX `object` describes, as far as it itself says.
    fn vmx(&self, object: &str) -> Result<VmSpec> {
        let described = vmx_disks::read(&self.roots, object)?;
        let mut vm = described.vm;
        vm.disks = vmx_disks::open(&self.roots, object, described.disks)?;
        vm.origin = Some(origin(object));
        warn_when_running(&vm, object);
        Ok(vm)
    }

    fn package<'a>(&'a self, object: &'a str) -> Package<'a> {
        Package::new(&self.roots, object, &self.choices)
    }

    /// The machine that the OVF `object` describes, with its files.
    fn ovf(&self, object: &str, described: Described) -> Result<VmSpec> {
        let mut vm = self.package(object).attach(described)?;
        vm.origin = Some(origin(object));
        Ok(vm)
    }

    /// A machine around these disks and the further ones.
    fn bare(&self, found: Vec<(String, DiskFormat)>) -> Result<VmSpec> {
        let object = match found.as_slice() {
            // Of a bundle the archive has the name: `disk.raw` in it says nothing.
            [(object, _)] if self.roots.within_archive(object) => self.main()?,
            [(object, _)] => object.clone(),
            _ => self.main()?,
        };
        let mut disks = Vec::new();
        for (object, format) in found.into_iter().chain(self.extra()?) {
            disks.push(self.disk(&disks, &object, format)?);
        }
        let mut vm = bare::machine(content::machine_name(&object), disks);
        vm.origin = Some(origin(&object));
        warn_when_running(&vm, &object);
        Ok(vm)
    }

    /// The further disks with their formats; none twice.
    fn extra(&self) -> Result<Vec<(String, DiskFormat)>> {
        let mut all = Vec::new();
        for path in &self.roots.extra {
            let object = object_of(path)?;
            match detect::detect(&self.roots.source(&object)?, path)? {
                Kind::Disk(format) => all.push((object, format)),
                other => {
                    return Err(PluginError::new(
                        ErrorKind::Usage,
                        format!("{}: a further disk is {}, not a disk", escape(&object), other.what()),
                    )
                    .hint("give that as the source; it names its disks itself"));
                }
            }
        }
        Ok(all)
    }

    /// The disk `object` on the first free place behind `before`.
    fn disk(&self, before: &[Disk], object: &str, format: DiskFormat) -> Result<Disk> {
        if before.iter().any(|disk| object_of_disk(disk) == Some(object)) {
            return Err(PluginError::new(ErrorKind::Usage, format!("{}: the disk is given twice", escape(object)))
                .hint("name each disk once"));
        }
        let (controller, bus, unit) = slots::next(before);
        let capacity_bytes = if format == DiskFormat::Raw { self.roots.source(object)?.size() } else { 0 };
        Ok(Disk::new(file_name(Path::new(object)), controller, bus, unit).with(|it| {
            it.capacity_bytes = capacity_bytes;
            it.ways = vec![crate::way(object, format.as_str())];
        }))
    }

    /// The source's own file or folder as an object.
    fn main(&self) -> Result<String> {
        object_of(match &self.roots.main {
            Given::File(path) | Given::Folder(path) => path,
        })
    }

    /// The machine of the packages that is wanted, or the only one.
    fn choose_system(&self, packages: &[String]) -> Result<VmSpec> {
        let mut systems = Vec::new();
        for object in packages {
            let described = self.package(object).machines()?;
            let alone = described.len() == 1;
            systems.extend(described.into_iter().map(|system| (object, alone, system)));
        }
        if systems.is_empty() {
            return Err(PluginError::unusable(format!(
                "{}: it describes no virtual machine",
                escape(&packages.concat())
            ))
            .hint("export the virtual machine again"));
        }
        let names: Vec<String> = systems.iter().map(|(_, _, system)| label(system)).collect();
        let choices = || list(names.iter().map(String::as_str));
        if let Some(wanted) = &self.vm {
            let is_it = |(object, alone, system): &(&String, bool, Described)| {
                let by_file =
                    *alone && (names_file(object, wanted) || names_file(&self.main().unwrap_or_default(), wanted));
                system.id.as_ref() == Some(wanted) || system.vm.name == *wanted || by_file
            };
            let by_id = |(_, _, system): &(&String, bool, Described)| system.id.as_ref() == Some(wanted);
            let ids = systems.iter().filter(|system| by_id(system)).count();
            systems.retain(|system| if ids > 0 { by_id(system) } else { is_it(system) });
        }
        match (systems.len(), &self.vm) {
            (1, _) => {}
            (0, Some(wanted)) => {
                let what = format!("there is no virtual machine '{}' among {}", escape(wanted), choices());
                return Err(PluginError::unusable(what).hint(CHOOSE));
            }
            (_, Some(wanted)) => {
                let what = format!("several virtual machines are called '{}' among {}", escape(wanted), choices());
                return Err(PluginError::unusable(what).hint("choose one with --vm by its id"));
            }
            _ => {
                let what =
                    format!("{}: the package holds several virtual machines: {}", escape(&self.main()?), choices());
                return Err(PluginError::unusable(what).hint(CHOOSE));
            }
        }
        match systems.pop() {
            Some((object, _, system)) => self.ovf(object, system),
            None => Err(PluginError::defect("a machine was chosen and is not there")),
        }
    }

    /// Of several VMX files, the one whose file or display name is the wanted one.
    fn choose(&self, machines: &[String]) -> Result<VmSpec> {
        if let [only] = machines {
            return self.confirm(self.vmx(only)?, only);
        }
        let choices = || list(machines.iter().map(|object| last_part(object)));
        let hint = CHOOSE;
        let Some(wanted) = &self.vm else {
            return Err(PluginError::unusable(format!(
                "{}: the folder holds several virtual machines: {}",
                file_name(self.roots.main.root()),
                choices()
            ))
            .hint(hint));
        };
        if let Some(object) = machines.iter().find(|object| names_file(object, wanted)) {
            return self.vmx(object);
        }
        let mut matching = Vec::new();
        for object in machines {
            match vmx_disks::read(&self.roots, object) {
                Ok(described) if described.vm.name == *wanted => matching.push(object),
                Ok(_) => {}
                Err(error) => warn!("{error}"),
            }
        }
        match matching.as_slice() {
            [object] => self.vmx(object),
            [] => Err(PluginError::unusable(format!(
                "there is no virtual machine '{}' among {}",
                escape(wanted),
                choices()
            ))
            .hint(hint)),
            several => Err(PluginError::unusable(format!(
                "several virtual machines are called '{}': {}",
                escape(wanted),
                list(several.iter().map(|object| last_part(object)))
            ))
            .hint("choose one by its file name")),
        }
    }

    /// A source with one machine may name it again, and no other.
    fn confirm(&self, vm: VmSpec, object: &str) -> Result<VmSpec> {
        match &self.vm {
            Some(wanted) if vm.name != *wanted && !names_file(object, wanted) => Err(PluginError::unusable(format!(
                "{}: there is no virtual machine '{}'",
                escape(object),
                escape(wanted)
            ))
            .hint(format!("its virtual machine is called '{}'", escape(&vm.name)))),
            _ => Ok(vm),
        }
    }
}

impl Catalog for LocalCatalog {
    fn inventory(&self) -> Result<Vec<VmSummary>> {
        Ok(self.machines()?.into_iter().map(VmSummary::new).collect())
    }

    fn describe(&self) -> Result<VmSpec> {
        self.chosen()
    }
}

impl LocalCatalog {
    /// Every machine.
    fn machines(&self) -> Result<Vec<VmSpec>> {
        match content::content(&self.roots)? {
            Content::Machines(machines) if machines.len() > 1 => {
                machines.iter().map(|object| self.vmx(object)).collect()
            }
            Content::Packages(packages) if self.vm.is_none() => {
                let mut all = Vec::new();
                for object in &packages {
                    let package = self.package(object);
                    for system in package.machines()? {
                        let mut vm = package.attach_as_far_as_it_goes(system)?;
                        vm.origin = Some(origin(object));
                        all.push(vm);
                    }
                }
                if let [only] = all.as_mut_slice() {
                    *only = self.with_extra(only.clone())?;
                }
                Ok(all)
            }
            _ => Ok(vec![self.chosen()?]),
        }
    }

    /// The machine that the source names.
    fn chosen(&self) -> Result<VmSpec> {
        match content::content(&self.roots)? {
            Content::Machines(machines) => self.with_extra(self.choose(&machines)?),
            Content::Packages(packages) => self.with_extra(self.choose_system(&packages)?),
            Content::Disks(disks) => {
                let object = disks.first().map(|(object, _)| object.clone()).unwrap_or_default();
                self.confirm(self.bare(disks)?, &object)
            }
        }
    }
}

/// A system for a list to choose from.
fn label(system: &Described) -> String {
    match &system.id {
        Some(id) if *id != system.vm.name => format!("{} ({})", system.vm.name, id),
        _ => system.vm.name.clone(),
    }
}

fn origin(object: &str) -> Origin {
    Origin::new(NAME.to_owned(), object.to_owned())
}

fn last_part(object: &str) -> &str {
    object.rsplit('/').next().unwrap_or(object)
}

/// Whether `wanted` is the object's file name, with its extension or without.
fn names_file(object: &str, wanted: &str) -> bool {
    let name = last_part(object);
    name == wanted || name.rsplit_once('.').is_some_and(|(stem, _)| stem == wanted)
}

/// VMware keeps `<file>.lck` beside the VMX and each disk of a machine that runs.
fn warn_when_running(vm: &VmSpec, object: &str) {
    let disks = vm.disks.iter().filter_map(object_of_disk);
    if let Some(locked) =
        std::iter::once(object).chain(disks).find(|object| Path::new(&format!("{object}.lck")).exists())
    {
        warn!(
            "{}.lck exists: the virtual machine may be running, and its disks may change while they are read",
            escape(locked)
        );
    }
}

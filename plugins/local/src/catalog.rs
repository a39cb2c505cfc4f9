//! The control plane: which virtual machines a source holds, and what they are.

use std::path::Path;

use vmdk2kvm_plugin_api::model::{Disk, Origin, SourceRef, VmSpec};
use vmdk2kvm_plugin_api::tracing::warn;
use vmdk2kvm_plugin_api::{BlockSource, Catalog, ErrorKind, PluginError, Result};

use crate::detect::{self, Kind};
use crate::folder::{self, Content};
use crate::given::Given;
use crate::magic::DiskFormat;
use crate::names::{file_name, object_of, shown, stem};
use crate::roots::Roots;
use crate::{NAME, bare, slots, vmx, vmx_disks};

/// The catalog of one source.
#[derive(Debug)]
pub struct LocalCatalog {
    roots: Roots,
    vm: Option<String>,
}

impl LocalCatalog {
    /// Follows the user's words to the file system; reads no file yet.
    pub fn open(source: &SourceRef) -> Result<Self> {
        Ok(Self { roots: Roots::open(source)?, vm: source.vm.clone() })
    }

    /// The machine in the file at `path`: described by a VMX, or guessed around a disk. Further disks come behind.
    fn file(&self, path: &Path) -> Result<VmSpec> {
        let object = object_of(path)?;
        let source = self.roots.source(&object)?;
        match detect::detect(&source, path)? {
            Kind::Vmx => {
                let mut vm = self.vmx(&object)?;
                for (object, format) in self.extra()? {
                    let disk = self.disk(&vm.disks, &object, format)?;
                    vm.guessed.push(format!("disks[{}].controller", vm.disks.len()));
                    vm.disks.push(disk);
                }
                Ok(vm)
            }
            Kind::Disk(format) => self.bare(&object, format),
        }
    }

    /// The machine that the VMX `object` describes, as far as it itself says.
    fn vmx(&self, object: &str) -> Result<VmSpec> {
        let path = Path::new(object);
        let described = vmx::read(&self.roots.source(object)?, &stem(path))?;
        let mut vm = described.vm;
        vm.disks = vmx_disks::open(&self.roots, object, described.disks)?;
        vm.origin = Some(origin(object));
        warn_when_running(&vm, object);
        Ok(vm)
    }

    /// A machine around the disk `object` and the further ones.
    fn bare(&self, object: &str, format: DiskFormat) -> Result<VmSpec> {
        let mut disks = vec![self.disk(&[], object, format)?];
        for (object, format) in self.extra()? {
            disks.push(self.disk(&disks, &object, format)?);
        }
        let mut vm = bare::machine(stem(Path::new(object)), disks);
        vm.origin = Some(origin(object));
        warn_when_running(&vm, object);
        Ok(vm)
    }

    /// The further disks with their formats; none twice.
    fn extra(&self) -> Result<Vec<(String, DiskFormat)>> {
        let mut all = Vec::new();
        for path in &self.roots.extra {
            let object = object_of(path)?;
            match detect::detect(&self.roots.source(&object)?, path)? {
                Kind::Disk(format) => all.push((object, format)),
                Kind::Vmx => {
                    return Err(PluginError::new(
                        ErrorKind::Usage,
                        format!("{}: a further disk is a VMX, not a disk", shown(&object)),
                    )
                    .hint("give the VMX as the source; it names its disks itself"));
                }
            }
        }
        Ok(all)
    }

    /// The disk `object` on the first free place behind `before`.
    fn disk(&self, before: &[Disk], object: &str, format: DiskFormat) -> Result<Disk> {
        if before.iter().any(|disk| disk.path.as_deref() == Some(object)) {
            return Err(PluginError::new(ErrorKind::Usage, format!("{}: the disk is given twice", shown(object)))
                .hint("name each disk once"));
        }
        let (controller, bus, unit) = slots::next(before);
        let capacity_bytes = if format == DiskFormat::Raw { self.roots.source(object)?.size() } else { 0 };
        Ok(Disk {
            name: file_name(Path::new(object)),
            controller,
            bus,
            unit,
            capacity_bytes,
            format: format.as_str().to_owned(),
            path: Some(object.to_owned()),
        })
    }

    /// Of several VMX files, the one whose file or display name is the wanted one.
    fn choose(&self, machines: &[String]) -> Result<VmSpec> {
        if let [only] = machines {
            return self.file(Path::new(only));
        }
        let choices = || folder::list(machines.iter().map(|object| last_part(object)));
        let hint = "choose one by its file name or its display name, or name the VMX itself";
        let Some(wanted) = &self.vm else {
            return Err(PluginError::unusable(format!(
                "{}: the folder holds several virtual machines: {}",
                file_name(self.roots.main.root()),
                choices()
            ))
            .hint(hint));
        };
        if let Some(object) = machines.iter().find(|object| names_file(object, wanted)) {
            return self.file(Path::new(object));
        }
        let mut matching = Vec::new();
        for object in machines {
            match vmx::read(&self.roots.source(object)?, &stem(Path::new(object))) {
                Ok(described) if described.vm.name == *wanted => matching.push(object),
                Ok(_) => {}
                Err(error) => warn!("{error}"),
            }
        }
        match matching.as_slice() {
            [object] => self.file(Path::new(object)),
            [] => Err(PluginError::unusable(format!(
                "there is no virtual machine '{}' among {}",
                shown(wanted),
                choices()
            ))
            .hint(hint)),
            several => Err(PluginError::unusable(format!(
                "several virtual machines are called '{}': {}",
                shown(wanted),
                folder::list(several.iter().map(|object| last_part(object)))
            ))
            .hint("choose one by its file name")),
        }
    }

    /// A source with one machine may name it again, and no other.
    fn confirm(&self, vm: VmSpec, object: &str) -> Result<VmSpec> {
        match &self.vm {
            Some(wanted) if vm.name != *wanted && !names_file(object, wanted) => Err(PluginError::unusable(format!(
                "{}: there is no virtual machine '{}'",
                shown(object),
                shown(wanted)
            ))
            .hint(format!("its virtual machine is called '{}'", shown(&vm.name)))),
            _ => Ok(vm),
        }
    }
}

impl Catalog for LocalCatalog {
    fn inventory(&self) -> Result<Vec<VmSpec>> {
        if let Given::Folder(path) = &self.roots.main {
            if let Content::Machines(machines) = folder::look(&self.roots, path)? {
                if machines.len() > 1 {
                    return machines.iter().map(|object| self.vmx(object)).collect();
                }
            }
        }
        Ok(vec![self.describe()?])
    }

    fn describe(&self) -> Result<VmSpec> {
        let (vm, object) = match &self.roots.main {
            Given::File(path) => (self.file(path)?, object_of(path)?),
            Given::Folder(path) => match folder::look(&self.roots, path)? {
                Content::Machines(machines) if machines.len() > 1 => return self.choose(&machines),
                Content::Machines(machines) => (self.choose(&machines)?, machines.concat()),
                Content::Disk(object, format) => (self.bare(&object, format)?, object),
            },
        };
        self.confirm(vm, &object)
    }
}

fn origin(object: &str) -> Origin {
    Origin { fetcher: NAME.to_owned(), uri: object.to_owned() }
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
    let disks = vm.disks.iter().filter_map(|disk| disk.path.as_deref());
    if let Some(locked) =
        std::iter::once(object).chain(disks).find(|object| Path::new(&format!("{object}.lck")).exists())
    {
        warn!(
            "{}.lck exists: the virtual machine may be running, and its disks may change while they are read",
            shown(locked)
        );
    }
}

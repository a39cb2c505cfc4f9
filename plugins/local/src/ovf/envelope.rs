//! The envelope around the machines: files, disks, and the virtual systems (DSP0243 2.1.1, sections 7 and 9).

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;
use vmdk2kvm_plugin_api::text::escape;
use vmdk2kvm_plugin_api::{PluginError, Result};

use super::configurations::Configurations;
use super::xml::{attribute, child, children, text};
use crate::magic::DiskFormat;

/// The most virtual systems of a package.
const MAX_SYSTEMS: usize = 1000;

/// The longest chain of deltas: VMware cannot open a longer one.
const LONGEST_CHAIN: usize = 255;

/// A file of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name, relative to the OVF: hostile.
    pub href: String,
    /// Its size in bytes, all chunks together, as stored.
    pub size: Option<u64>,
    /// Compressed by gzip.
    pub gzip: bool,
    /// Size of each chunk but the last, in bytes.
    pub chunk_size: Option<u64>,
}

/// A virtual disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Its id.
    pub id: String,
    /// The file that holds it; `None`: an empty disk.
    pub file: Option<File>,
    /// Capacity, where it is stated.
    pub capacity: Option<Amount>,
    /// The format that the package declares, where it is one that is known.
    pub format: Option<DiskFormat>,
    /// The disk that it is a delta on.
    pub parent: Option<String>,
}

/// An amount as it is written: hostile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amount {
    /// A number, or the name of a property as `${name}`.
    pub quantity: String,
    /// Its unit.
    pub unit: String,
}

/// What the envelope holds beside the systems.
#[derive(Debug, Default)]
pub struct Envelope {
    files: BTreeMap<String, File>,
    disks: BTreeMap<String, Disk>,
    /// The deployment options.
    pub configurations: Configurations,
}

impl Envelope {
    /// Reads the references, the disks and the deployment options, of which `chosen` is the one that the user wants.
    pub fn read(root: Node<'_, '_>, chosen: Option<&str>) -> Result<Self> {
        let mut envelope = Self::default();
        for node in children(root, "References").flat_map(|references| children(references, "File")) {
            let id = attribute(node, "id").ok_or_else(|| bad("a File has no id"))?;
            let file = file(node, id)?;
            if envelope.files.insert(id.to_owned(), file).is_some() {
                return Err(bad(&format!("two Files have the id '{}'", escape(id))));
            }
        }
        let sections = children(root, "DiskSection").chain(children(root, "Section"));
        for node in sections.flat_map(|section| children(section, "Disk")) {
            let disk = envelope.disk(node)?;
            let id = disk.id.clone();
            if envelope.disks.insert(id.clone(), disk).is_some() {
                return Err(bad(&format!("two Disks have the id '{}'", escape(&id))));
            }
        }
        envelope.check_parents()?;
        envelope.configurations = Configurations::read(root, chosen)?;
        Ok(envelope)
    }

    fn disk(&self, node: Node<'_, '_>) -> Result<Disk> {
        let id = attribute(node, "diskId").ok_or_else(|| bad("a Disk has no diskId"))?;
        let name = escape(id);
        let file = match attribute(node, "fileRef") {
            None => None,
            Some(reference) => Some(self.files.get(reference).cloned().ok_or_else(|| {
                bad(&format!("disk '{name}' names the file '{}', which References does not have", escape(reference)))
            })?),
        };
        let unit = attribute(node, "capacityAllocationUnits").unwrap_or("byte");
        let capacity =
            attribute(node, "capacity").map(|quantity| Amount { quantity: quantity.to_owned(), unit: unit.to_owned() });
        let format = attribute(node, "format").and_then(format);
        let parent = attribute(node, "parentRef").map(str::to_owned);
        Ok(Disk { id: id.to_owned(), file, capacity, format, parent })
    }

    /// Every delta has its parent, and none is its own.
    fn check_parents(&self) -> Result<()> {
        for disk in self.disks.values() {
            let mut above = disk;
            for _ in 0..LONGEST_CHAIN {
                let Some(parent) = &above.parent else { break };
                let name = escape(&above.id);
                above = self.disks.get(parent).ok_or_else(|| {
                    bad(&format!("disk '{name}' is a delta on '{}', which the package does not have", escape(parent)))
                })?;
            }
            let name = escape(&disk.id);
            if above.parent.is_some() {
                return Err(bad(&format!(
                    "disk '{name}' is a delta on itself, or on a chain of more than {LONGEST_CHAIN} disks"
                )));
            }
            if let (Some(file), Some(parent)) = (&disk.file, self.parent_of(disk)) {
                if parent.file.as_ref() == Some(file) {
                    return Err(bad(&format!(
                        "disk '{name}' is a delta on '{}', which has the same file",
                        escape(&parent.id)
                    )));
                }
            }
        }
        Ok(())
    }

    /// The disk that it is a delta on, or that one's parent: the nearest with a file.
    fn parent_of(&self, disk: &Disk) -> Option<&Disk> {
        let mut parent = self.disks.get(disk.parent.as_ref()?)?;
        while parent.file.is_none() {
            parent = self.disks.get(parent.parent.as_ref()?)?;
        }
        Some(parent)
    }

    /// Every disk with a file that is a delta on a disk with one, and that disk.
    pub fn deltas(&self) -> impl Iterator<Item = (&Disk, &Disk)> {
        let deltas = self.disks.values().filter(|disk| disk.file.is_some());
        deltas.filter_map(|disk| Some((disk, self.parent_of(disk)?)))
    }

    /// The disks with a file that is neither one of these, nor what a disk with one of these is a delta on.
    pub fn others<'a>(&'a self, used: &BTreeSet<String>) -> Vec<&'a Disk> {
        let is_used = |disk: &&Disk| disk.file.as_ref().is_some_and(|file| used.contains(&file.href));
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        for disk in self.disks.values().filter(is_used) {
            let mut at = Some(disk);
            while let Some(disk) = at {
                reached.insert(&disk.id);
                at = disk.parent.as_ref().and_then(|parent| self.disks.get(parent));
            }
        }
        self.disks.values().filter(|disk| disk.file.is_some() && !reached.contains(disk.id.as_str())).collect()
    }

    /// The disk that a device's `HostResource` names: `ovf:/disk/ID`, `/disk/ID`, or a file as `ovf:/file/ID`.
    pub fn resource(&self, resource: &str) -> Option<Disk> {
        let path = resource.strip_prefix("ovf:").unwrap_or(resource).trim_start_matches('/');
        let (kind, id) = path.split_once('/')?;
        match kind {
            "disk" => {
                let disk = self.disks.get(id)?.clone();
                // A delta that nothing was written to yet is what lies below it.
                match (&disk.file, self.parent_of(&disk)) {
                    (None, Some(parent)) => {
                        let (file, format) = (parent.file.clone(), parent.format);
                        Some(Disk { file, format, ..disk })
                    }
                    _ => Some(disk),
                }
            }
            "file" => {
                let file = self.files.get(id)?.clone();
                Some(Disk { id: id.to_owned(), file: Some(file), capacity: None, format: None, parent: None })
            }
            _ => None,
        }
    }
}

fn file(node: Node<'_, '_>, id: &str) -> Result<File> {
    let id = escape(id);
    let href = attribute(node, "href").ok_or_else(|| bad(&format!("the File '{id}' has no href")))?;
    let number = |name: &str| match attribute(node, name) {
        None => Ok(None),
        // -1, which some exporters write: not known.
        Some(text) if is_unknown(text) => Ok(None),
        Some(text) => {
            text.parse().map(Some).map_err(|_| bad(&format!("the File '{id}' has a {name} that is no number")))
        }
    };
    let gzip = match attribute(node, "compression").map(str::to_ascii_lowercase).as_deref() {
        None | Some("identity") => false,
        Some("gzip") => true,
        Some(other) => {
            return Err(PluginError::unusable(format!(
                "the File '{id}' is compressed by '{}'; gzip is read",
                escape(other)
            ))
            .hint("export the virtual machine again without compression"));
        }
    };
    Ok(File { href: href.to_owned(), size: number("size")?, gzip, chunk_size: number("chunkSize")? })
}

/// The format that a URI means. They are many (`http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized`) and
/// nobody keeps a list.
fn format(uri: &str) -> Option<DiskFormat> {
    let uri = uri.to_ascii_lowercase();
    let words = [
        ("vmdk", DiskFormat::Vmdk),
        ("qcow", DiskFormat::Qcow2),
        ("vhdx", DiskFormat::Vhdx),
        ("vhd", DiskFormat::Vhd),
        ("vdi", DiskFormat::Vdi),
        ("raw", DiskFormat::Raw),
    ];
    words.into_iter().find(|(word, _)| uri.contains(word)).map(|(_, format)| format)
}

/// The virtual systems, those in collections too, in the order of the document.
pub fn systems<'a, 'i: 'a>(root: Node<'a, 'i>) -> Result<Vec<Node<'a, 'i>>> {
    let is_system = |node: &Node<'_, '_>| {
        // OVF 0.9 called the element Content and gave its kind in xsi:type.
        let name = node.tag_name().name();
        name == "VirtualSystem"
            || (name == "Content" && attribute(*node, "type").is_some_and(|kind| kind.ends_with("VirtualSystem_Type")))
    };
    let systems: Vec<_> = root.descendants().filter(is_system).take(MAX_SYSTEMS + 1).collect();
    if systems.len() > MAX_SYSTEMS {
        return Err(bad(&format!("it has more than {MAX_SYSTEMS} virtual systems")));
    }
    Ok(systems)
}

/// A system's id and the name that a person gave it.
pub fn identity<'a>(system: Node<'a, '_>) -> (Option<&'a str>, Option<&'a str>) {
    (attribute(system, "id"), text(system, "Name"))
}

/// How exporters say that they do not know a number: one below zero.
pub fn is_unknown(number: &str) -> bool {
    number
        .strip_prefix('-')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

/// How an OVF says yes.
pub fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "true" | "1" | "yes")
}

/// The root element, which must be an envelope.
pub fn root<'a, 'i>(document: &'a roxmltree::Document<'i>) -> Result<Node<'a, 'i>> {
    let root = document.root_element();
    if root.tag_name().name() == "Envelope" && (child(root, "References").is_some() || root.has_children()) {
        return Ok(root);
    }
    Err(bad(&format!("its root element is '{}', not an Envelope with content", escape(root.tag_name().name()))))
}

/// An OVF that makes no sense.
pub fn bad(what: &str) -> PluginError {
    PluginError::unusable(what.to_owned()).hint("export the virtual machine again")
}
